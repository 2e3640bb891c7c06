/* What the names in a pickle stand for. This table is all there is: a name selects one of the actions below,
 * none of which runs anything from the file. Names of frameworks' bookkeeping that hold no weights make an
 * object that is passed over. */
#include "exchange/pth_int.h"
#include <string.h>

typedef enum {
    DICT,       /* a dict and what behaves as one */
    NAMESPACE,  /* a dict of the attributes that its state brings */
    REBUILD_1, REBUILD_2, REBUILD_3, /* a tensor from storage, offset, size, stride... */
    PARAMETER,  /* the tensor that is its first argument */
    FROM_TYPE,  /* a tensor with attributes */
    TENSOR_TYPE,
    STORAGE, UNTYPED,
    DTYPE,
    SIZE,       /* its argument */
    DEVICE,
    ENCODE,     /* bytes, as protocol 2 spells them */
    NUM_TYPE, NUM_SCALAR,
    PASSED,     /* an object without weights, however it is made */
    WORD,       /* a class that is only mentioned */
    REFUSED     /* known; the reason is in note */
} action;

struct ehm_pkl_global {
    const char *module, *name;
    action action;
    int dtype; /* STORAGE, DTYPE: an ehm_dtype, or NONE */
    const char *note;
};
enum { NONE = -1 };

#define STORAGES(module)                                                                                     \
    {module, "FloatStorage", STORAGE, EHM_F32, NULL}, {module, "HalfStorage", STORAGE, EHM_F16, NULL},       \
        {module, "BFloat16Storage", STORAGE, EHM_BF16, NULL},                                                \
        {module, "DoubleStorage", STORAGE, EHM_F64, NULL}, {module, "LongStorage", STORAGE, EHM_I64, NULL},  \
        {module, "IntStorage", STORAGE, EHM_I32, NULL}, {module, "ShortStorage", STORAGE, EHM_I16, NULL},    \
        {module, "ByteStorage", STORAGE, EHM_U8, NULL}, {module, "CharStorage", STORAGE, EHM_I8, NULL},      \
        {module, "BoolStorage", STORAGE, EHM_BOOL, NULL},                                                    \
        {module, "ComplexFloatStorage", STORAGE, NONE, "complex"},                                           \
        {module, "ComplexDoubleStorage", STORAGE, NONE, "complex"},                                          \
        {module, "QInt8Storage", STORAGE, NONE, "quantised"},                                                \
        {module, "QUInt8Storage", STORAGE, NONE, "quantised"},                                               \
        {module, "QInt32Storage", STORAGE, NONE, "quantised"},                                               \
        {module, "UntypedStorage", UNTYPED, NONE, NULL}

