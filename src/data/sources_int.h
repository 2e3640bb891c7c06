/* What the source kinds of this folder share: lists of members (files of a folder, members of tars), their
 * arrangement into pictures with labels, maps, boxes and captions, and the unpacking of compressed files.
 *
 *     ehm_files *f; ehm_files_walk(&f, "photos", arena, &err);           // or ehm_files_tars
 *     ehm_picture_tree_open(&src, &ehm_source_folder, f, "photos", NULL, opt, arena, &err);   // owns f from
 * here on
 */
#ifndef EHM_DATA_SOURCES_INT_H
#define EHM_DATA_SOURCES_INT_H
#include "data/data.h"

/* ---- names: many short strings in few blocks (an arena alone would spend 64 bytes on each) ---- */
typedef struct { ehm_arena *a; char *at; size_t left; } ehm_names;
char *ehm_names_add(ehm_names *p, const char *s, size_t n); /* NULL: no memory */

/* ---- members ---- */
enum { EHM_MEMBER_OTHER = 0, EHM_MEMBER_PICTURE, EHM_MEMBER_FOREIGN /* a picture of a format that no build reads */ };
typedef struct {
    const char *name;       /* path inside the set, '/' between parts, never "." or ".." in it */
    int64_t n_bytes, offset;
    int64_t run;            /* tar: number of the run of consecutive members with the same WebDataset key */
    int32_t i_tar;          /* which tar */
    uint8_t what;
} ehm_member;
typedef struct {
    const char *root;       /* folder, or what was asked for */
    bool is_tar, is_wds, has_shard_prefix; /* prefix: first part of each name is its tar */
    int32_t n_tars; int *fd; const char **tar; /* tar[i] as the user knows it */
    ehm_member *v; int64_t n; /* sorted by name, names unique */
    int64_t n_ignored;      /* hidden, special, unreachable, replaced by a later member of that name */
} ehm_files;
enum { EHM_SNIFF_BYTES = 64 };
uint8_t ehm_member_what(const uint8_t *head, size_t n);
bool ehm_name_hidden(const char *path); /* a part begins with '.', or is __MACOSX or like __x__ */
void ehm_files_sort(ehm_files *f);
int64_t ehm_files_find(const ehm_files *f, const char *name);        /* -1: none */
int64_t ehm_files_lower(const ehm_files *f, const char *prefix);     /* first member with name >= prefix */
/* Bytes of member i, at most n_max (0: all). Thread-safe; a NUL follows. */
ehm_code ehm_files_read(const ehm_files *f, int64_t i, size_t n_max, ehm_bytes *out, ehm_arena *a,
                        ehm_err *err);
void ehm_files_close(ehm_files *f); /* NULL is fine */
ehm_code ehm_files_walk(ehm_files **out, const char *root, ehm_arena *a, ehm_err *err);
ehm_code ehm_files_tars(ehm_files **out, const char *spec, const ehm_strs *tars, const ehm_dataset_opt *opt,
                        ehm_arena *a, ehm_err *err);

/* ---- arrangement ---- */
ehm_code ehm_picture_tree_open(ehm_source **out, const ehm_source_kind *kind, ehm_files *f, const char *path,
                               const char *subset, const ehm_dataset_opt *opt, ehm_arena *a, ehm_err *err);
int64_t ehm_picture_tree_count(const ehm_source *s);
ehm_code ehm_picture_tree_item(const ehm_source *s, int64_t i, ehm_source_item *out);
ehm_code ehm_picture_tree_read(ehm_source *s, int64_t i, ehm_source_data *out, ehm_arena *a, ehm_err *err);
ehm_code ehm_picture_tree_head(ehm_source *s, int64_t i, size_t n_max, ehm_bytes *out, ehm_arena *a,
                               ehm_err *err);
ehm_code ehm_picture_tree_extras(ehm_source *s, int64_t i, ehm_sample *out, uint32_t want, ehm_arena *a,
                                 ehm_err *err);
bool ehm_picture_tree_file(const ehm_source *s, int64_t i, ehm_str *path);
void ehm_picture_tree_close(ehm_source *s);

/* Per picture of a tree. */
typedef struct {
    int64_t member, map, object, part, caption; /* member numbers, -1: none; caption: a text member */
    int32_t label;
    int32_t box0, n_boxes; int32_t i_caption;   /* into boxes and captions of the tree; -1 none */
} ehm_tree_item;
typedef struct {
    ehm_source base;
    ehm_files *files; const char *path; const char *subset;
    ehm_tree_item *v; int64_t n;
    ehm_box *boxes; int64_t n_boxes, cap_boxes; /* heap while opened */
    const char **captions; int64_t n_captions;
    int64_t max_pixels;
} ehm_tree_source;
ehm_code ehm_tree_add_box(ehm_tree_source *t, ehm_box b, ehm_err *err);
/* Item whose name is dir followed by name; -1: none. */
int64_t ehm_tree_find(const ehm_tree_source *t, const char *dir, const char *name);

