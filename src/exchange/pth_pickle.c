/* The instructions of a pickle (Python's pickletools describes them), those of protocols 2 to 5 that
 * torch.save writes. They make plain values; the few that make objects (GLOBAL, REDUCE, BUILD...) go to the
 * table in pth_build.c. */
#include "exchange/pth_int.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLAB = 64 << 10, N_GLOBAL_TEXT = 256 };

ehm_code ehm_pkl_fail(ehm_pkl_vm *vm, ehm_code code, const char *fmt, ...) {
    char text[EHM_ERR_WHAT];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    vm->failed = code;
    return EHM_FAIL(vm->err, code, "%s: byte %zu of %s: %s", vm->path, vm->base + vm->op_at, vm->where, text);
}

static ehm_code no_memory(ehm_pkl_vm *vm) {
    vm->failed = EHM_E_MEMORY;
    return EHM_FAIL(vm->err, EHM_E_MEMORY, "%s: no memory for the objects of %s", vm->path, vm->where);
}

void *ehm_pkl_room(ehm_pkl_vm *vm, size_t bytes) {
    bytes = (bytes + 7) & ~(size_t)7;
    if (bytes > vm->slab_left) {
        if (bytes > SLAB / 4) { /* its own; the slab goes on */
            void *p = ehm_arena_alloc(vm->arena, 1, bytes);
            if (!p) no_memory(vm);
            return p;
        }
        vm->slab = ehm_arena_alloc(vm->arena, 1, SLAB);
        vm->slab_left = vm->slab ? SLAB : 0;
        if (!vm->slab) return no_memory(vm), NULL;
    }
    void *p = vm->slab;
    vm->slab += bytes, vm->slab_left -= bytes;
    return p;
}

ehm_pkl *ehm_pkl_new(ehm_pkl_vm *vm, ehm_pkl_kind kind) {
    if (vm->n_values >= EHM_PKL_VALUES) {
        ehm_pkl_fail(vm, EHM_E_FORMAT, "more than %d objects", (int)EHM_PKL_VALUES);
        return NULL;
    }
    ehm_pkl *v = ehm_pkl_room(vm, sizeof *v);
    if (v) v->kind = (uint8_t)kind, vm->n_values++;
    return v;
}

/* Room for one more of an array of pointers or numbers that doubles; the old copy stays in the arena, so all
 * together take twice the last. */
static ehm_code grow(ehm_pkl_vm *vm, void *array, int32_t n, int32_t *cap, size_t item_bytes, int32_t limit,
                     const char *what) {
    void *old, *p;
    if (n < *cap) return EHM_OK;
    if (n >= limit) return ehm_pkl_fail(vm, EHM_E_FORMAT, "more than %d %s", (int)limit, what);
    int32_t bigger = *cap ? *cap > limit / 2 ? limit : *cap * 2 : 4;
    memcpy(&old, array, sizeof old);
    p = ehm_pkl_room(vm, (size_t)bigger * item_bytes);
    if (!p) return vm->failed;
    if (n) memcpy(p, old, (size_t)n * item_bytes);
    memcpy(array, &p, sizeof p);
    *cap = bigger;
    return EHM_OK;
}

ehm_code ehm_pkl_push_item(ehm_pkl_vm *vm, ehm_pkl *list, ehm_pkl *item) {
    EHM_TRY(grow(vm, &list->list.item, list->list.n, &list->list.cap, sizeof item, 2 * EHM_PKL_VALUES,
                 "items in one list"));
    list->list.item[list->list.n++] = item;
    return EHM_OK;
}

/* ---- the stack ---- */

static ehm_code push(ehm_pkl_vm *vm, ehm_pkl *v) {
    if (!v) return vm->failed; /* ehm_pkl_new has said why */
    EHM_TRY(
        grow(vm, &vm->stack, vm->n_stack, &vm->cap_stack, sizeof v, EHM_PKL_VALUES, "objects on the stack"));
    vm->stack[vm->n_stack++] = v;
    return EHM_OK;
}

static int32_t floor_of(const ehm_pkl_vm *vm) { return vm->n_mark ? vm->mark[vm->n_mark - 1] : 0; }

