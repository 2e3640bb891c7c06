#include "base/dtype.h"

static const struct { const char *name; uint8_t size; } types[EHM_DTYPE_N] = {
    [EHM_F32] = {"f32", 4}, [EHM_BF16] = {"bf16", 2}, [EHM_F64] = {"f64", 8}, [EHM_I32] = {"i32", 4},
    [EHM_I64] = {"i64", 8}, [EHM_U8] = {"u8", 1},     [EHM_U16] = {"u16", 2}, [EHM_F16] = {"f16", 2},
    [EHM_I8] = {"i8", 1},   [EHM_I16] = {"i16", 2},   [EHM_U32] = {"u32", 4}, [EHM_U64] = {"u64", 8},
    [EHM_BOOL] = {"bool", 1},
};

size_t ehm_dtype_size(ehm_dtype t) { return (unsigned)t < EHM_DTYPE_N ? types[t].size : 0; }
const char *ehm_dtype_name(ehm_dtype t) { return (unsigned)t < EHM_DTYPE_N ? types[t].name : "unknown"; }