/* Text tables: lines split at tabs; borrowed from text, which is changed. cb gets at most 8 fields. */
typedef struct { char *at; int64_t line; } ehm_lines;
char *ehm_lines_next(ehm_lines *l); /* next line that is not empty, CR cut off; NULL at the end */
int32_t ehm_fields(char *line, char **field, int32_t n_max); /* splits at tabs */

/* classes.txt and classes.tsv: see labelmaps.c. */
typedef struct {
    const char *file;
    const char **name;
    const char **words;
    int32_t n;
    bool numbered;
    int32_t *id;
} ehm_class_list;
ehm_code ehm_class_list_read(ehm_class_list *out, const char *file, ehm_bytes text, ehm_arena *a,
                             ehm_err *err);
/* Reads classes.txt, else classes.tsv, beside the file path. No such file: n 0. */
ehm_code ehm_class_list_beside(ehm_class_list *out, const char *path, ehm_arena *a, ehm_err *err);
/* Classes of a source whose labels are numbers 0..n-1: the list's names as far as it goes, then the numbers.
 */
ehm_code ehm_classes_numbered(ehm_source *s, int32_t n, const ehm_class_list *list, ehm_arena *a,
                              ehm_err *err);
enum { EHM_MAX_CLASSES = 1000000 };
/* Map classes of a tree from such a list, or from the maps themselves when list is NULL. */
ehm_code ehm_label_maps_classes(ehm_tree_source *t, const ehm_class_list *list, const ehm_dataset_opt *opt,
                                ehm_arena *a, ehm_err *err);
ehm_code ehm_label_map_read(const ehm_tree_source *t, int64_t member, bool check, ehm_image *out,
                            ehm_arena *a, ehm_err *err);

/* ---- boxes ---- */
typedef struct { float x0, y0, x1, y1; const char *name; bool difficult; } ehm_named_box;
typedef struct { int32_t w, h; ehm_named_box *v; int32_t n, n_skipped; } ehm_voc;
/* Pascal VOC annotation. Boxes go from 1-based inclusive to 0-based half-open, are cut at the picture's edge,
 * and skipped (counted) without area. */
ehm_code ehm_voc_parse(ehm_voc *out, const char *text, size_t n, const char *name, ehm_arena *a,
                       ehm_err *err);
ehm_code ehm_boxes_coco(ehm_tree_source *t, int64_t member, const char *prefix, ehm_arena *a, ehm_err *err);
ehm_code ehm_boxes_voc(ehm_tree_source *t, const int64_t *xml_of, ehm_arena *a,
                       ehm_err *err); /* xml_of[i]: member or -1 */
ehm_code ehm_boxes_tsv(ehm_tree_source *t, const int64_t *members, int32_t n_members, const char *prefix,
                       ehm_arena *a, ehm_err *err);

/* ---- compressed files ---- */
typedef enum {
    EHM_PACK_NONE = 0,
    EHM_PACK_GZIP,
    EHM_PACK_ZSTD,
    EHM_PACK_XZ,
    EHM_PACK_BZIP2,
    EHM_PACK_ZIP,
    EHM_PACK_7Z,
    EHM_PACK_RAR
} ehm_pack;
ehm_pack ehm_pack_of(const uint8_t *head, size_t n);
const char *ehm_pack_name(ehm_pack p);
typedef ehm_code (*ehm_unpack_fn)(void *ctx, const uint8_t *data, size_t n,
                                  ehm_err *err); /* EHM_E_STOPPED without text: enough, no error */
/* Feeds the unpacked bytes of a file to fn. Errors: broken or short data, a library not built in, fn's own.
 * in_bytes (may be NULL): packed bytes read so far. */
ehm_code ehm_unpack(const char *path, ehm_pack pack, ehm_unpack_fn fn, void *ctx, int64_t *in_bytes,
                    ehm_err *err);
/* First n bytes of a file, unpacked if it is compressed (pack tells); 0 when it cannot be read. Never an
 * error: for claims. */
size_t ehm_peek(const char *path, uint8_t *buf, size_t n, ehm_pack *pack);
/* An open descriptor on the plain tar of a compressed one: from the cache, where it is put at first use. */
ehm_code ehm_archive_open(int *fd, const char *path, ehm_pack pack, const ehm_dataset_opt *opt, ehm_err *err);
bool ehm_tar_block_ok(const uint8_t block[512]); /* a tar header by its check sum */

/* ---- small tools ---- */
ehm_code ehm_pread_all(int fd, void *buf, size_t n, int64_t at, const char *name,
                       ehm_err *err); /* short: EHM_E_IO */
void ehm_hint_near(ehm_err *err, const char *word, const char *const *names, int32_t n, const char *what);
#endif