/* The topmost count objects above the last mark. */
static ehm_code need(ehm_pkl_vm *vm, int32_t count) {
    return vm->n_stack - floor_of(vm) >= count
               ? EHM_OK
               : ehm_pkl_fail(vm, EHM_E_FORMAT, "takes an object from an empty stack");
}

static ehm_code pop(ehm_pkl_vm *vm, ehm_pkl **out) {
    *out = NULL;
    EHM_TRY(need(vm, 1));
    *out = vm->stack[--vm->n_stack];
    return EHM_OK;
}

/* All above the last mark, which goes; they stay readable at *items until the next push. */
static ehm_code pop_mark(ehm_pkl_vm *vm, ehm_pkl ***items, int32_t *n) {
    *items = NULL, *n = 0;
    if (!vm->n_mark) return ehm_pkl_fail(vm, EHM_E_FORMAT, "there is no mark");
    int32_t from = vm->mark[--vm->n_mark];
    *n = vm->n_stack - from, vm->n_stack = from;
    *items = vm->stack + from;
    return EHM_OK;
}

static ehm_code push_mark(ehm_pkl_vm *vm) {
    EHM_TRY(grow(vm, &vm->mark, vm->n_mark, &vm->cap_mark, sizeof *vm->mark, EHM_PKL_MARKS, "open marks"));
    vm->mark[vm->n_mark++] = vm->n_stack;
    return EHM_OK;
}

/* ---- bytes of the instructions ---- */

static ehm_code take(ehm_pkl_vm *vm, const uint8_t **out, uint64_t n) {
    *out = NULL;
    if (n > vm->n - vm->at)
        return ehm_pkl_fail(vm, EHM_E_FORMAT, "needs %llu bytes, but %zu are left; is the file cut short?",
                            (unsigned long long)n, vm->n - vm->at);
    *out = vm->code + vm->at;
    vm->at += (size_t)n;
    return EHM_OK;
}

static ehm_code take_uint(ehm_pkl_vm *vm, int n_bytes, uint64_t *out) {
    const uint8_t *p;
    *out = 0;
    EHM_TRY(take(vm, &p, (uint64_t)n_bytes));
    for (int i = n_bytes - 1; i >= 0; i--) *out = *out << 8 | p[i];
    return EHM_OK;
}

/* Well-formed UTF-8 (RFC 3629); lone surrogates, which pickle would let through, are no names either. */
static bool is_utf8(const uint8_t *s, size_t n) {
    for (size_t i = 0; i < n;) {
        uint8_t c = s[i++];
        if (c < 0x80) continue;
        int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
        if (c < 0xc2 || c > 0xf4 || n - i < (size_t)more) return false;
        uint32_t v = c & (0x3fu >> more);
        for (int k = 0; k < more; k++, i++) {
            if ((s[i] & 0xc0) != 0x80) return false;
            v = v << 6 | (s[i] & 0x3f);
        }
        if ((more == 2 && (v < 0x800 || (v >= 0xd800 && v < 0xe000))) ||
            (more == 3 && (v < 0x10000 || v > 0x10ffff)))
            return false;
    }
    return true;
}

static ehm_code push_text(ehm_pkl_vm *vm, ehm_pkl_kind kind, int n_size) {
    const uint8_t *p;
    uint64_t n;
    EHM_TRY(take_uint(vm, n_size, &n));
    EHM_TRY(take(vm, &p, n));
    if (kind == EHM_PKL_STR && !is_utf8(p, (size_t)n))
        return ehm_pkl_fail(vm, EHM_E_FORMAT, "a string that is no UTF-8");
    ehm_pkl *v = ehm_pkl_new(vm, kind);
    if (v) v->str.s = (const char *)p, v->str.n = (size_t)n;
    return push(vm, v);
}

/* Python 2's str is text in keys and bytes in numbers of NumPy. */
static ehm_code push_python2(ehm_pkl_vm *vm, int n_size) {
    EHM_TRY(push_text(vm, EHM_PKL_BYTES, n_size));
    ehm_pkl *v = vm->stack[vm->n_stack - 1];
    if (is_utf8((const uint8_t *)v->str.s, v->str.n)) v->kind = EHM_PKL_STR;
    return EHM_OK;
}

