#include "exchange/pth.h"
#include "base/json.h"
#include "base/str.h"
#include "exchange/pth_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { META_MAX = 256, META_TEXT = 4096, LEGACY_PROTOCOL = 1001, FREE_BYTES = 256 << 20, TIMES = 16 };

static const uint8_t legacy_magic[10] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};

/* What stays behind an ehm_st of this kind: the caller's bytes, and tensors that had to be laid out anew. */
typedef struct {
    ehm_arena built;
    void *owned;
    void (*free_owned)(void *);
} holder;

typedef struct { const char *name; const ehm_pkl_tensor *t; } named;
typedef struct { ehm_st_meta m; int32_t depth; } meta_found;

typedef struct {
    const uint8_t *file;
    size_t n;
    const char *path;
    ehm_err *err;
    ehm_arena *arena;   /* until the end of reading */
    holder *hold;
    ehm_pkl_vm vm;
    ehm_str name;       /* the way to where the walk is */
    int64_t n_visits;
    named *tensor; int32_t n_tensor, cap_tensor;
    meta_found *meta; int32_t n_meta, cap_meta;
    int32_t n_meta_at[EHM_PKL_DEPTH + 1]; /* by depth: later ones of a full depth would be left out anyway */
    size_t built_bytes;
} reader;

/* What a file of n bytes may take in memory: objects and names, and apart from them tensors that are laid out
 * anew. */
static size_t most_of(size_t n) {
    return n < (SIZE_MAX - FREE_BYTES) / TIMES ? n * TIMES + FREE_BYTES : SIZE_MAX;
}

static void release(void *p) {
    holder *h = p;
    ehm_arena_free(&h->built);
    if (h->free_owned) h->free_owned(h->owned);
    free(h);
}

/* ---- from the object to names ---- */

static ehm_code no_memory(reader *r) {
    return EHM_FAIL(r->err, EHM_E_MEMORY, "%s: no memory to read it", r->path);
}

static ehm_code add_tensor(reader *r, const ehm_pkl_tensor *t) {
    if (r->n_tensor == r->cap_tensor) {
        int32_t cap = r->cap_tensor ? r->cap_tensor * 2 : 256;
        named *p = EHM_NEW_N(r->arena, named, cap);
        if (!p) return no_memory(r);
        if (r->n_tensor) memcpy(p, r->tensor, (size_t)r->n_tensor * sizeof *p);
        r->tensor = p, r->cap_tensor = cap;
    }
    const char *name = ehm_arena_strdup(r->arena, r->name.len ? r->name.s : "tensor");
    if (!name) return no_memory(r);
    r->tensor[r->n_tensor++] = (named){name, t};
    return EHM_OK;
}

/* A number, boolean or string as text; NULL: none of them, or too long. */
static const char *text_of(reader *r, const ehm_pkl *v) {
    switch (v->kind) {
    case EHM_PKL_BOOL: return v->i ? "true" : "false";
    case EHM_PKL_INT: return ehm_arena_printf(r->arena, "%lld", (long long)v->i);
    case EHM_PKL_FLOAT: {
        ehm_str s = {0};
        ehm_json_w w = {.out = &s};
        ehm_json_f64(&w, v->f);
        const char *t = s.failed ? NULL
                                 : ehm_arena_strdup(r->arena, s.s[0] == '"' ? v->f != v->f ? "nan"
                                                                              : v->f > 0   ? "inf"
                                                                                           : "-inf"
                                                                            : s.s);
        ehm_str_free(&s);
        return t;
    }
    case EHM_PKL_STR:
        if (v->str.n > META_TEXT || memchr(v->str.s, 0, v->str.n)) return NULL;
        return ehm_arena_strndup(r->arena, v->str.s, v->str.n);
    default: return NULL;
    }
}