static const ehm_pkl_global globals[] = {
    {"torch._utils", "_rebuild_tensor_v2", REBUILD_2, 0, NULL},
    {"torch._utils", "_rebuild_tensor", REBUILD_1, 0, NULL},
    {"torch._utils", "_rebuild_tensor_v3", REBUILD_3, 0, NULL},
    {"torch._utils", "_rebuild_parameter", PARAMETER, 0, NULL},
    {"torch._utils", "_rebuild_parameter_with_state", PARAMETER, 0, NULL},
    {"torch._tensor", "_rebuild_from_type_v2", FROM_TYPE, 0, NULL},
    {"torch._tensor", "_rebuild_from_type", FROM_TYPE, 0, NULL},
    {"torch", "Tensor", TENSOR_TYPE, 0, NULL},
    {"torch._tensor", "Tensor", TENSOR_TYPE, 0, NULL},
    {"torch.nn.parameter", "Parameter", TENSOR_TYPE, 0, NULL},
    {"torch.nn.parameter", "Buffer", TENSOR_TYPE, 0, NULL},
    STORAGES("torch"),
    STORAGES("torch.cuda"),
    STORAGES("torch.storage"),
    {"torch", "float32", DTYPE, EHM_F32, NULL},
    {"torch", "float16", DTYPE, EHM_F16, NULL},
    {"torch", "bfloat16", DTYPE, EHM_BF16, NULL},
    {"torch", "float64", DTYPE, EHM_F64, NULL},
    {"torch", "int64", DTYPE, EHM_I64, NULL},
    {"torch", "int32", DTYPE, EHM_I32, NULL},
    {"torch", "int16", DTYPE, EHM_I16, NULL},
    {"torch", "int8", DTYPE, EHM_I8, NULL},
    {"torch", "uint8", DTYPE, EHM_U8, NULL},
    {"torch", "uint16", DTYPE, EHM_U16, NULL},
    {"torch", "uint32", DTYPE, EHM_U32, NULL},
    {"torch", "uint64", DTYPE, EHM_U64, NULL},
    {"torch", "bool", DTYPE, EHM_BOOL, NULL},
    {"torch", "complex32", DTYPE, NONE, "complex32"},
    {"torch", "complex64", DTYPE, NONE, "complex64"},
    {"torch", "complex128", DTYPE, NONE, "complex128"},
    {"torch", "float8_e4m3fn", DTYPE, NONE, "float8_e4m3fn"},
    {"torch", "float8_e5m2", DTYPE, NONE, "float8_e5m2"},
    {"torch", "float8_e4m3fnuz", DTYPE, NONE, "float8_e4m3fnuz"},
    {"torch", "float8_e5m2fnuz", DTYPE, NONE, "float8_e5m2fnuz"},
    {"torch", "float8_e8m0fnu", DTYPE, NONE, "float8_e8m0fnu"},
    {"torch", "Size", SIZE, 0, NULL},
    {"torch", "device", DEVICE, 0, NULL},
    {"torch._utils", "_rebuild_qtensor", REFUSED, 0, "a quantised tensor"},
    {"torch._utils", "_rebuild_sparse_tensor", REFUSED, 0, "a sparse tensor"},
    {"torch.serialization", "_get_layout", REFUSED, 0, "a sparse tensor"},
    {"torch._utils", "_rebuild_sparse_csr_tensor", REFUSED, 0, "a sparse tensor"},
    {"torch._utils", "_rebuild_nested_tensor", REFUSED, 0, "a nested tensor"},
    {"torch._utils", "_rebuild_meta_tensor_no_storage", REFUSED, 0,
     "a tensor without numbers (device \"meta\")"},
    {"torch._utils", "_rebuild_wrapper_subclass", REFUSED, 0, "a tensor of a class of its own"},
    {"torch._utils", "_rebuild_device_tensor_from_numpy", REFUSED, 0,
     "a tensor of another device, stored as NumPy's"},
    {"torch._utils", "_rebuild_device_tensor_from_cpu_tensor", REFUSED, 0, "a tensor of another device"},
    {"torch._utils", "_rebuild_xla_tensor", REFUSED, 0, "a tensor of another device"},
    {"torch.storage", "_load_from_bytes", REFUSED, 0,
     "a pickle within the pickle (not written by torch.save)"},
    {"collections", "OrderedDict", DICT, 0, NULL},
    {"collections", "defaultdict", DICT, 0, NULL},
    {"collections", "Counter", DICT, 0, NULL},
    {"builtins", "dict", DICT, 0, NULL},
    {"__builtin__", "dict", DICT, 0, NULL},
    {"argparse", "Namespace", NAMESPACE, 0, NULL},
    {"types", "SimpleNamespace", NAMESPACE, 0, NULL},
    {"_codecs", "encode", ENCODE, 0, NULL},
    /* NumPy's numbers, as averages and best accuracies come */
    {"numpy", "dtype", NUM_TYPE, 0, NULL},
    {"numpy.core.multiarray", "scalar", NUM_SCALAR, 0, NULL},
    {"numpy._core.multiarray", "scalar", NUM_SCALAR, 0, NULL},
    {"numpy", "ndarray", WORD, 0, NULL},
    {"numpy.core.multiarray", "_reconstruct", PASSED, 0, NULL},
    {"numpy._core.multiarray", "_reconstruct", PASSED, 0, NULL},
    {"numpy.core.numeric", "_frombuffer", PASSED, 0, NULL},
    {"numpy._core.numeric", "_frombuffer", PASSED, 0, NULL},
    /* plain things that hold no weights */
    {"builtins", "set", PASSED, 0, NULL},
    {"builtins", "frozenset", PASSED, 0, NULL},
    {"builtins", "slice", PASSED, 0, NULL},
    {"builtins", "range", PASSED, 0, NULL},
    {"builtins", "complex", PASSED, 0, NULL},
    {"builtins", "bytearray", PASSED, 0, NULL},
    {"builtins", "bytes", PASSED, 0, NULL},
    {"__builtin__", "set", PASSED, 0, NULL},
    {"__builtin__", "frozenset", PASSED, 0, NULL},
    {"__builtin__", "slice", PASSED, 0, NULL},
    {"__builtin__", "xrange", PASSED, 0, NULL},
    {"__builtin__", "complex", PASSED, 0, NULL},
    {"__builtin__", "bytearray", PASSED, 0, NULL},
    {"__builtin__", "bytes", PASSED, 0, NULL},
    {"builtins", "int", WORD, 0, NULL},
    {"builtins", "float", WORD, 0, NULL},
    {"builtins", "bool", WORD, 0, NULL},
    {"builtins", "str", WORD, 0, NULL},
    {"builtins", "list", WORD, 0, NULL},
    {"builtins", "tuple", WORD, 0, NULL},
    {"__builtin__", "int", WORD, 0, NULL},
    {"__builtin__", "long", WORD, 0, NULL}, /* what int is called in protocol 2 */
    {"__builtin__", "float", WORD, 0, NULL},
    {"__builtin__", "bool", WORD, 0, NULL},
    {"__builtin__", "unicode", WORD, 0, NULL},
    {"__builtin__", "str", WORD, 0, NULL},
    {"__builtin__", "tuple", WORD, 0, NULL},
    {"__builtin__", "list", WORD, 0, NULL},
    {"typing", "Any", WORD, 0, NULL},
    {"pathlib", "PosixPath", PASSED, 0, NULL},
    {"pathlib", "WindowsPath", PASSED, 0, NULL},
    {"pathlib", "PurePosixPath", PASSED, 0, NULL},
    {"pathlib._local", "PosixPath", PASSED, 0, NULL},
    {"pathlib._local", "WindowsPath", PASSED, 0, NULL},
    {"datetime", "datetime", PASSED, 0, NULL},
    {"datetime", "timedelta", PASSED, 0, NULL},
    {"uuid", "UUID", PASSED, 0, NULL},
    /* what Lightning, OmegaConf (solo-learn) and MMEngine (mmpretrain) keep beside the weights */
    {"pytorch_lightning.utilities.parsing", "AttributeDict", DICT, 0, NULL},
    {"lightning_fabric.utilities.data", "AttributeDict", DICT, 0, NULL},
    {"lightning.fabric.utilities.data", "AttributeDict", DICT, 0, NULL},
    {"pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint", WORD, 0, NULL},
    {"pytorch_lightning.callbacks.early_stopping", "EarlyStopping", WORD, 0, NULL},
    {"pytorch_lightning.callbacks.lr_monitor", "LearningRateMonitor", WORD, 0, NULL},
    {"omegaconf.dictconfig", "DictConfig", PASSED, 0, NULL},
    {"omegaconf.listconfig", "ListConfig", PASSED, 0, NULL},
    {"omegaconf.base", "ContainerMetadata", PASSED, 0, NULL},
    {"omegaconf.base", "Metadata", PASSED, 0, NULL},
    {"omegaconf.nodes", "AnyNode", PASSED, 0, NULL},
    {"omegaconf.nodes", "StringNode", PASSED, 0, NULL},
    {"omegaconf.nodes", "IntegerNode", PASSED, 0, NULL},
    {"omegaconf.nodes", "FloatNode", PASSED, 0, NULL},
    {"omegaconf.nodes", "BooleanNode", PASSED, 0, NULL},
    {"mmengine.logging.history_buffer", "HistoryBuffer", PASSED, 0, NULL},
    {"mmengine.config.config", "ConfigDict", PASSED, 0, NULL},
};