static ehm_code push_int(ehm_pkl_vm *vm, int64_t i) {
    ehm_pkl *v = ehm_pkl_new(vm, EHM_PKL_INT);
    if (v) v->i = i;
    return push(vm, v);
}

static ehm_code push_uint(ehm_pkl_vm *vm, int n_bytes) {
    uint64_t u;
    EHM_TRY(take_uint(vm, n_bytes, &u));
    return push_int(vm,
                    n_bytes == 4 ? (int64_t)(int32_t)(uint32_t)u : (int64_t)u); /* only BININT has a sign */
}

static ehm_code push_long(ehm_pkl_vm *vm, int n_size) {
    const uint8_t *p;
    uint64_t n, u = 0;
    EHM_TRY(take_uint(vm, n_size, &n));
    EHM_TRY(take(vm, &p, n));
    if (n > 8) {
        ehm_pkl *v = ehm_pkl_new(vm, EHM_PKL_BIG);
        if (v) v->str.s = (const char *)p, v->str.n = (size_t)n;
        return push(vm, v);
    }
    if (n && p[n - 1] & 0x80) u = UINT64_MAX; /* the sign goes on upwards */
    for (int i = (int)n - 1; i >= 0; i--) u = u << 8 | p[i];
    return push_int(vm, (int64_t)u);
}

static ehm_code push_float(ehm_pkl_vm *vm) {
    const uint8_t *p;
    uint64_t u = 0;
    EHM_TRY(take(vm, &p, 8));
    for (int i = 0; i < 8; i++) u = u << 8 | p[i]; /* big endian, alone in the format */
    ehm_pkl *v = ehm_pkl_new(vm, EHM_PKL_FLOAT);
    if (v) memcpy(&v->f, &u, 8);
    return push(vm, v);
}

static ehm_code push_bool(ehm_pkl_vm *vm, bool b) {
    ehm_pkl *v = ehm_pkl_new(vm, EHM_PKL_BOOL);
    if (v) v->i = b;
    return push(vm, v);
}

/* ---- containers ---- */

static ehm_code push_list_of(ehm_pkl_vm *vm, ehm_pkl_kind kind, ehm_pkl **items, int32_t n) {
    ehm_pkl *v = ehm_pkl_new(vm, kind);
    if (v && n) { /* items are still on the stack's memory: copied before the push */
        v->list.item = ehm_pkl_room(vm, (size_t)n * sizeof *items);
        if (!v->list.item) return vm->failed;
        memcpy(v->list.item, items, (size_t)n * sizeof *items);
        v->list.n = v->list.cap = n;
    }
    return push(vm, v);
}

static ehm_code push_tuple(ehm_pkl_vm *vm, int32_t n) {
    EHM_TRY(need(vm, n));
    vm->n_stack -= n;
    return push_list_of(vm, EHM_PKL_TUPLE, vm->stack + vm->n_stack, n);
}

static ehm_code push_marked(ehm_pkl_vm *vm, ehm_pkl_kind kind) {
    ehm_pkl **items;
    int32_t n;
    EHM_TRY(pop_mark(vm, &items, &n));
    if (kind == EHM_PKL_DICT && n % 2)
        return ehm_pkl_fail(vm, EHM_E_FORMAT, "a dict with a key that has no value");
    if (kind == EHM_PKL_PASSED) { /* a frozen set */
        return push(vm, ehm_pkl_new(vm, kind));
    }
    return push_list_of(vm, kind, items, n);
}

static ehm_code add_items(ehm_pkl_vm *vm, ehm_pkl_kind kind, ehm_pkl **items, int32_t n) {
    EHM_TRY(need(vm, 1));
    ehm_pkl *to = vm->stack[vm->n_stack - 1];
    if (to->kind == EHM_PKL_PASSED) return EHM_OK; /* what it holds is passed over too */
    if (to->kind != kind)
        return ehm_pkl_fail(vm, EHM_E_FORMAT, "puts items into what is no %s",
                            kind == EHM_PKL_DICT ? "dict" : "list");
    if (kind == EHM_PKL_DICT && n % 2) return ehm_pkl_fail(vm, EHM_E_FORMAT, "a key that has no value");
    for (int32_t i = 0; i < n; i++) EHM_TRY(ehm_pkl_push_item(vm, to, items[i]));
    return EHM_OK;
}