static ehm_code add_meta(reader *r, const ehm_pkl *v, int32_t depth) {
    if (!r->name.len || r->n_meta_at[depth] >= META_MAX) return EHM_OK;
    const char *value = text_of(r, v), *key = value ? ehm_arena_strdup(r->arena, r->name.s) : NULL;
    if (!key) return EHM_OK;
    if (r->n_meta == r->cap_meta) {
        int32_t cap = r->cap_meta ? r->cap_meta * 2 : 64;
        meta_found *p = EHM_NEW_N(r->arena, meta_found, cap);
        if (!p) return no_memory(r);
        if (r->n_meta) memcpy(p, r->meta, (size_t)r->n_meta * sizeof *p);
        r->meta = p, r->cap_meta = cap;
    }
    r->meta[r->n_meta++] = (meta_found){{key, value}, depth};
    r->n_meta_at[depth]++;
    return EHM_OK;
}

/* ".key" or ".3"; false: a key that makes no name (a tuple, a class). */
static ehm_code add_key(reader *r, const ehm_pkl *key, bool *named_out) {
    *named_out = true;
    if (r->name.len) ehm_str_addc(&r->name, '.');
    if (key->kind == EHM_PKL_STR) {
        char shown[84];
        if (key->str.n > EHM_PKL_KEY || memchr(key->str.s, 0, key->str.n))
            return EHM_FAIL(r->err, EHM_E_FORMAT,
                            "%s: a dict has the key \"%s\" of %zu bytes, which is no name", r->path,
                            ehm_pth_shown(shown, key->str.s, key->str.n), key->str.n);
        ehm_str_addn(&r->name, key->str.s, key->str.n);
    } else if (key->kind == EHM_PKL_INT) ehm_str_addf(&r->name, "%lld", (long long)key->i);
    else *named_out = false;
    if (r->name.len > EHM_PKL_NAME)
        return EHM_FAIL(r->err, EHM_E_FORMAT, "%s: a name of more than %d bytes, \"%.80s...\"", r->path,
                        (int)EHM_PKL_NAME, r->name.s);
    return r->name.failed ? no_memory(r) : EHM_OK;
}

static void back_to(reader *r, size_t len) {
    if (!r->name.s) return;
    r->name.len = len;
    r->name.s[len] = 0;
}

static bool has_inside(const ehm_pkl *v) {
    return v->kind == EHM_PKL_TENSOR || v->kind == EHM_PKL_DICT || v->kind == EHM_PKL_LIST ||
           v->kind == EHM_PKL_TUPLE;
}

static ehm_code count_visits(reader *r, int32_t n) {
    r->n_visits += n;
    return r->n_visits > EHM_PKL_VALUES
               ? EHM_FAIL(r->err, EHM_E_FORMAT, "%s: too many values, by lists that hold each other", r->path)
               : EHM_OK;
}

static ehm_code walk(reader *r, ehm_pkl *v, int32_t depth, bool in_dict);

static ehm_code walk_items(reader *r, ehm_pkl *v, int32_t depth) {
    bool dict = v->kind == EHM_PKL_DICT;
    size_t len = r->name.len;
    for (int32_t i = 0; i < v->list.n; i += dict ? 2 : 1) {
        if (!dict && !has_inside(v->list.item[i])) {
            EHM_TRY(count_visits(r, 1));
            continue; /* a long list of numbers is nothing to name */
        }
        ehm_pkl index = {.kind = EHM_PKL_INT, .i = i};
        bool is_named = true;
        EHM_TRY(add_key(r, dict ? v->list.item[i] : &index, &is_named));
        if (is_named) EHM_TRY(walk(r, v->list.item[i + (dict ? 1 : 0)], depth + 1, dict));
        back_to(r, len);
    }
    return EHM_OK;
}

/* Shared parts are walked as often as they are reached, as torch's own reader gives them; n_visits ends what
 * would never end. */