static bool same(const char *word, const char *s, size_t n) {
    return strlen(word) == n && !memcmp(word, s, n);
}

/* Names that no model needs, and a harmful file does. */
static bool is_dangerous(const char *module, size_t n_module, const char *name, size_t n_name) {
    static const char *const modules[] = {"os",         "posix",  "nt",       "subprocess", "sys",
                                          "shutil",     "socket", "runpy",    "pty",        "importlib",
                                          "webbrowser", "ctypes", "commands", "pickle",     "code"};
    static const char *const names[] = {"eval",    "exec",  "execfile",   "compile", "open",
                                        "getattr", "apply", "__import__", "input"};
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        if (same(modules[i], module, n_module)) return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (same(names[i], name, n_name))
            return same("builtins", module, n_module) || same("__builtin__", module, n_module);
    return false;
}

ehm_code ehm_pkl_global_of(const ehm_pkl_global **out, ehm_pkl_vm *vm, const char *module, size_t n_module,
                           const char *name, size_t n_name) {
    char m[84], s[84];
    *out = NULL;
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++)
        if (same(globals[i].name, name, n_name) && same(globals[i].module, module, n_module))
            return *out = &globals[i], EHM_OK;
    ehm_pkl_fail(vm, EHM_E_FORMAT,
                 "it asks for \"%s.%s\", which is none of the names that weights and plain values need; "
                 "nothing was executed",
                 ehm_pth_shown(m, module, n_module), ehm_pth_shown(s, name, n_name));
    if (is_dangerous(module, n_module, name, n_name))
        EHM_HINT(vm->err, "do not load this file in Python: there it would run \"%s.%s\"", m, s);
    else
        EHM_HINT(vm->err, "if you trust the file, save its weights alone in Python: "
                          "torch.save(model.state_dict(), \"weights.pth\")");
    return EHM_E_FORMAT;
}

