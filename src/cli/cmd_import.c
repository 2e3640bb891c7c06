/* ehm import FILE: weights of other tools as a file of ours, with a report of what fitted. */
#include "base/file.h"
#include "cli/cli.h"
#include "exchange/import.h"
#include "infer/describe.h"
#include <string.h>
#include <sys/stat.h>

enum { ROWS_SHOWN = 10 };
static const char *const kind_word[] = {"matched", "resized", "missing", "unexpected"};
static const ehm_import_kind order[] = {EHM_IMPORT_MATCHED, EHM_IMPORT_RESIZED, EHM_IMPORT_MISSING, EHM_IMPORT_UNEXPECTED};
enum { N_KINDS = 4 };

static void list(ehm_out *out, const ehm_import *im, int32_t k, bool all) {
    int32_t n = 0;
    for (int32_t i = 0; i < im->n_row; i++) {
        const ehm_import_row *r = &im->row[i];
        if (r->kind != order[k] || (n++ >= ROWS_SHOWN && !all)) continue;
        const char *name = r->name ? r->name : r->theirs;
        ehm_out_addf(out, "  %-10s  %s", kind_word[k], name);
        if (r->name && r->theirs && strcmp(r->name, r->theirs)) ehm_out_addf(out, " (%s)", r->theirs);
        ehm_out_addf(out, "%s%s\n", r->note ? ": " : "", r->note ? r->note : "");
    }
    if (n > ROWS_SHOWN && !all) ehm_out_addf(out, "  %-10s  and %d more (--verbose)\n", "", (int)(n - ROWS_SHOWN));
}

static void report(ehm_out *out, const ehm_import *im, const char *file, bool all) {
    ehm_str text = {0};
    ehm_describe_import(im, &text, NULL);
    ehm_out_addf(out, "%s: %s\n%s", file, im->container, ehm_str_c(&text));
    ehm_str_free(&text);
    ehm_out_addf(out, "  tensors   ");
    for (int32_t k = 0; k < N_KINDS; k++) ehm_out_addf(out, "%s%d %s", k ? ", " : "", (int)im->n_of[order[k]], kind_word[k]);
    ehm_out_addf(out, "\n");
    for (int32_t k = 0; k < N_KINDS; k++)
        if (all || order[k] != EHM_IMPORT_MATCHED) list(out, im, k, all);
}

static void report_json(ehm_out *out, const ehm_import *im, const ehm_config *c, const char *file) {
    ehm_str s = {0}, text = {0};
    ehm_json_w w = {.out = &s};
    ehm_json_obj(&w);
    ehm_json_key(&w, "file"), ehm_json_str(&w, file);
    ehm_json_key(&w, "out"), ehm_json_str(&w, c->dry_run ? NULL : c->out);
    ehm_describe_import(im, &text, &w);
    for (int32_t k = 0; k < N_KINDS; k++) {
        ehm_json_key(&w, kind_word[k]), ehm_json_arr(&w);
        for (int32_t i = 0; i < im->n_row; i++) {
            const ehm_import_row *r = &im->row[i];
            if (r->kind != order[k]) continue;
            ehm_json_obj(&w);
            ehm_json_key(&w, "name"), ehm_json_str(&w, r->name);
            ehm_json_key(&w, "theirs"), ehm_json_str(&w, r->theirs);
            ehm_json_key(&w, "note"), ehm_json_str(&w, r->note);
            ehm_json_end(&w);
        }
        ehm_json_end(&w);
    }
    ehm_json_end(&w);
    ehm_out_json(out, &s);
    ehm_str_free(&s), ehm_str_free(&text);
}