static ehm_code walk(reader *r, ehm_pkl *v, int32_t depth, bool in_dict) {
    EHM_TRY(count_visits(r, 4)); /* each makes a name */
    if (v->kind == EHM_PKL_TENSOR) return add_tensor(r, v->tensor);
    if (!has_inside(v)) return in_dict ? add_meta(r, v, depth) : EHM_OK;
    char shown[84];
    if (v->open)
        return EHM_FAIL(r->err, EHM_E_FORMAT, "%s: \"%s\" holds itself", r->path,
                        ehm_pth_shown(shown, r->name.len ? r->name.s : "", r->name.len));
    if (depth >= EHM_PKL_DEPTH)
        return EHM_FAIL(r->err, EHM_E_FORMAT,
                        "%s: lists and dicts within each other, deeper than %d (at \"%s\")", r->path,
                        (int)EHM_PKL_DEPTH, ehm_pth_shown(shown, r->name.len ? r->name.s : "", r->name.len));
    v->open = true;
    ehm_code rc = walk_items(r, v, depth);
    v->open = false;
    return rc;
}

/* ---- numbers ---- */

static bool is_row_major(const ehm_pkl_tensor *t) {
    int64_t step = 1;
    for (int32_t k = t->rank - 1; k >= 0; k--) {
        if (t->dim[k] != 1 && t->stride[k] != step) return false;
        step *= t->dim[k];
    }
    return true;
}

/* Element by element in row-major order. Everything was checked to lie within the storage. */
static void gather(uint8_t *out, const uint8_t *src, const ehm_pkl_tensor *t, size_t size) {
    int64_t at[EHM_PKL_RANK] = {0}, from = t->offset;
    int32_t last = t->rank - 1;
    for (;;) {
        for (int64_t i = 0; i < t->dim[last]; i++, out += size)
            memcpy(out, src + (size_t)(from + i * t->stride[last]) * size, size);
        int32_t k = last - 1;
        for (; k >= 0; k--) {
            from += t->stride[k];
            if (++at[k] < t->dim[k]) break;
            from -= t->stride[k] * t->dim[k];
            at[k] = 0;
        }
        if (k < 0) return;
    }
}

static ehm_code place(reader *r, ehm_st_tensor *out, const named *x) {
    const ehm_pkl_tensor *t = x->t;
    const ehm_pkl_storage *s = t->storage;
    size_t size = ehm_dtype_size(t->dtype);
    *out = (ehm_st_tensor){.name = x->name, .dtype = t->dtype, .rank = t->rank, .count = 1};
    for (int32_t k = 0; k < t->rank; k++) out->dim[k] = t->dim[k], out->count *= t->dim[k];
    out->bytes = (size_t)out->count * size;
    const uint8_t *src = s->data + (size_t)s->first * s->item_bytes;
    if (!out->count) out->data = s->data;
    else if (is_row_major(t)) out->data = src + (size_t)t->offset * size;
    if (out->data) return EHM_OK;
    /* a stride of 0 makes much of little: some is honest, a file that becomes many times itself is not */
    size_t most = most_of(r->n);
    if (out->bytes > most - r->built_bytes)
        return EHM_FAIL(r->err, EHM_E_FORMAT,
                        "%s: tensor \"%.80s\" repeats its numbers up to %zu bytes, in a file of %zu", r->path,
                        x->name, out->bytes, r->n);
    r->built_bytes += out->bytes;
    uint8_t *p = ehm_arena_alloc(&r->hold->built, 1, out->bytes);
    if (!p)
        return EHM_FAIL(r->err, EHM_E_MEMORY, "%s: no memory for tensor \"%.80s\" (%zu bytes)", r->path,
                        x->name, out->bytes);
    gather(p, src, t, size);
    out->data = p;
    return EHM_OK;
}