/* ---- tensors ---- */

static ehm_code int_at(ehm_pkl_vm *vm, const ehm_pkl *v, const char *what, int64_t *out) {
    *out = 0;
    if (v->kind != EHM_PKL_INT || v->i < 0)
        return ehm_pkl_fail(vm, EHM_E_FORMAT, "a tensor with %s that is no size", what);
    *out = v->i;
    return EHM_OK;
}

static ehm_code sizes_of(ehm_pkl_vm *vm, ehm_pkl_tensor *t, const ehm_pkl *size, const ehm_pkl *stride) {
    bool lists = (size->kind == EHM_PKL_TUPLE || size->kind == EHM_PKL_LIST) &&
                 (stride->kind == EHM_PKL_TUPLE || stride->kind == EHM_PKL_LIST);
    if (!lists || size->list.n != stride->list.n)
        return ehm_pkl_fail(vm, EHM_E_FORMAT, "a tensor whose size and strides do not fit together");
    if (size->list.n > EHM_PKL_RANK)
        return ehm_pkl_fail(vm, EHM_E_UNSUPPORTED, "a tensor of %d dims, more than %d", (int)size->list.n,
                            (int)EHM_PKL_RANK);
    t->rank = size->list.n;
    for (int32_t k = 0; k < t->rank; k++) {
        EHM_TRY(int_at(vm, size->list.item[k], "a dim", &t->dim[k]));
        EHM_TRY(int_at(vm, stride->list.item[k], "a stride", &t->stride[k]));
        if (t->dim[k] < 2) t->stride[k] = 0; /* is never taken, and may be anything in the file */
    }
    return EHM_OK;
}

/* The last number that the tensor reads has to be within its storage. */
static ehm_code check_extent(ehm_pkl_vm *vm, const ehm_pkl_tensor *t) {
    const ehm_pkl_storage *s = t->storage;
    int64_t count = 1, last = t->offset, reach, bytes;
    bool ok = true;
    for (int32_t k = 0; k < t->rank; k++) ok = ok && !__builtin_mul_overflow(count, t->dim[k], &count);
    ok = ok && !__builtin_mul_overflow(count, (int64_t)ehm_dtype_size(t->dtype), &bytes);
    if (!ok) return ehm_pkl_fail(vm, EHM_E_FORMAT, "a tensor whose shape overflows");
    if (!count) return EHM_OK;
    for (int32_t k = 0; k < t->rank; k++)
        ok = ok && !__builtin_mul_overflow(t->dim[k] - 1, t->stride[k], &reach) &&
             !__builtin_add_overflow(last, reach, &last);
    int64_t held = (int64_t)((uint64_t)s->usable * s->item_bytes /
                             ehm_dtype_size(t->dtype)); /* fits: checked with the storage */
    if (!ok || last >= held)
        return ehm_pkl_fail(vm, EHM_E_FORMAT,
                            "a tensor that reads outside its storage \"%.64s\" of %lld values", s->key,
                            (long long)held);
    return EHM_OK;
}

/* A conjugated or negated view has its numbers elsewhere than in the storage. */
static ehm_code check_flags(ehm_pkl_vm *vm, const ehm_pkl *meta) {
    if (meta->kind != EHM_PKL_DICT) return EHM_OK;
    for (int32_t i = 0; i + 1 < meta->list.n; i += 2) {
        const ehm_pkl *v = meta->list.item[i + 1];
        if ((v->kind == EHM_PKL_BOOL || v->kind == EHM_PKL_INT) && v->i)
            return ehm_pkl_fail(vm, EHM_E_UNSUPPORTED,
                                "a tensor that is the negative or conjugate of its storage");
    }
    return EHM_OK;
}

