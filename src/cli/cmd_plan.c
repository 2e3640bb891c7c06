/* ehm plan: what a training would take, without training. */
#include "cli/cli.h"
#include "train/train.h"

static size_t sum(const ehm_train_facts *x) {
    size_t n = x->loader_bytes + x->cache_bytes + x->mask_bytes;
    for (int i = 0; i < EHM_MEM_KINDS; i++) n += x->plan_bytes[i];
    return n;
}

static void print_json(const ehm_train_facts *x, const ehm_config *c, ehm_out *out) {
    ehm_str s = {0};
    ehm_json_w w = {.out = &s};
    ehm_json_obj(&w);
    ehm_json_key(&w, "preset"), ehm_json_str(&w, c->preset);
    ehm_json_key(&w, "parameters"), ehm_json_i64(&w, x->n_params);
    ehm_json_key(&w, "img_h"), ehm_json_i64(&w, x->shape.img_h);
    ehm_json_key(&w, "img_w"), ehm_json_i64(&w, x->shape.img_w);
    ehm_json_key(&w, "patch_size"), ehm_json_i64(&w, x->shape.patch_size);
    ehm_json_key(&w, "n_patches"), ehm_json_i64(&w, x->shape.n_patches);
    ehm_json_key(&w, "n_visible"), ehm_json_i64(&w, x->n_visible);
    ehm_json_key(&w, "dtype"), ehm_json_str(&w, c->dtype);
    ehm_json_key(&w, "batch_size"), ehm_json_i64(&w, x->batch_size);
    ehm_json_key(&w, "accum_iter"), ehm_json_i64(&w, x->accum_iter);
    ehm_json_key(&w, "flops_per_picture"), ehm_json_f64(&w, x->flops_per_picture);
    ehm_json_key(&w, "memory_bytes");
    ehm_json_obj(&w);
    for (int i = 0; i < EHM_MEM_KINDS; i++) ehm_json_key(&w, ehm_mem_kind_name(i)), ehm_json_i64(&w, (int64_t)x->plan_bytes[i]);
    ehm_json_key(&w, "batches"), ehm_json_i64(&w, (int64_t)x->loader_bytes);
    ehm_json_key(&w, "trees"), ehm_json_i64(&w, (int64_t)x->mask_bytes);
    ehm_json_key(&w, "picture_cache"), ehm_json_i64(&w, (int64_t)x->cache_bytes);
    ehm_json_key(&w, "all"), ehm_json_i64(&w, (int64_t)sum(x));
    ehm_json_key(&w, "free"), ehm_json_i64(&w, x->memory_available);
    ehm_json_end(&w);
    ehm_json_key(&w, "checkpoint_bytes"), ehm_json_i64(&w, x->checkpoint_bytes);
    ehm_json_key(&w, "disk_bytes"), ehm_json_i64(&w, x->disk_needed);
    if (x->total_steps >= 0) {
        ehm_json_key(&w, "pictures"), ehm_json_i64(&w, x->n_pictures);
        ehm_json_key(&w, "batches_per_epoch"), ehm_json_i64(&w, x->batches_per_epoch);
        ehm_json_key(&w, "steps"), ehm_json_i64(&w, x->total_steps);
        ehm_json_key(&w, "warmup_steps"), ehm_json_f64(&w, x->warmup_steps);
    }
    ehm_json_key(&w, "lr"), ehm_json_f64(&w, x->lr);
    ehm_json_end(&w);
    ehm_out_json(out, &s);
    ehm_str_free(&s);
}

