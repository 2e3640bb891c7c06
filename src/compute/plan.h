/* Plan: all device memory is obtained before step 1. The same code runs twice: once to add up bytes, once to hand out places.
 *
 *     ehm_plan p; ehm_plan_begin(&p, dev);  my_plan(&p, ...);      // views have no buffer yet
 *     ehm_plan_commit(&p, &err);                                   // buffers made; begins the second pass
 *     my_plan(&p, ...);                                            // the same calls, now with places
 *     ehm_plan_end(&p, &err);                                      // both passes agreed
 *     ... ehm_plan_free(&p);                                       // before ehm_dev_close
 *
 * PARAM and STATE are what a checkpoint holds, by definition all of it. GRAD is zeroed each step. CACHE lives from forward to
 * backward. SCRATCH may be handed out again after ehm_plan_release to an earlier mark; what was in it is then lost.
 * A plan that cannot be made (no memory for names, sizes that overflow, a second pass that asks for something else) says so at
 * ehm_plan_commit or ehm_plan_end; until then its views have no buffer, and ops refuse them. Types are the caller's: parameters,
 * gradients and statistics have the type ehm_dev_real(dev).
 */
#ifndef EHM_COMPUTE_PLAN_H
#define EHM_COMPUTE_PLAN_H
#include "base/mem.h"
#include "compute/compute.h"

typedef enum { EHM_MEM_PARAM = 0, EHM_MEM_STATE, EHM_MEM_GRAD, EHM_MEM_CACHE, EHM_MEM_SCRATCH, EHM_MEM_INPUT, EHM_MEM_KINDS } ehm_mem_kind;
const char *ehm_mem_kind_name(ehm_mem_kind k); /* "parameters", "state", "gradients", "activations", "scratch", "input" */

typedef struct { const char *name; ehm_view view; ehm_mem_kind kind; } ehm_plan_entry; /* PARAM and STATE, in order */
typedef struct {
    ehm_dev *dev;
    int32_t pass;                      /* 1 counting, 2 placing */
    size_t at[EHM_MEM_KINDS], peak[EHM_MEM_KINDS], total[EHM_MEM_KINDS];
    ehm_buf *buf[EHM_MEM_KINDS];
    ehm_plan_entry *entries; int32_t n_entries, cap_entries;
    ehm_arena arena;                   /* names and entries */
    bool failed;                       /* err says why */
    ehm_err err;                       /* private: the first failure, handed over at commit or end */
    uint64_t calls[3];                 /* private: a hash of all calls of pass 1 and 2 */
    int32_t i_entry;                   /* private: the entry that pass 2 expects next */
} ehm_plan;

void ehm_plan_begin(ehm_plan *p, ehm_dev *d);                  /* counting pass; whatever p held is not looked at */
/* Allocate, start the placing pass. EHM_E_MEMORY names what was planned of each kind, what is free, and what to lower; nothing is
 * allocated then, and ehm_plan_bytes still answers. */
ehm_code ehm_plan_commit(ehm_plan *p, ehm_err *err);
/* EHM_E_MISMATCH names the first parameter or state that the second pass asked for otherwise (or says that another kind differs). */
ehm_code ehm_plan_end(ehm_plan *p, ehm_err *err);
void ehm_plan_free(ehm_plan *p);                               /* buffers too; fine at any time after begin, and twice */
size_t ehm_plan_bytes(const ehm_plan *p, ehm_mem_kind k);      /* after the counting pass */
size_t ehm_plan_bytes_all(const ehm_plan *p);

/* A place, 64-byte aligned, zeroed at the start. name is copied (PARAM and STATE are listed in entries; others may pass NULL). */
ehm_view ehm_plan_view(ehm_plan *p, ehm_mem_kind kind, const char *name, ehm_dtype t, int32_t rank, const int64_t *dim);
ehm_view ehm_plan_1d(ehm_plan *p, ehm_mem_kind kind, const char *name, ehm_dtype t, int64_t n);
ehm_view ehm_plan_2d(ehm_plan *p, ehm_mem_kind kind, const char *name, ehm_dtype t, int64_t a, int64_t b);
ehm_view ehm_plan_3d(ehm_plan *p, ehm_mem_kind kind, const char *name, ehm_dtype t, int64_t a, int64_t b, int64_t c);
size_t ehm_plan_mark(const ehm_plan *p);                       /* of SCRATCH */
void ehm_plan_release(ehm_plan *p, size_t mark);               /* back to a mark taken in the same pass */
#endif