static ehm_code rebuild(ehm_pkl **out, ehm_pkl_vm *vm, action how, const ehm_pkl *args) {
    int32_t n = args->list.n,
            least = how == REBUILD_1   ? 4
                    : how == REBUILD_2 ? 6
                                       : 7,
            flags = how == REBUILD_3 ? 7 : 6;
    ehm_pkl **a = args->list.item;
    if (n < least || a[0]->kind != EHM_PKL_STORAGE)
        return ehm_pkl_fail(vm, EHM_E_FORMAT, "a tensor without its storage, offset, size and strides");
    ehm_pkl *v = ehm_pkl_new(vm, EHM_PKL_TENSOR);
    ehm_pkl_tensor *t = v ? ehm_pkl_room(vm, sizeof *t) : NULL;
    if (!t) return vm->failed;
    t->storage = a[0]->storage, t->at = vm->op_at, t->dtype = t->storage->dtype;
    if (how == REBUILD_3) {
        const ehm_pkl_global *g = a[6]->kind == EHM_PKL_GLOBAL ? a[6]->global : NULL;
        if (!g || g->action != DTYPE) return ehm_pkl_fail(vm, EHM_E_FORMAT, "a tensor without a dtype");
        if (g->dtype == NONE)
            return ehm_pkl_fail(vm, EHM_E_UNSUPPORTED, "a tensor of dtype %s, which is not read", g->note);
        t->dtype = (ehm_dtype)g->dtype;
    } else if (t->storage->untyped)
        return ehm_pkl_fail(vm, EHM_E_FORMAT, "a tensor whose storage has no type");
    EHM_TRY(int_at(vm, a[1], "an offset", &t->offset));
    EHM_TRY(sizes_of(vm, t, a[2], a[3]));
    EHM_TRY(check_extent(vm, t));
    if (n > flags) EHM_TRY(check_flags(vm, a[flags]));
    v->tensor = t;
    *out = v;
    return EHM_OK;
}

static bool is_rebuild(const ehm_pkl *v) {
    return v->kind == EHM_PKL_GLOBAL && (v->global->action == REBUILD_1 || v->global->action == REBUILD_2 ||
                                         v->global->action == REBUILD_3);
}

/* (function, type, its arguments, state) */
static ehm_code rebuild_from_type(ehm_pkl **out, ehm_pkl_vm *vm, const ehm_pkl *args) {
    ehm_pkl **a = args->list.item;
    if (args->list.n < 3 || a[2]->kind != EHM_PKL_TUPLE || a[1]->kind != EHM_PKL_GLOBAL ||
        a[1]->global->action != TENSOR_TYPE)
        return ehm_pkl_fail(vm, EHM_E_UNSUPPORTED, "a tensor of a class of its own");
    if (a[0]->kind == EHM_PKL_GLOBAL && a[0]->global->action == PARAMETER && a[2]->list.n &&
        a[2]->list.item[0]->kind == EHM_PKL_TENSOR)
        return *out = a[2]->list.item[0], EHM_OK;
    if (!is_rebuild(a[0])) return ehm_pkl_fail(vm, EHM_E_UNSUPPORTED, "a tensor that is made in another way");
    return rebuild(out, vm, a[0]->global->action, a[2]);
}