/* By depth, so that what a long list of optimiser states says does not crowd out the settings. */
static ehm_code choose_meta(reader *r, ehm_st_meta **out, int32_t *n_out) {
    *n_out = 0;
    *out = EHM_NEW_N(r->arena, ehm_st_meta, META_MAX);
    if (!*out) return no_memory(r);
    for (int32_t depth = 0; depth <= EHM_PKL_DEPTH; depth++)
        for (int32_t i = 0; i < r->n_meta && *n_out < META_MAX; i++) {
            if (r->meta[i].depth != depth) continue;
            bool there = false;
            for (int32_t k = 0; k < *n_out && !there; k++) there = !strcmp((*out)[k].key, r->meta[i].m.key);
            if (!there) (*out)[(*n_out)++] = r->meta[i].m;
        }
    return EHM_OK;
}

static ehm_code finish(reader *r, ehm_st **out, ehm_pkl *root) {
    ehm_st_meta *meta;
    int32_t n_meta;
    EHM_TRY(walk(r, root, 0, false));
    ehm_st_tensor *t = EHM_NEW_N(r->arena, ehm_st_tensor, r->n_tensor ? r->n_tensor : 1);
    if (!t) return no_memory(r);
    for (int32_t i = 0; i < r->n_tensor; i++) EHM_TRY(place(r, &t[i], &r->tensor[i]));
    EHM_TRY(choose_meta(r, &meta, &n_meta));
    holder *h = r->hold;
    r->hold = NULL; /* ehm_st_from frees it, whatever comes */
    ehm_code rc = ehm_st_from(out, t, r->n_tensor, meta, n_meta, h, release, r->err);
    if (rc) EHM_WHILE(r->err, "reading %s", r->path);
    return rc;
}

/* ---- zip ---- */

/* The one NAME/data.pkl; *prefix gets "NAME/". */
static ehm_code find_pickle(reader *r, const ehm_zip *z, const ehm_zip_entry **out, const char **prefix) {
    *out = NULL;
    for (int32_t i = 0; i < z->n; i++) {
        const char *slash = strchr(z->entry[i].name, '/');
        if (!slash || strcmp(slash, "/data.pkl")) continue;
        if (*out)
            return EHM_FAIL(r->err, EHM_E_FORMAT, "%s: two objects, \"%.80s\" and \"%.80s\"", r->path,
                            (*out)->name, z->entry[i].name);
        *out = &z->entry[i];
        *prefix = ehm_arena_strndup(r->arena, z->entry[i].name, (size_t)(slash + 1 - z->entry[i].name));
        if (!*prefix) return no_memory(r);
    }
    if (*out) return EHM_OK;
    return EHM_FAIL(r->err, EHM_E_FORMAT,
                    "%s: a zip file, but none of torch.save: it has no NAME/data.pkl (%d entries%s%.80s)",
                    r->path, (int)z->n, z->n ? ", the first is " : "", z->n ? z->entry[0].name : "");
}

static ehm_code check_archive(reader *r, const ehm_zip *z, const char *prefix) {
    const char *order_name = ehm_arena_printf(r->arena, "%sbyteorder", prefix),
               *code_name = ehm_arena_printf(r->arena, "%sconstants.pkl", prefix);
    if (!order_name || !code_name) return no_memory(r);
    if (ehm_zip_find(z, code_name)) {
        EHM_FAIL(r->err, EHM_E_UNSUPPORTED, "%s: a TorchScript program, not saved weights", r->path);
        EHM_HINT(
            r->err,
            "save its weights in Python: torch.save(torch.jit.load(FILE).state_dict(), \"weights.pth\")");
        return EHM_E_UNSUPPORTED;
    }
    const ehm_zip_entry *order = ehm_zip_find(z, order_name);
    if (order) EHM_TRY(ehm_zip_stored(order, r->path, r->err));
    if (!order || (order->size == 6 && !memcmp(order->data, "little", 6))) return EHM_OK;
    char shown[84];
    if (order->size == 3 && !memcmp(order->data, "big", 3))
        return EHM_FAIL(r->err, EHM_E_UNSUPPORTED, "%s: its numbers are big endian, which is not read",
                        r->path);
    return EHM_FAIL(r->err, EHM_E_FORMAT, "%s: the byte order \"%s\" is unknown", r->path,
                    ehm_pth_shown(shown, (const char *)order->data, order->size));
}

