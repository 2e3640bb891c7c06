/* The parts of the reader of torch.save's files: the zip directory (pth_zip.c), the pickle instructions
 * (pth_pickle.c), what the few allowed names make (pth_build.c), and the way from the object to named tensors
 * (pth.c).
 *
 * All of them see bytes that may be hostile: every offset, size and count is checked before it is used,
 * nothing recurses further than EHM_PKL_DEPTH, and memory is bounded by the size of the pickle. Nothing is
 * ever executed: a name in a pickle only selects a row of a table.
 */
#ifndef EHM_EXCHANGE_PTH_INT_H
#define EHM_EXCHANGE_PTH_INT_H
#include "base/mem.h"
#include "exchange/pth.h"

/* Up to 80 bytes of a text from the file, control characters as '?', for a message. */
const char *ehm_pth_shown(char buf[84], const char *s, size_t n);

/* ---- zip ---- */
typedef struct {
    const char *name; /* checked: relative, no "..", no control characters */
    const uint8_t *data;
    size_t size, header_at; /* as in the file */
    uint32_t method;        /* 0: stored; else the data is packed and cannot be used */
    uint32_t crc;           /* 0: torch was told not to count it */
} ehm_zip_entry;
typedef struct {
    ehm_zip_entry *entry; /* by name; folders are left out */
    int32_t n;
} ehm_zip;
ehm_code ehm_zip_read(ehm_zip *out, const uint8_t *file, size_t n, const char *path, ehm_arena *a,
                      ehm_err *err);
ehm_code ehm_zip_stored(const ehm_zip_entry *e, const char *path,
                        ehm_err *err); /* EHM_E_UNSUPPORTED names the method */
const ehm_zip_entry *ehm_zip_find(const ehm_zip *z, const char *name); /* NULL when absent */
uint32_t ehm_zip_crc32(const uint8_t *p, size_t n);

/* ---- pickle ---- */
enum {
    EHM_PKL_DEPTH = 64,       /* of containers within containers */
    EHM_PKL_VALUES = 2000000, /* objects, memo slots, stack slots, and steps of the walk over the result */
    EHM_PKL_MARKS = 10000,
    EHM_PKL_CODE_BYTES = 64 << 20, /* of instructions; the weights are elsewhere */
    EHM_PKL_KEY = 512,             /* bytes of a key that names tensors */
    EHM_PKL_NAME = 2048,           /* and of a tensor's whole name */
    EHM_PKL_RANK = 8
};

typedef enum {
    EHM_PKL_NONE, EHM_PKL_BOOL, EHM_PKL_INT, EHM_PKL_FLOAT, EHM_PKL_STR, EHM_PKL_BYTES,
    EHM_PKL_BIG,     /* an integer of more than 64 bits: its bytes, little endian */
    EHM_PKL_LIST, EHM_PKL_TUPLE,
    EHM_PKL_DICT,    /* items: key, value, key, value... */
    EHM_PKL_GLOBAL,  /* an allowed name */
    EHM_PKL_STORAGE, EHM_PKL_TENSOR,
    EHM_PKL_NUMTYPE, /* NumPy's description of a number */
    EHM_PKL_PASSED   /* an object that is passed over */
} ehm_pkl_kind;

typedef struct ehm_pkl ehm_pkl;
typedef struct ehm_pkl_global ehm_pkl_global;

typedef struct {
    const char *key;
    int64_t count;        /* elements, or bytes of an untyped one */
    int64_t first, usable; /* a view of it, in elements; else 0 and count */
    size_t item_bytes;    /* 1 for untyped */
    ehm_dtype dtype;
    bool untyped;
    const uint8_t *data;  /* NULL until found */
    size_t data_bytes;
} ehm_pkl_storage;

typedef struct {
    ehm_pkl_storage *storage;
    ehm_dtype dtype;
    int32_t rank;
    int64_t offset, dim[EHM_PKL_RANK], stride[EHM_PKL_RANK]; /* in elements */
    size_t at; /* byte of the pickle where it was made, for messages */
} ehm_pkl_tensor;

struct ehm_pkl {
    uint8_t kind;
    bool open;     /* a walk is inside it */
    bool takes_state; /* DICT: BUILD adds its state to the items (a namespace); else the state is passed over
                       */
    union {
        int64_t i;
        double f;
        struct { const char *s; size_t n; } str;
        struct { ehm_pkl **item; int32_t n, cap; } list;
        struct { char kind; uint8_t bytes; bool big_endian; } num;
        const ehm_pkl_global *global;
        ehm_pkl_storage *storage;
        ehm_pkl_tensor *tensor;
    };
};

typedef struct {
    const uint8_t *code; /* the instructions, and where they are read */
    size_t n, at, op_at; /* op_at: the instruction in work, for messages */
    size_t base;         /* of code within the file, or 0: added to positions in messages */
    const char *path, *where; /* "model.pth", "archive/data.pkl" */
    ehm_arena *arena;
    ehm_err *err;
    ehm_code failed;     /* of the last error: what a function that gave NULL would have returned */
    ehm_pkl **stack; int32_t n_stack, cap_stack;
    int32_t *mark, n_mark, cap_mark;
    ehm_pkl **memo; int32_t n_memo, cap_memo; /* slots that were never put are NULL */
    ehm_pkl_storage **storage; int32_t n_storage, cap_storage; /* in order of mention */
    int32_t n_values;
    uint8_t *slab; size_t slab_left;
} ehm_pkl_vm;

/* Reads one pickle from vm->at on, to behind its STOP. Errors name the byte. vm keeps its storages for the
 * caller; stack and memo start afresh. */
ehm_code ehm_pkl_read(ehm_pkl **out, ehm_pkl_vm *vm);
ehm_code ehm_pkl_fail(ehm_pkl_vm *vm, ehm_code code, const char *fmt, ...) EHM_PRINTF(3, 4);
ehm_pkl *ehm_pkl_new(ehm_pkl_vm *vm, ehm_pkl_kind kind); /* NULL with the error set */
void *ehm_pkl_room(ehm_pkl_vm *vm, size_t bytes);        /* zeroed, aligned to 8; NULL with the error set */
ehm_code ehm_pkl_push_item(ehm_pkl_vm *vm, ehm_pkl *list, ehm_pkl *item);

/* ---- names (pth_build.c) ---- */
/* EHM_E_FORMAT or _UNSUPPORTED for all but the names of the table. */
ehm_code ehm_pkl_global_of(const ehm_pkl_global **out, ehm_pkl_vm *vm, const char *module, size_t n_module,
                           const char *name, size_t n_name);
ehm_code ehm_pkl_call(ehm_pkl **out, ehm_pkl_vm *vm, ehm_pkl *callee, ehm_pkl *args);   /* REDUCE, NEWOBJ */
ehm_code ehm_pkl_set_state(ehm_pkl_vm *vm, ehm_pkl *object, ehm_pkl *state);            /* BUILD */
ehm_code ehm_pkl_persistent(ehm_pkl **out, ehm_pkl_vm *vm, ehm_pkl *id);                /* BINPERSID */

/* The whole of it on bytes: file stays the caller's and has to outlive *out. owned as in ehm_st_from, freed
 * also when this fails. */
ehm_code ehm_pth_read(ehm_st **out, const uint8_t *file, size_t n, const char *path, void *owned,
                      void (*free_owned)(void *), ehm_err *err);
#endif