static void print_text(const ehm_train_facts *x, const ehm_config *c, ehm_out *out) {
    char a[32], b[32], d[32];
    const ehm_vit_shape *s = &x->shape;
    double step = x->flops_per_picture * (double)(x->batch_size * x->accum_iter);
    ehm_out_addf(out, "model        %s: %d wide, %d deep, %d heads; decoder %d wide, %d deep, %d heads; %s numbers\n", c->preset, (int)s->embed_dim, (int)s->depth,
                 (int)s->num_heads, (int)s->decoder_embed_dim, (int)s->decoder_depth, (int)s->decoder_num_heads, ehm_format_count(x->n_params, a));
    ehm_out_addf(out, "input        %d x %d px, %d channels, patches of %d px: %d x %d = %d, of which %d are seen and %d hidden\n", (int)s->img_h, (int)s->img_w, (int)s->channels,
                 (int)s->patch_size, (int)s->grid_h, (int)s->grid_w, (int)s->n_patches, (int)x->n_visible, (int)(s->n_patches - x->n_visible));
    ehm_out_addf(out, "operations   %.3g Gflop a picture, %.3g Tflop a step of %lld pictures (%s)\n", x->flops_per_picture / 1e9, step / 1e12,
                 (long long)(x->batch_size * x->accum_iter), c->dtype);
    if (x->total_steps >= 0)
        ehm_out_addf(out, "steps        %s: %s pictures, %g epoch%s of %lld batch%s; warm-up %.0f steps to lr %g; %.3g Pflop in all\n", ehm_format_count(x->total_steps, a),
                     ehm_format_count(x->n_pictures, b), c->epochs, c->epochs == 1 ? "" : "s", (long long)x->batches_per_epoch, x->batches_per_epoch == 1 ? "" : "es",
                     x->warmup_steps, x->lr, step * (double)x->total_steps / 1e15);
    else
        ehm_out_addf(out, "steps        not known without --data (or --limit N for N pictures)\n");
    ehm_out_addf(out, "memory       %s\n", ehm_format_bytes((double)sum(x), a));
    for (int i = 0; i < EHM_MEM_KINDS; i++) ehm_out_addf(out, "  %-16s %s\n", ehm_mem_kind_name(i), ehm_format_bytes((double)x->plan_bytes[i], a));
    ehm_out_addf(out, "  %-16s %s\n", "batches ahead", ehm_format_bytes((double)x->loader_bytes, a));
    if (x->mask_bytes) ehm_out_addf(out, "  %-16s %s\n", "trees and masks", ehm_format_bytes((double)x->mask_bytes, a));
    if (x->cache_bytes) ehm_out_addf(out, "  %-16s %s\n", "decoded pictures", ehm_format_bytes((double)x->cache_bytes, a));
    if (x->memory_available > 0) ehm_out_addf(out, "  %-16s %s\n", "free here", ehm_format_bytes((double)x->memory_available, a));
    ehm_out_addf(out, "disk         %s: %lld checkpoints of %s, one being written, model files\n", ehm_format_bytes((double)x->disk_needed, d), (long long)c->keep,
                 ehm_format_bytes((double)x->checkpoint_bytes, b));
}

static ehm_code run(const ehm_config *cfg, ehm_out *out, ehm_err *err) {
    ehm_train *t = NULL;
    ehm_code rc = ehm_train_open(&t, cfg, EHM_TRAIN_PLAN, err);
    if (rc) return rc;
    if (cfg->print_config) rc = ehm_cli_print_config(ehm_train_config(t), out);
    else {
        if (cfg->verbose) ehm_train_show(t);
        if (out->json) print_json(ehm_train_facts_of(t), ehm_train_config(t), out);
        else print_text(ehm_train_facts_of(t), ehm_train_config(t), out);
    }
    ehm_train_close(t);
    return rc;
}

const ehm_command ehm_cmd_plan = {
    .name = "plan",
    .summary = "shows what a training would take: numbers, memory, operations, steps, disk",
    .groups = "data,channels,read,loading,size,model,patch,heads,recipe,mask,tree,linkage,batch,train",
    .usage = "[--preset P] [--data PATH]",
    .details = "Chooses as pretrain does and trains nothing. Without --data the preset's own picture size and three channels are taken; --limit N then stands for the number of pictures.",
    .example = "ehm plan --preset base --batch-size 8 --limit 1281167\nehm plan --data scenes:0:5000",
    .run = run,
    .resolves = true,
    .dry_runs = true,
};