static ehm_code add_marked(ehm_pkl_vm *vm, ehm_pkl_kind kind) {
    ehm_pkl **items;
    int32_t n;
    EHM_TRY(pop_mark(vm, &items, &n));
    return add_items(vm, kind, items, n);
}

static ehm_code add_top(ehm_pkl_vm *vm, ehm_pkl_kind kind, int32_t n) {
    EHM_TRY(need(vm, n + 1));
    vm->n_stack -= n;
    return add_items(vm, kind, vm->stack + vm->n_stack, n);
}

/* ---- memo ---- */

static ehm_code put(ehm_pkl_vm *vm, uint64_t slot) {
    EHM_TRY(need(vm, 1));
    if (slot >= EHM_PKL_VALUES)
        return ehm_pkl_fail(vm, EHM_E_FORMAT, "memo slot %llu, more than %d", (unsigned long long)slot,
                            (int)EHM_PKL_VALUES);
    if (slot >= (uint64_t)vm->cap_memo) { /* straight to the slot: a pickle may skip some */
        int32_t cap = vm->cap_memo ? vm->cap_memo : 64;
        while ((uint64_t)cap <= slot) cap = cap > EHM_PKL_VALUES / 2 ? EHM_PKL_VALUES : cap * 2;
        ehm_pkl **p = ehm_pkl_room(vm, (size_t)cap * sizeof *p);
        if (!p) return vm->failed;
        if (vm->cap_memo) memcpy(p, vm->memo, (size_t)vm->cap_memo * sizeof *p);
        vm->memo = p, vm->cap_memo = cap;
    }
    if (!vm->memo[slot]) vm->n_memo++;
    vm->memo[slot] = vm->stack[vm->n_stack - 1];
    return EHM_OK;
}

static ehm_code get(ehm_pkl_vm *vm, uint64_t slot) {
    if (slot >= (uint64_t)vm->cap_memo || !vm->memo[slot])
        return ehm_pkl_fail(vm, EHM_E_FORMAT, "memo slot %llu is empty", (unsigned long long)slot);
    return push(vm, vm->memo[slot]);
}

static ehm_code put_or_get(ehm_pkl_vm *vm, int n_bytes, bool is_put) {
    uint64_t slot;
    EHM_TRY(take_uint(vm, n_bytes, &slot));
    return is_put ? put(vm, slot) : get(vm, slot);
}

/* ---- names and objects ---- */

static ehm_code push_global(ehm_pkl_vm *vm, const char *module, size_t n_module, const char *name,
                            size_t n_name) {
    const ehm_pkl_global *g;
    EHM_TRY(ehm_pkl_global_of(&g, vm, module, n_module, name, n_name));
    ehm_pkl *v = ehm_pkl_new(vm, EHM_PKL_GLOBAL);
    if (v) v->global = g;
    return push(vm, v);
}

/* Two lines of text. */
static ehm_code global_lines(ehm_pkl_vm *vm) {
    const uint8_t *part[2];
    size_t len[2];
    for (int k = 0; k < 2; k++) {
        size_t room = vm->n - vm->at;
        const uint8_t *p = vm->code + vm->at,
                      *end = room ? memchr(p, '\n', room < N_GLOBAL_TEXT ? room : N_GLOBAL_TEXT) : NULL;
        if (!end) return ehm_pkl_fail(vm, EHM_E_FORMAT, "a name that does not end");
        part[k] = p, len[k] = (size_t)(end - p);
        vm->at += len[k] + 1;
    }
    return push_global(vm, (const char *)part[0], len[0], (const char *)part[1], len[1]);
}

