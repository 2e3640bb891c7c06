/* What the files of runs/ share: the inside of an open run. */
#ifndef EHM_RUNS_RUN_INT_H
#define EHM_RUNS_RUN_INT_H
#include "base/hash.h"
#include "runs/run.h"

enum { EHM_CKPT_PARTS = 16, EHM_CKPT_PART_NAME = 48 };
typedef struct {
    bool active;
    int64_t step;
    int fd;                     /* of the part being written; -1 between parts */
    ehm_sha256 sha;
    struct { char name[EHM_CKPT_PART_NAME], hex[65]; uint64_t bytes; } part[EHM_CKPT_PARTS];
    int32_t n;
    ehm_err err;                /* the first failure; later calls do nothing */
    ehm_str text;               /* manifest, kept between checkpoints */
} ehm_ckpt_writer;

struct ehm_run {
    char *dir;
    int dir_fd, lock_fd;
    int metrics_fd, timing_fd, log_fd, bad_fd, event_fd; /* -1 until first used; opened for appending */
    bool made_dir;              /* the folder was not there; it goes again if nothing is written */
    bool wrote;
    ehm_str record;             /* of the event file; kept between records */
    ehm_str line;
    uint8_t *bad_seen;          /* bit i: index i stands in bad_files.tsv */
    int64_t n_bad_seen;         /* bits there */
    ehm_ckpt_writer ckpt;
};

/* EHM_E_IO naming file and the system's reason; with a hint where the disk is full. */
ehm_code ehm_run_io(ehm_err *err, const char *dir, const char *name, const char *what);
/* All n bytes or none: what a full disk left of them is cut off again. fd is open for appending. */
ehm_code ehm_run_append(ehm_run *r, int fd, const char *name, const void *data, size_t n, ehm_err *err);
/* Opens r->dir/name for appending into *fd unless it is open. */
ehm_code ehm_run_file(ehm_run *r, int *fd, const char *name, ehm_err *err);
/* Event files of dir: cut records after step, drop broken tails. */
ehm_code ehm_event_cut(ehm_run *r, int64_t step, ehm_err *err);
/* Checkpoints of dir after step go. */
ehm_code ehm_ckpt_cut(ehm_run *r, int64_t step, ehm_err *err);
#endif
