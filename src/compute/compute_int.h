/* What device.c, ops.c and trees.c share: the inside of a device. Nobody else includes this. */
#ifndef EHM_COMPUTE_COMPUTE_INT_H
#define EHM_COMPUTE_COMPUTE_INT_H
#include "compute/backend.h"

typedef struct { uint64_t key; double flops; } ehm_section;

struct ehm_dev {
    const ehm_backend *be;
    void *self;         /* the back end's own state */
    ehm_pool *pool;     /* host threads, where the back end works elsewhere; else NULL and the back end has its own */
    ehm_err err;        /* the first failure; sticks until ehm_dev_reset_error */
    const char *label;  /* borrowed; NULL: none */
    bool watch_finite;
    double flops;
    uint8_t *marks;     /* rows seen, for the check that each is named once; grows */
    int64_t n_marks;
    ehm_section section[EHM_SECTIONS];
    int32_t n_sections, i_section; /* i_section: the one that is open, -1 none */
    bool section_done, recording, records_fail;
    double section_flops;          /* before it */
};

/* Is every element of v there: a buffer of this device, positive dims, inside the buffer. why has at least 96 bytes. */
bool ehm_view_fits(const ehm_dev *d, ehm_view v, char *why, size_t n_why);
/* "[2,3,4] f32" into text. */
char *ehm_view_text(ehm_view v, char *text, size_t n_text);
/* Before an op's first word of error: "matmul (blocks.3.attn)", label left out when there is none. */
char *ehm_dev_place(const ehm_dev *d, const char *op, char *text, size_t n_text);
#endif