static ehm_code global_of_stack(ehm_pkl_vm *vm) {
    ehm_pkl *module, *name;
    EHM_TRY(pop(vm, &name));
    EHM_TRY(pop(vm, &module));
    if (module->kind != EHM_PKL_STR || name->kind != EHM_PKL_STR)
        return ehm_pkl_fail(vm, EHM_E_FORMAT, "a name that is no string");
    return push_global(vm, module->str.s, module->str.n, name->str.s, name->str.n);
}

/* n_args objects: callee, args (and keywords, which have to be none). */
static ehm_code call(ehm_pkl_vm *vm, bool with_keywords) {
    ehm_pkl *callee, *args, *keywords = NULL, *out;
    if (with_keywords) EHM_TRY(pop(vm, &keywords));
    EHM_TRY(pop(vm, &args));
    EHM_TRY(pop(vm, &callee));
    if (args->kind != EHM_PKL_TUPLE) return ehm_pkl_fail(vm, EHM_E_FORMAT, "arguments that are no tuple");
    if (keywords && (keywords->kind != EHM_PKL_DICT || keywords->list.n))
        return ehm_pkl_fail(vm, EHM_E_UNSUPPORTED, "an object made with named arguments");
    EHM_TRY(ehm_pkl_call(&out, vm, callee, args));
    return push(vm, out);
}

static ehm_code build(ehm_pkl_vm *vm) {
    ehm_pkl *state;
    EHM_TRY(pop(vm, &state));
    EHM_TRY(need(vm, 1));
    return ehm_pkl_set_state(vm, vm->stack[vm->n_stack - 1], state);
}

static ehm_code persistent(ehm_pkl_vm *vm) {
    ehm_pkl *id, *out;
    EHM_TRY(pop(vm, &id));
    EHM_TRY(ehm_pkl_persistent(&out, vm, id));
    return push(vm, out);
}

static ehm_code protocol(ehm_pkl_vm *vm) {
    uint64_t version;
    EHM_TRY(take_uint(vm, 1, &version));
    if (version < 2 || version > 5)
        return ehm_pkl_fail(vm, EHM_E_UNSUPPORTED, "pickle protocol %d; 2 to 5 are read", (int)version);
    return EHM_OK;
}

static ehm_code frame(ehm_pkl_vm *vm) {
    uint64_t n;
    EHM_TRY(take_uint(vm, 8, &n));
    if (n > vm->n - vm->at)
        return ehm_pkl_fail(vm, EHM_E_FORMAT,
                            "a frame of %llu bytes, but %zu are left; is the file cut short?",
                            (unsigned long long)n, vm->n - vm->at);
    return EHM_OK;
}

