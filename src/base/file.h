/* Files: whole reads, atomic writes (written aside, synced, renamed), folders, locks. */
#ifndef EHM_BASE_FILE_H
#define EHM_BASE_FILE_H
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* NUL appended after len. */
ehm_code ehm_file_read(ehm_bytes *out, const char *path, ehm_arena *a, ehm_err *err);
/* All that an open descriptor still gives, such as standard input; name is for messages. */
ehm_code ehm_file_read_fd(ehm_bytes *out, int fd, const char *name, ehm_arena *a, ehm_err *err);
/* Atomic: path.tmp.PID, fsync, rename, fsync folder. */
ehm_code ehm_file_write(const char *path, const void *data, size_t n, ehm_err *err);
bool ehm_file_exists(const char *path);
bool ehm_dir_exists(const char *path);
int64_t ehm_file_size(const char *path);   /* -1 when absent */
double ehm_file_mtime(const char *path);   /* -1 when absent */
ehm_code ehm_dir_make(const char *path, ehm_err *err); /* with parents; fine when there */
/* The folder that a file of this path would lie in. */
ehm_code ehm_dir_make_for(const char *path, ehm_err *err);
ehm_code ehm_dir_remove(const char *path, ehm_err *err); /* with all in it; fine when absent */
ehm_code ehm_file_remove(const char *path, ehm_err *err); /* fine when absent */
/* Names in a folder, sorted by code point, "." and ".." left out. */
ehm_code ehm_dir_list(ehm_strs *out, const char *path, ehm_arena *a, ehm_err *err);
char *ehm_path_join(ehm_arena *a, const char *dir, const char *name);
const char *ehm_path_base(const char *path); /* after the last '/' */
/* For a path that is not there: the nearest name of its folder as a hint. */
void ehm_path_hint_near(ehm_err *err, const char *path);
ehm_code ehm_dir_sync(const char *path, ehm_err *err);
/* Free bytes on the file system that holds path (or its nearest existing parent); -1 unknown. */
int64_t ehm_disk_free(const char *path);

/* A stream written aside: goes to its name only at commit. */
typedef struct { FILE *f; char *path, *tmp; } ehm_file_out;
ehm_code ehm_file_out_open(ehm_file_out *o, const char *path, ehm_err *err);
/* Flush, sync, rename; on error the old file stands. */
ehm_code ehm_file_out_commit(ehm_file_out *o, ehm_err *err);
void ehm_file_out_abort(ehm_file_out *o);                    /* fine after commit */

/* Advisory lock on path (created): held until closed or the process ends. EHM_E_MISMATCH names the process id
 * that holds it. */
ehm_code ehm_lock_open(int *fd, const char *path, ehm_err *err);
void ehm_lock_close(int fd);

/* $XDG_CACHE_HOME/ehm or $HOME/.cache/ehm; NULL when neither is set. */
char *ehm_cache_dir(ehm_arena *a);
#endif