ehm_code ehm_pkl_persistent(ehm_pkl **out, ehm_pkl_vm *vm, ehm_pkl *id) {
    *out = NULL;
    ehm_pkl **a = id->list.item;
    if (id->kind == EHM_PKL_TUPLE && id->list.n && a[0]->kind == EHM_PKL_STR &&
        same("module", a[0]->str.s, a[0]->str.n))
        return ehm_pkl_fail(vm, EHM_E_UNSUPPORTED,
                            "a whole module was saved, with its code; only its state_dict can be read");
    if (id->kind != EHM_PKL_TUPLE || id->list.n < 5 || a[0]->kind != EHM_PKL_STR ||
        !same("storage", a[0]->str.s, a[0]->str.n) || a[1]->kind != EHM_PKL_GLOBAL ||
        (a[1]->global->action != STORAGE && a[1]->global->action != UNTYPED) || a[2]->kind != EHM_PKL_STR ||
        a[4]->kind != EHM_PKL_INT)
        return ehm_pkl_fail(vm, EHM_E_FORMAT, "a reference to outside the pickle that is no storage");
    const ehm_pkl_global *type = a[1]->global;
    if (type->action == STORAGE && type->dtype == NONE)
        return ehm_pkl_fail(vm, EHM_E_UNSUPPORTED, "a %s tensor (%s), which is not read", type->note,
                            type->name);
    char shown[84];
    if (!a[2]->str.n || a[2]->str.n > 64 || memchr(a[2]->str.s, 0, a[2]->str.n))
        return ehm_pkl_fail(vm, EHM_E_FORMAT, "a storage of the name \"%s\"",
                            ehm_pth_shown(shown, a[2]->str.s, a[2]->str.n));
    ehm_pkl *v = ehm_pkl_new(vm, EHM_PKL_STORAGE);
    ehm_pkl_storage *s = v ? ehm_pkl_room(vm, sizeof *s) : NULL;
    char *key = s ? ehm_pkl_room(vm, a[2]->str.n + 1) : NULL;
    if (!key) return vm->failed;
    memcpy(key, a[2]->str.s, a[2]->str.n);
    s->key = key;
    s->untyped = type->action == UNTYPED;
    s->dtype = s->untyped ? EHM_U8 : (ehm_dtype)type->dtype;
    s->item_bytes = s->untyped ? 1 : ehm_dtype_size(s->dtype);
    s->count = s->usable = a[4]->i;
    if (s->count < 0 || s->count > INT64_MAX / (int64_t)s->item_bytes)
        return ehm_pkl_fail(vm, EHM_E_FORMAT, "the storage \"%s\" of %lld values", key, (long long)s->count);
    if (id->list.n > 5 &&
        a[5]->kind !=
            EHM_PKL_NONE) { /* a view of a storage (torch before 0.4): its name, first value, count */
        const ehm_pkl *w = a[5];
        if (w->kind != EHM_PKL_TUPLE || w->list.n != 3 || w->list.item[1]->kind != EHM_PKL_INT ||
            w->list.item[2]->kind != EHM_PKL_INT)
            return ehm_pkl_fail(vm, EHM_E_FORMAT, "a view of the storage \"%s\" that is none", key);
        s->first = w->list.item[1]->i, s->usable = w->list.item[2]->i;
        if (s->first < 0 || s->usable < 0 || s->first > s->count || s->usable > s->count - s->first)
            return ehm_pkl_fail(vm, EHM_E_FORMAT, "a view that reads outside the storage \"%s\"", key);
    }
    v->storage = s;
    *out = v;
    if (vm->n_storage == vm->cap_storage) {
        int32_t cap =
            vm->cap_storage ? vm->cap_storage * 2 : 64; /* below 2 * EHM_PKL_VALUES: each is a value */
        ehm_pkl_storage **p = ehm_pkl_room(vm, (size_t)cap * sizeof *p);
        if (!p) return vm->failed;
        if (vm->n_storage) memcpy(p, vm->storage, (size_t)vm->n_storage * sizeof *p);
        vm->storage = p, vm->cap_storage = cap;
    }
    vm->storage[vm->n_storage++] = s;
    return EHM_OK;
}

/* ---- plain values ---- */

/* Copies count as objects, so that copying one large dict often is no way around the limit. */
static ehm_code add_pair(ehm_pkl_vm *vm, ehm_pkl *dict, ehm_pkl *key, ehm_pkl *value) {
    if (vm->n_values >= EHM_PKL_VALUES)
        return ehm_pkl_fail(vm, EHM_E_FORMAT, "more than %d objects", (int)EHM_PKL_VALUES);
    vm->n_values++;
    EHM_TRY(ehm_pkl_push_item(vm, dict, key));
    return ehm_pkl_push_item(vm, dict, value);
}

static ehm_code add_all(ehm_pkl_vm *vm, ehm_pkl *dict, const ehm_pkl *from) {
    for (int32_t i = 0; i + 1 < from->list.n; i += 2)
        EHM_TRY(add_pair(vm, dict, from->list.item[i], from->list.item[i + 1]));
    return EHM_OK;
}