static ehm_code find_storages(reader *r, const ehm_zip *z, const char *prefix) {
    char name[1024];
    for (int32_t i = 0; i < r->vm.n_storage; i++) {
        ehm_pkl_storage *s = r->vm.storage[i];
        int len = snprintf(name, sizeof name, "%sdata/%s", prefix, s->key);
        const ehm_zip_entry *e = len > 0 && (size_t)len < sizeof name ? ehm_zip_find(z, name) : NULL;
        if (!e)
            return EHM_FAIL(r->err, EHM_E_FORMAT, "%s: there is no entry for the storage \"%s\"", r->path,
                            s->key);
        EHM_TRY(ehm_zip_stored(e, r->path, r->err));
        size_t bytes = (size_t)s->count * s->item_bytes;
        if (e->size < bytes ||
            e->size - bytes >= s->item_bytes) /* a storage seen as another type may have a rest */
            return EHM_FAIL(r->err, EHM_E_FORMAT,
                            "%s: the entry \"%.80s\" has %zu bytes, but %lld values of %zu are expected",
                            r->path, e->name, e->size, (long long)s->count, s->item_bytes);
        s->data = e->data, s->data_bytes = e->size;
    }
    return EHM_OK;
}

static ehm_code read_zip(reader *r, ehm_pkl **root) {
    ehm_zip z;
    const ehm_zip_entry *pkl;
    const char *prefix = "";
    EHM_TRY(ehm_zip_read(&z, r->file, r->n, r->path, r->arena, r->err));
    EHM_TRY(find_pickle(r, &z, &pkl, &prefix));
    EHM_TRY(check_archive(r, &z, prefix));
    EHM_TRY(ehm_zip_stored(pkl, r->path, r->err));
    if (pkl->crc && ehm_zip_crc32(pkl->data, pkl->size) != pkl->crc) {
        EHM_FAIL(r->err, EHM_E_FORMAT, "%s: \"%.80s\" does not have the checksum it was stored with", r->path,
                 pkl->name);
        EHM_HINT(r->err, "copy or download it again");
        return EHM_E_FORMAT;
    }
    r->vm.code = pkl->data, r->vm.n = pkl->size, r->vm.where = pkl->name;
    EHM_TRY(ehm_pkl_read(root, &r->vm));
    return find_storages(r, &z, prefix);
}

/* ---- the stream of torch before 1.6 ---- */

static int by_key(const void *a, const void *b) {
    return strcmp((*(ehm_pkl_storage *const *)a)->key, (*(ehm_pkl_storage *const *)b)->key);
}