static ehm_code options(ehm_import_opt *o, const ehm_config *c, ehm_err *err) {
    *o = (ehm_import_opt){.resample = c->resample, .adapt = c->adapt, .partial = c->partial};
    if (c->img_size && strcmp(c->img_size, "auto") && !ehm_parse_size(c->img_size, &o->img_h, &o->img_w)) {
        EHM_FAIL(err, EHM_E_CONFIG, "--img-size %s: must be a side like 224, or height and width like 192x256", c->img_size);
        return EHM_E_CONFIG;
    }
    if (!EHM_IS_AUTO(c->channels)) o->channels = (int32_t)c->channels;
    if (!EHM_IS_AUTO(c->patch_size)) o->patch_size = (int32_t)c->patch_size;
    if (!EHM_IS_AUTO(c->num_heads)) o->num_heads = (int32_t)c->num_heads;
    if (!EHM_IS_AUTO(c->decoder_num_heads)) o->decoder_num_heads = (int32_t)c->decoder_num_heads;
    return EHM_OK;
}

static bool same_file(const char *a, const char *b) {
    struct stat x, y;
    return !stat(a, &x) && !stat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static ehm_code check_out(const ehm_config *c, const char *file, ehm_err *err) {
    if (!c->out) {
        EHM_FAIL(err, EHM_E_CONFIG, "--out is missing: the safetensors file to write");
        EHM_HINT(err, "ehm info %s shows what it holds without writing anything", file);
        return EHM_E_CONFIG;
    }
    if (!ehm_ends(c->out, ".safetensors")) return EHM_FAIL(err, EHM_E_CONFIG, "--out %s: the name of a file of weights ends in .safetensors", c->out);
    if (ehm_dir_exists(c->out)) return EHM_FAIL(err, EHM_E_CONFIG, "--out %s: is a folder, and a file is written", c->out);
    if (same_file(c->out, file)) return EHM_FAIL(err, EHM_E_CONFIG, "--out %s: is the file that is imported; it would be lost", c->out);
    return EHM_OK;
}

static ehm_code run(const ehm_config *c, ehm_out *out, ehm_err *err) {
    const char *file = out->args.v[0];
    ehm_import_opt o;
    ehm_import *im = NULL;
    EHM_TRY(options(&o, c, err));
    if (!c->dry_run) EHM_TRY(check_out(c, file, err));
    ehm_code rc = ehm_import_open(&im, file, &o, err);
    if (!rc && !c->dry_run) rc = ehm_dir_make_for(c->out, err);
    if (!rc && !c->dry_run) rc = ehm_import_save(c->out, im, err);
    if (rc) {
        EHM_WHILE(err, "importing %s", file);
    } else if (out->json) {
        report_json(out, im, c, file);
    } else {
        if (!c->quiet) report(out, im, file, c->verbose);
        if (!c->dry_run) ehm_out_addf(out, "%s: written, %d tensors\n", c->out, (int)ehm_st_count(im->weights));
    }
    ehm_import_close(im);
    return rc;
}

const ehm_command ehm_cmd_import = {
    .name = "import",
    .summary = "reads weights of MAE, timm, transformers, torchvision and others",
    .groups = "size,channels,patch,heads,import,output",
    .usage = "--out F.safetensors",
    .args = "FILE",
    .n_args_min = 1,
    .n_args_max = 1,
    .details = "FILE is a safetensors file, a .pth file (nothing in it is executed), or a folder of transformers or timm with its config.json. Read are the names of MAE, timm, "
               "transformers 4 and 5, torchvision, mmpretrain, solo-learn and lightly. What is written opens wherever a model or --init is taken; FILE itself does too, so "
               "this command is for a look at what fits, for other sizes, and for keeping.\n\n"
               "The report counts tensors that matched, were resized, are missing from FILE, and that no network of ours has a place for. Where tensors of the encoder are "
               "missing nothing is written, unless --partial is given. Attention heads leave no trace in tensors: without a config.json they are a guess, and --num-heads says "
               "them.",
    .example = "ehm pretrain --data scenes:1:64 --preset pico --batch-size 16 --steps 2 --out run --quiet\n"
               "ehm import run --img-size 96 --channels 1 --out grey.safetensors",
    .run = run,
    .dry_runs = true,
};