static ehm_code make_dict(ehm_pkl **out, ehm_pkl_vm *vm, const ehm_pkl *args) {
    ehm_pkl *v = ehm_pkl_new(vm, EHM_PKL_DICT);
    if (!v) return vm->failed;
    *out = v;
    for (int32_t i = 0; i < args->list.n; i++) {
        const ehm_pkl *a = args->list.item[i];
        if (a->kind == EHM_PKL_DICT) EHM_TRY(add_all(vm, v, a));
        else if (a->kind == EHM_PKL_LIST ||
                 a->kind == EHM_PKL_TUPLE) /* pairs, as Python 2 stored an OrderedDict */
            for (int32_t k = 0; k < a->list.n; k++) {
                const ehm_pkl *pair = a->list.item[k];
                if ((pair->kind != EHM_PKL_LIST && pair->kind != EHM_PKL_TUPLE) || pair->list.n != 2)
                    return ehm_pkl_fail(vm, EHM_E_FORMAT, "a dict of what are no pairs");
                EHM_TRY(add_pair(vm, v, pair->list.item[0], pair->list.item[1]));
            }
        else if (a->kind != EHM_PKL_GLOBAL &&
                 a->kind != EHM_PKL_NONE) /* those: what a missing key would be */
            return ehm_pkl_fail(vm, EHM_E_FORMAT, "a dict of what is none");
    }
    return EHM_OK;
}

/* _codecs.encode(text, "latin1"): each character is one byte. */
static ehm_code encode(ehm_pkl **out, ehm_pkl_vm *vm, const ehm_pkl *args) {
    ehm_pkl **a = args->list.item;
    if (args->list.n != 2 || a[0]->kind != EHM_PKL_STR || a[1]->kind != EHM_PKL_STR ||
        !same("latin1", a[1]->str.s, a[1]->str.n))
        return ehm_pkl_fail(vm, EHM_E_FORMAT, "bytes that are no text in latin1");
    ehm_pkl *v = ehm_pkl_new(vm, EHM_PKL_BYTES);
    char *p = v ? ehm_pkl_room(vm, a[0]->str.n + 1) : NULL;
    if (!p) return vm->failed;
    const uint8_t *s = (const uint8_t *)a[0]->str.s;
    size_t n = 0;
    for (size_t i = 0; i < a[0]->str.n; i++) { /* UTF-8 was checked: a lead byte has its followers */
        if (s[i] < 0x80) p[n++] = (char)s[i];
        else if (s[i] == 0xc2 || s[i] == 0xc3) p[n++] = (char)((s[i] & 3) << 6 | (s[i + 1] & 0x3f)), i++;
        else return ehm_pkl_fail(vm, EHM_E_FORMAT, "bytes beyond 255");
    }
    v->str.s = p, v->str.n = n;
    *out = v;
    return EHM_OK;
}

static ehm_code number_type(ehm_pkl **out, ehm_pkl_vm *vm, const ehm_pkl *args) {
    const ehm_pkl *a = args->list.n ? args->list.item[0] : NULL;
    bool plain = a && a->kind == EHM_PKL_STR && a->str.n == 2 && memchr("fiub", a->str.s[0], 4) &&
                 memchr("1248", a->str.s[1], 4);
    ehm_pkl *v = ehm_pkl_new(vm, plain ? EHM_PKL_NUMTYPE : EHM_PKL_PASSED);
    if (!v) return vm->failed;
    if (plain) v->num.kind = a->str.s[0], v->num.bytes = (uint8_t)(a->str.s[1] - '0');
    *out = v;
    return EHM_OK;
}

