/* ehm doctor: what this machine offers, and what would stand in the way. */
#include "base/file.h"
#include "base/pool.h"
#include "cli/cli.h"
#include "compute/compute.h"
#include <string.h>

#ifndef EHM_FEATURE_TEXT
#define EHM_FEATURE_TEXT ""
#endif

typedef struct { ehm_out *out; ehm_json_w *w; int32_t n_warn; } doctor;

static void say(doctor *d, bool good, const char *key, const char *text, const char *remedy) {
    d->n_warn += !good;
    if (d->w) {
        ehm_json_key(d->w, key), ehm_json_obj(d->w);
        ehm_json_key(d->w, "ok"), ehm_json_bool(d->w, good);
        ehm_json_key(d->w, "text"), ehm_json_str(d->w, text);
        if (!good && remedy) ehm_json_key(d->w, "remedy"), ehm_json_str(d->w, remedy);
        ehm_json_end(d->w);
        return;
    }
    ehm_out_addf(d->out, "%s %-11s %s\n", good ? "ok  " : "NOTE", key, text);
    if (!good && remedy) ehm_out_addf(d->out, "                 %s\n", remedy);
}

static void device(doctor *d, const char *name, ehm_arena *a) {
    ehm_dev *dev = NULL;
    ehm_err why = {0};
    if (ehm_dev_open(&dev, name, 1, &why)) say(d, false, name, why.what, why.hint);
    else say(d, true, name, ehm_arena_printf(a, "%s%s", ehm_dev_describe(dev),
             strcmp(name, "ref") ? (ehm_dev_fast_bf16(dev) ? "; multiplies bf16: the default type" : "; no bf16 products: the default type is f32") : ""), NULL);
    ehm_dev_close(dev);
}

/* No GPU is nothing that stands in the way; one that is there and does not answer is. */
static void gpu(doctor *d, ehm_arena *a) {
    ehm_dev *dev = NULL;
    ehm_err why = {0};
    ehm_code rc = ehm_dev_open(&dev, "cuda", 1, &why);
    if (rc == EHM_E_UNSUPPORTED) say(d, true, "cuda", ehm_arena_printf(a, "not used: %s", why.what), NULL);
    else if (rc) say(d, false, "cuda", why.what, why.hint);
    else say(d, true, "cuda", ehm_arena_printf(a, "%s; what --device auto takes", ehm_dev_describe(dev)), NULL);
    ehm_dev_close(dev);
}

static ehm_code run(const ehm_config *c, ehm_out *out, ehm_err *err) {
    static const char *const formats[] = {"JPEG", "PNG", "WEBP", "TIFF", "GIF", "ZLIB", "ZSTD", "LZMA", "DNNL"};
    ehm_str s = {0}, missing = {0};
    ehm_json_w w = {.out = &s};
    doctor d = {.out = out, .w = out->json ? &w : NULL};
    char limit[32], avail[32], disk[32];
    (void)err;
    (void)c;
    if (d.w) ehm_json_obj(d.w);
    say(&d, true, "processors", ehm_arena_printf(out->arena, "%d may be used", ehm_cpu_count()), NULL);
    ehm_format_bytes((double)ehm_memory_limit(), limit), ehm_format_bytes((double)ehm_memory_available(), avail);
    say(&d, ehm_memory_available() > (int64_t)1 << 30, "memory", ehm_arena_printf(out->arena, "%s free of %s", avail, limit), "a small preset and a small --batch-size help");
    gpu(&d, out->arena);
    device(&d, "cpu", out->arena);
    device(&d, "ref", out->arena);
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (!strstr(EHM_FEATURE_TEXT, formats[i])) ehm_str_addf(&missing, "%s%s", missing.len ? ", " : "", formats[i]);
    say(&d, !missing.len, "libraries", missing.len ? ehm_arena_printf(out->arena, "built without %s", ehm_str_c(&missing)) : "built with " EHM_FEATURE_TEXT,
        "install the -dev packages (make setup) and build again");
    const char *cache = ehm_cache_dir(out->arena);
    if (!cache) say(&d, false, "cache", "no cache folder: neither HOME nor XDG_CACHE_HOME is set", "give one with --cache DIR");
    else {
        int64_t room = ehm_disk_free(cache);
        ehm_format_bytes((double)room, disk);
        say(&d, room < 0 || room > (int64_t)1 << 30, "cache", ehm_arena_printf(out->arena, "%s, %s free", cache, disk), "compressed archives are unpacked there: --cache DIR on a larger disk");
    }
    int64_t here = ehm_disk_free(".");
    ehm_format_bytes((double)here, disk);
    say(&d, here < 0 || here > (int64_t)1 << 30, "disk", ehm_arena_printf(out->arena, "%s free in this folder", disk), "checkpoints need room: --keep 1, or --out on a larger disk");
    if (d.w) {
        ehm_json_key(d.w, "n_notes"), ehm_json_i64(d.w, d.n_warn);
        ehm_json_end(d.w);
        ehm_out_json(out, &s);
    } else ehm_out_addf(out, d.n_warn ? "%d note%s above\n" : "nothing stands in the way\n", d.n_warn, d.n_warn == 1 ? "" : "s");
    ehm_str_free(&s);
    ehm_str_free(&missing);
    return EHM_OK;
}

const ehm_command ehm_cmd_doctor = {
    .name = "doctor",
    .summary = "tells what this machine offers and what would stand in the way",
    .groups = "",
    .example = "ehm doctor",
    .run = run,
};
