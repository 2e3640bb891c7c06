/* Between the files of the import. */
#ifndef EHM_EXCHANGE_IMPORT_INT_H
#define EHM_EXCHANGE_IMPORT_INT_H
#include "exchange/import.h"
#include "exchange/import_files.h"
#include "net/vit.h"

/* A tensor of the result. */
typedef struct {
    ehm_st_tensor t;      /* MAE's name; data in a mapped file or the arena */
    const char *theirs;   /* NULL: drawn or filled in here */
    ehm_import_kind kind;
    const char *note;
    int32_t rank;         /* place in the report */
} ehm_import_tensor;

typedef struct {
    ehm_import pub;       /* first: what callers hold */
    ehm_arena arena;
    ehm_import_files files;
    ehm_import_config config;
    ehm_import_opt opt;
    char prefix[EHM_DIALECT_NAME_CAP];
    bool ours;            /* written by this program */
    const ehm_vit_shape *want; /* of the network that is to take the weights; NULL: any */
    ehm_import_tensor *tensor; int32_t n_tensors;
    ehm_import_row *left; int32_t n_left; /* tensors without a place */
    ehm_params params;    /* what a network of the file's sizes has */
    ehm_vit_shape to;     /* sizes asked for */
} ehm_import_job;

ehm_code ehm_import_no_memory(const ehm_import_job *j, ehm_err *err);
/* The numbers as f32, in the file where they stand so, else in the arena. */
ehm_code ehm_import_f32(ehm_import_job *j, ehm_st_tensor *t, ehm_err *err);
/* Every tensor to the sizes of j->to, with notes; statistics of the channels too. */
ehm_code ehm_import_adapt(ehm_import_job *j, ehm_err *err);
#endif
