/* ehm pretrain: settings in, a run folder out. */
#include "base/file.h"
#include "cli/cli_int.h"
#include "cli/live.h"
#include "report/report.h"
#include "runs/run.h"
#include "train/train.h"

static ehm_code print_result(const ehm_train *t, const ehm_train_result *r, ehm_out *out) {
    const ehm_config *c = ehm_train_config(t);
    if (out->json) {
        ehm_str s = {0};
        ehm_json_w w = {.out = &s};
        ehm_json_obj(&w);
        ehm_json_key(&w, "out"), ehm_json_str(&w, c->out);
        ehm_json_key(&w, "already_done"), ehm_json_bool(&w, r->already_done);
        ehm_json_key(&w, "steps"), ehm_json_i64(&w, r->steps);
        ehm_json_key(&w, "steps_here"), ehm_json_i64(&w, r->steps_here);
        if (r->steps_here) {
            ehm_json_key(&w, "loss"), ehm_json_f64(&w, r->loss);
            ehm_json_key(&w, "seconds"), ehm_json_f64(&w, r->seconds);
            ehm_json_key(&w, "images_per_s"), ehm_json_f64(&w, r->images_per_s);
        }
        ehm_json_end(&w);
        ehm_out_json(out, &s);
        ehm_str_free(&s);
    } else if (r->already_done)
        ehm_out_addf(out, "%s: the run is finished (%lld steps); --extend EPOCHS goes on from it\n", c->out, (long long)r->steps);
    else
        ehm_out_addf(out, "%s: %lld steps, last loss %.4f, %.0f images/s\n", c->out, (long long)r->steps, r->loss, r->images_per_s);
    return EHM_OK;
}

/* Also of a run that was stopped or failed: it says how far that came. Never a reason for the run to fail. */
static void write_report(const char *dir) {
    ehm_arena a = {0};
    ehm_err why = {0};
    char *path = ehm_path_join(&a, dir, "report.html");
    if (path && ehm_run_is_folder(dir)) {
        if (ehm_report_write(path, &dir, 1, &(ehm_report_opt){.version = ehm_version_text()}, &why)) ehm_log(EHM_LOG_WARN, "report.html was not written: %s", why.what);
        else ehm_log(EHM_LOG_INFO, "report: %s", path);
    }
    ehm_arena_free(&a);
}

static ehm_code run(const ehm_config *cfg, ehm_out *out, ehm_err *err) {
    ehm_train *t = NULL;
    const char *ran = NULL;
    ehm_train_result r;
    ehm_live live = {0};
    bool look = cfg->dry_run || cfg->print_config;
    ehm_code rc = ehm_train_open(&t, cfg, look ? EHM_TRAIN_DRY : EHM_TRAIN_RUN, err);
    if (rc) goto done;
    if (cfg->print_config) {
        rc = ehm_cli_print_config(ehm_train_config(t), out);
        goto done;
    }
    if (!ehm_train_finished(t) && (rc = ehm_live_open(&live, t, err))) goto done;
    if (!ehm_train_finished(t)) ehm_train_show(t);
    if (look) {
        ehm_log(EHM_LOG_INFO, "all checks passed; nothing was done");
        goto done;
    }
    ehm_train_hook hook = ehm_live_hook(&live);
    rc = ehm_train_run(t, &hook, 1, &r, err);
    if (rc || !r.already_done) ran = ehm_arena_strdup(out->arena, ehm_train_config(t)->out);
    if (!rc) rc = print_result(t, &r, out);
done:
    ehm_live_close(&live);
    ehm_train_close(t);
    if (ran) write_report(ran);
    return rc;
}

const ehm_command ehm_cmd_pretrain = {
    .name = "pretrain",
    .summary = "pre-trains a model on pictures by masked image modelling",
    .groups = "data,channels,read,loading,size,fit,crop,transform,model,patch,heads,recipe,mask,tree,linkage,progress,live,batch,train,output,run,folder,overwrite",
    .usage = "--data PATH --out DIR",
    .details = "What is not given is chosen from the data and the machine; every choice is printed with where it came from, and stored in DIR/config.json.\n\n"
               "DIR gets metrics.jsonl, an event file for TensorBoard, checkpoints, and at the end model.safetensors (encoder and decoder, the official names of MAE), "
               "encoder.safetensors (what timm loads) and report.html (all of the run on one page). Ctrl-C writes a checkpoint and stops; --resume goes on from it, bit for bit.\n\n"
               "Names of training settings are those of MAE's scripts: --batch-size, --epochs, --blr, --warmup-epochs, --mask-ratio, --norm-pix-loss, --accum-iter.",
    .example = "ehm pretrain --data scenes:0:64:32 --out runs/first --epochs 2\n"
               "ehm pretrain --out runs/first --extend 1",
    .run = run,
    .resolves = true,
    .dry_runs = true,
};