/* Behind the list of keys: for each a count of 8 bytes, then its numbers. */
static ehm_code read_storages(reader *r, const ehm_pkl *keys) {
    ehm_pkl_vm *vm = &r->vm;
    if (keys->kind != EHM_PKL_LIST) return ehm_pkl_fail(vm, EHM_E_FORMAT, "the list of storages is none");
    if (vm->n_storage) qsort(vm->storage, (size_t)vm->n_storage, sizeof *vm->storage, by_key);
    for (int32_t i = 0; i < keys->list.n; i++) {
        const ehm_pkl *k = keys->list.item[i];
        char shown[84];
        if (k->kind != EHM_PKL_STR)
            return ehm_pkl_fail(vm, EHM_E_FORMAT, "a storage whose name is no string");
        ehm_pth_shown(shown, k->str.s, k->str.n);
        int32_t lo = 0, hi = vm->n_storage;
        while (lo < hi) { /* the first of this key */
            int32_t mid = lo + (hi - lo) / 2, c = strncmp(vm->storage[mid]->key, k->str.s, k->str.n);
            if (!c && strlen(vm->storage[mid]->key) > k->str.n) c = 1;
            if (c < 0) lo = mid + 1;
            else hi = mid;
        }
        if (lo == vm->n_storage || strlen(vm->storage[lo]->key) != k->str.n ||
            memcmp(vm->storage[lo]->key, k->str.s, k->str.n))
            return EHM_FAIL(r->err, EHM_E_FORMAT,
                            "%s: the storage \"%s\" is listed, but no tensor speaks of it", r->path, shown);
        ehm_pkl_storage *s = vm->storage[lo];
        if (s->data)
            return EHM_FAIL(r->err, EHM_E_FORMAT, "%s: the storage \"%s\" is listed twice", r->path, shown);
        uint64_t count = 0;
        if (vm->n - vm->at < 8)
            return EHM_FAIL(r->err, EHM_E_FORMAT,
                            "%s: the storage \"%s\" at byte %zu is missing; is the file cut short?", r->path,
                            shown, vm->at);
        for (int b = 7; b >= 0; b--) count = count << 8 | r->file[vm->at + (size_t)b];
        vm->at += 8;
        if (count != (uint64_t)s->count)
            return EHM_FAIL(r->err, EHM_E_FORMAT,
                            "%s: the storage \"%s\" at byte %zu has %llu values, but %lld are expected",
                            r->path, shown, vm->at, (unsigned long long)count, (long long)s->count);
        size_t bytes = (size_t)s->count * s->item_bytes;
        if (bytes > vm->n - vm->at)
            return EHM_FAIL(
                r->err, EHM_E_FORMAT,
                "%s: the storage \"%s\" of %zu bytes at byte %zu runs out of the file; is it cut short?",
                r->path, shown, bytes, vm->at);
        for (int32_t j = lo; j < vm->n_storage && !strcmp(vm->storage[j]->key, s->key); j++) {
            ehm_pkl_storage *other = vm->storage[j];
            if ((size_t)other->count * other->item_bytes != bytes)
                return EHM_FAIL(r->err, EHM_E_FORMAT, "%s: the storage \"%s\" has two sizes", r->path, shown);
            other->data = r->file + vm->at, other->data_bytes = bytes;
        }
        vm->at += bytes;
    }
    for (int32_t i = 0; i < vm->n_storage; i++)
        if (!vm->storage[i]->data)
            return EHM_FAIL(r->err, EHM_E_FORMAT, "%s: the storage \"%s\" is not in the file", r->path,
                            vm->storage[i]->key);
    return EHM_OK;
}

static ehm_code check_system(reader *r, const ehm_pkl *info) {
    if (info->kind != EHM_PKL_DICT)
        return ehm_pkl_fail(&r->vm, EHM_E_FORMAT, "no description of the system that wrote it");
    for (int32_t i = 0; i + 1 < info->list.n; i += 2) {
        const ehm_pkl *k = info->list.item[i], *v = info->list.item[i + 1];
        if (k->kind == EHM_PKL_STR && k->str.n == 13 && !memcmp(k->str.s, "little_endian", 13) &&
            v->kind == EHM_PKL_BOOL && !v->i)
            return EHM_FAIL(r->err, EHM_E_UNSUPPORTED, "%s: its numbers are big endian, which is not read",
                            r->path);
    }
    return EHM_OK;
}

static ehm_code read_legacy(reader *r, ehm_pkl **root) {
    ehm_pkl *v;
    ehm_pkl_vm *vm = &r->vm;
    vm->code = r->file, vm->n = r->n, vm->where = "the file";
    EHM_TRY(ehm_pkl_read(&v, vm));
    if (v->kind != EHM_PKL_BIG || v->str.n != sizeof legacy_magic ||
        memcmp(v->str.s, legacy_magic, sizeof legacy_magic)) {
        EHM_FAIL(r->err, EHM_E_FORMAT,
                 "%s: a pickle, but none of torch.save (its first object is not torch's number)", r->path);
        EHM_HINT(r->err, "save the weights with torch.save or as safetensors");
        return EHM_E_FORMAT;
    }
    EHM_TRY(ehm_pkl_read(&v, vm));
    if (v->kind != EHM_PKL_INT || v->i != LEGACY_PROTOCOL)
        return ehm_pkl_fail(vm, EHM_E_UNSUPPORTED, "torch's stream of a version other than %d",
                            (int)LEGACY_PROTOCOL);
    EHM_TRY(ehm_pkl_read(&v, vm));
    EHM_TRY(check_system(r, v));
    EHM_TRY(ehm_pkl_read(root, vm));
    EHM_TRY(ehm_pkl_read(&v, vm));
    return read_storages(r, v);
}