static ehm_code unread(ehm_pkl_vm *vm, uint8_t op) {
    static const struct { char op[2]; const char *name;
    } known[] = {
        {"I", "INT"},     {"L", "LONG"},           {"F", "FLOAT"},
        {"S", "STRING"},  {"V", "UNICODE"},        {"p", "PUT"},
        {"g", "GET"},     {"P", "PERSID"},         {"i", "INST"},
        {"o", "OBJ"},     {"\x82", "EXT1"},        {"\x83", "EXT2"},
        {"\x84", "EXT4"}, {"\x97", "NEXT_BUFFER"}, {"\x98", "READONLY_BUFFER"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if ((uint8_t)known[i].op[0] == op)
            return ehm_pkl_fail(vm, EHM_E_FORMAT, "the pickle instruction %s, which torch.save never writes",
                                known[i].name);
    return ehm_pkl_fail(vm, EHM_E_FORMAT, "0x%02x is no pickle instruction", op);
}

static ehm_code step(ehm_pkl_vm *vm, uint8_t op) {
    ehm_pkl *v, **items;
    int32_t n;
    switch (op) {
    case 0x80: return protocol(vm);
    case 0x95: return frame(vm);
    case '(': return push_mark(vm);
    case '0': /* POP: of a mark, if that is on top */
        if (vm->n_mark && vm->n_stack == floor_of(vm)) return vm->n_mark--, EHM_OK;
        return pop(vm, &v);
    case '1': return pop_mark(vm, &items, &n);
    case '2': EHM_TRY(need(vm, 1)); return push(vm, vm->stack[vm->n_stack - 1]);
    case 'N': return push(vm, ehm_pkl_new(vm, EHM_PKL_NONE));
    case 0x88: return push_bool(vm, true);
    case 0x89: return push_bool(vm, false);
    case 'K': return push_uint(vm, 1);
    case 'M': return push_uint(vm, 2);
    case 'J': return push_uint(vm, 4);
    case 0x8a: return push_long(vm, 1);
    case 0x8b: return push_long(vm, 4);
    case 'G': return push_float(vm);
    case 0x8c: return push_text(vm, EHM_PKL_STR, 1);
    case 'X': return push_text(vm, EHM_PKL_STR, 4);
    case 0x8d: return push_text(vm, EHM_PKL_STR, 8);
    case 'U': return push_python2(vm, 1);
    case 'T': return push_python2(vm, 4);
    case 'C': return push_text(vm, EHM_PKL_BYTES, 1);
    case 'B': return push_text(vm, EHM_PKL_BYTES, 4);
    case 0x8e: return push_text(vm, EHM_PKL_BYTES, 8);
    case 0x96: return push_text(vm, EHM_PKL_BYTES, 8); /* bytearray */
    case '}': return push_list_of(vm, EHM_PKL_DICT, NULL, 0);
    case ']': return push_list_of(vm, EHM_PKL_LIST, NULL, 0);
    case ')': return push_list_of(vm, EHM_PKL_TUPLE, NULL, 0);
    case 0x8f: return push(vm, ehm_pkl_new(vm, EHM_PKL_PASSED)); /* a set */
    case 'd': return push_marked(vm, EHM_PKL_DICT);
    case 'l': return push_marked(vm, EHM_PKL_LIST);
    case 't': return push_marked(vm, EHM_PKL_TUPLE);
    case 0x91: return push_marked(vm, EHM_PKL_PASSED);
    case 0x85: return push_tuple(vm, 1);
    case 0x86: return push_tuple(vm, 2);
    case 0x87: return push_tuple(vm, 3);
    case 'a': return add_top(vm, EHM_PKL_LIST, 1);
    case 'e': return add_marked(vm, EHM_PKL_LIST);
    case 's': return add_top(vm, EHM_PKL_DICT, 2);
    case 'u': return add_marked(vm, EHM_PKL_DICT);
    case 0x90: return add_marked(vm, EHM_PKL_PASSED);
    case 'q': return put_or_get(vm, 1, true);
    case 'r': return put_or_get(vm, 4, true);
    case 0x94: return put(vm, (uint64_t)vm->n_memo); /* MEMOIZE numbers them itself */
    case 'h': return put_or_get(vm, 1, false);
    case 'j': return put_or_get(vm, 4, false);
    case 'c': return global_lines(vm);
    case 0x93: return global_of_stack(vm);
    case 'R': return call(vm, false);
    case 0x81: return call(vm, false);
    case 0x92: return call(vm, true);
    case 'b': return build(vm);
    case 'Q': return persistent(vm);
    default: return unread(vm, op);
    }
}

ehm_code ehm_pkl_read(ehm_pkl **out, ehm_pkl_vm *vm) {
    *out = NULL;
    vm->n_stack = vm->n_mark = vm->n_memo = 0;
    if (vm->cap_memo) memset(vm->memo, 0, (size_t)vm->cap_memo * sizeof *vm->memo);
    for (size_t from = vm->at;;) {
        const uint8_t *op;
        vm->op_at = vm->at;
        if (vm->at - from > EHM_PKL_CODE_BYTES)
            return ehm_pkl_fail(vm, EHM_E_UNSUPPORTED, "more than %d MiB of pickle instructions",
                                (int)(EHM_PKL_CODE_BYTES >> 20));
        EHM_TRY(take(vm, &op, 1));
        if (*op == '.') break;
        EHM_TRY(step(vm, *op));
    }
    if (vm->n_stack != 1 || vm->n_mark)
        return ehm_pkl_fail(vm, EHM_E_FORMAT, "the pickle ends with %d objects on its stack, not one",
                            (int)vm->n_stack);
    *out = vm->stack[0];
    return EHM_OK;
}