/* A number of NumPy's: (type, bytes). Half floats and the like are passed over. */
static ehm_code number(ehm_pkl **out, ehm_pkl_vm *vm, const ehm_pkl *args) {
    ehm_pkl **a = args->list.item;
    ehm_pkl *v = ehm_pkl_new(vm, EHM_PKL_PASSED);
    if (!v) return vm->failed;
    *out = v;
    if (args->list.n != 2 || a[0]->kind != EHM_PKL_NUMTYPE ||
        (a[1]->kind != EHM_PKL_BYTES && a[1]->kind != EHM_PKL_STR))
        return EHM_OK;
    int bytes = a[0]->num.bytes;
    const uint8_t *p = (const uint8_t *)a[1]->str.s;
    uint64_t u = 0;
    if (a[1]->str.n != (size_t)bytes)
        return ehm_pkl_fail(vm, EHM_E_FORMAT, "a number of %zu bytes, not %d", a[1]->str.n, bytes);
    for (int i = 0; i < bytes; i++) u = u << 8 | p[a[0]->num.big_endian ? i : bytes - 1 - i];
    if (a[0]->num.kind == 'f') {
        uint32_t low = (uint32_t)u;
        float f;
        if (bytes < 4) return EHM_OK;
        memcpy(&f, &low, 4);
        memcpy(&v->f, &u, 8);
        if (bytes == 4) v->f = (double)f;
        v->kind = EHM_PKL_FLOAT;
        return EHM_OK;
    }
    if (a[0]->num.kind == 'u' && bytes == 8 && u >> 63) return EHM_OK;
    if (a[0]->num.kind == 'i' && bytes < 8 && u >> (8 * bytes - 1)) u |= UINT64_MAX << (8 * bytes);
    v->i = (int64_t)u;
    v->kind = a[0]->num.kind == 'b' ? EHM_PKL_BOOL : EHM_PKL_INT;
    return EHM_OK;
}

ehm_code ehm_pkl_call(ehm_pkl **out, ehm_pkl_vm *vm, ehm_pkl *callee, ehm_pkl *args) {
    *out = NULL;
    if (callee->kind != EHM_PKL_GLOBAL) return ehm_pkl_fail(vm, EHM_E_FORMAT, "it calls what is no name");
    const ehm_pkl_global *g = callee->global;
    ehm_pkl *first = args->list.n ? args->list.item[0] : NULL;
    switch (g->action) {
    case DICT: return make_dict(out, vm, args);
    case NAMESPACE:
        *out = ehm_pkl_new(vm, EHM_PKL_DICT);
        if (!*out) return vm->failed;
        (*out)->takes_state = true;
        return EHM_OK;
    case REBUILD_1: case REBUILD_2: case REBUILD_3: return rebuild(out, vm, g->action, args);
    case PARAMETER:
        if (!first || first->kind != EHM_PKL_TENSOR)
            return ehm_pkl_fail(vm, EHM_E_FORMAT, "a parameter without its tensor");
        return *out = first, EHM_OK;
    case FROM_TYPE: return rebuild_from_type(out, vm, args);
    case SIZE:
        if (!first || (first->kind != EHM_PKL_TUPLE && first->kind != EHM_PKL_LIST))
            return ehm_pkl_fail(vm, EHM_E_FORMAT, "a size of what is no list");
        return *out = first, EHM_OK;
    case DEVICE:
        *out = args->list.n == 1 && first->kind == EHM_PKL_STR ? first : ehm_pkl_new(vm, EHM_PKL_PASSED);
        return *out ? EHM_OK : vm->failed;
    case ENCODE: return encode(out, vm, args);
    case NUM_TYPE: return number_type(out, vm, args);
    case NUM_SCALAR: return number(out, vm, args);
    case PASSED:
        *out = ehm_pkl_new(vm, EHM_PKL_PASSED);
        return *out ? EHM_OK : vm->failed;
    case REFUSED: return ehm_pkl_fail(vm, EHM_E_UNSUPPORTED, "%s, which is not read", g->note);
    case TENSOR_TYPE: case STORAGE: case UNTYPED: case DTYPE: case WORD: break;
    }
    return ehm_pkl_fail(vm, EHM_E_FORMAT, "it calls \"%s.%s\", which only names a type; nothing was executed",
                        g->module, g->name);
}

ehm_code ehm_pkl_set_state(ehm_pkl_vm *vm, ehm_pkl *object, ehm_pkl *state) {
    switch (object->kind) {
    case EHM_PKL_PASSED: return EHM_OK;
    case EHM_PKL_DICT: /* of an OrderedDict: attributes, such as a state_dict's _metadata */
        return object->takes_state && state->kind == EHM_PKL_DICT && state != object
                   ? add_all(vm, object, state)
                   : EHM_OK;
    case EHM_PKL_NUMTYPE:
        if (state->kind == EHM_PKL_TUPLE && state->list.n > 1 && state->list.item[1]->kind == EHM_PKL_STR)
            object->num.big_endian = same(">", state->list.item[1]->str.s, state->list.item[1]->str.n);
        return EHM_OK;
    default: return ehm_pkl_fail(vm, EHM_E_FORMAT, "it gives a state to what has none");
    }
}