/* ---- all of it ---- */

static bool is_zip(const uint8_t *p, size_t n) {
    return n >= 4 && p[0] == 'P' && p[1] == 'K' && ((p[2] == 3 && p[3] == 4) || (p[2] == 5 && p[3] == 6));
}
static bool is_pickle(const uint8_t *p, size_t n) { return n >= 3 && p[0] == 0x80 && p[1] >= 2 && p[1] <= 5; }

bool ehm_pth_claims(const void *first_bytes, size_t n) {
    return is_zip(first_bytes, n) || is_pickle(first_bytes, n);
}

ehm_code ehm_pth_read(ehm_st **out, const uint8_t *file, size_t n, const char *path, void *owned,
                      void (*free_owned)(void *), ehm_err *err) {
    *out = NULL;
    ehm_arena arena = {.limit_bytes = most_of(n)};
    reader r = {
        .file = file, .n = n, .path = path, .err = err, .arena = &arena, .hold = calloc(1, sizeof *r.hold)};
    if (!r.hold) {
        if (free_owned) free_owned(owned);
        return no_memory(&r);
    }
    r.hold->owned = owned, r.hold->free_owned = free_owned;
    r.vm.path = path, r.vm.arena = &arena, r.vm.err = err;
    ehm_pkl *root = NULL;
    ehm_code rc;
    if (is_zip(file, n)) rc = read_zip(&r, &root);
    else if (is_pickle(file, n)) rc = read_legacy(&r, &root);
    else rc = EHM_FAIL(err, EHM_E_FORMAT, "%s: not a file of torch.save (neither a zip nor a pickle)", path);
    if (!rc) rc = finish(&r, out, root);
    if (r.hold) release(r.hold);
    ehm_str_free(&r.name);
    ehm_arena_free(&arena);
    return rc;
}

typedef struct { uint8_t *p; size_t n; } mapping;

static void unmap(void *p) {
    mapping *m = p;
    munmap(m->p, m->n);
    free(m);
}

static ehm_code map_file(mapping **out, const char *path, ehm_err *err) {
    struct stat st;
    *out = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return EHM_FAIL(err, EHM_E_IO, "%s: cannot be opened: %s", path, strerror(errno));
    ehm_code rc = EHM_OK;
    mapping *m = NULL;
    if (fstat(fd, &st)) rc = EHM_FAIL(err, EHM_E_IO, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        rc = EHM_FAIL(err, EHM_E_FORMAT, "%s: not a regular file, so not a file of torch.save", path);
    else if (!st.st_size)
        rc = EHM_FAIL(err, EHM_E_FORMAT, "%s: not a file of torch.save (it is empty)", path);
    else if (!(m = calloc(1, sizeof *m))) rc = EHM_FAIL(err, EHM_E_MEMORY, "%s: no memory to open it", path);
    if (!rc) {
        m->n = (size_t)st.st_size;
        m->p = mmap(NULL, m->n, PROT_READ, MAP_PRIVATE, fd, 0);
        if (m->p == MAP_FAILED)
            rc = EHM_FAIL(err, EHM_E_IO, "%s: cannot be mapped: %s", path, strerror(errno));
    }
    close(fd);
    if (rc) free(m);
    else *out = m;
    return rc;
}

ehm_code ehm_pth_open(ehm_st **out, const char *path, ehm_err *err) {
    mapping *m;
    *out = NULL;
    EHM_TRY(map_file(&m, path, err));
    return ehm_pth_read(out, m->p, m->n, path, m, unmap, err);
}
