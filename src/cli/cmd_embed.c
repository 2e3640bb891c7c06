/* ehm embed: features of a set, never masked. */
#include "base/clock.h"
#include "cli/cli.h"
#include "infer/embed.h"

static ehm_code run(const ehm_config *c, ehm_out *out, ehm_err *err) {
    ehm_model_opt opt = {c->device, EHM_IS_AUTO(c->threads) ? 0 : (int32_t)c->threads, c->dtype,
                         EHM_IS_AUTO(c->batch_size) ? 0 : (int32_t)c->batch_size};
    ehm_dataset_opt data = {.alpha = c->alpha,
                            .max_pixels = c->max_pixels,
                            .cache_dir = c->cache,
                            .ignore_label = -1,
                            .limit = EHM_IS_AUTO(c->limit) ? 0 : c->limit};
    ehm_model *m = NULL;
    ehm_dataset *ds = NULL;
    ehm_embed_result r;
    ehm_pooling pool;
    ehm_code rc = ehm_pooling_of(&pool, c->pool, err);
    double t0 = ehm_clock_s();
    if (rc) return rc;
    if (!c->model)
        return EHM_FAIL(err, EHM_E_CONFIG,
                        "--model is missing: a run folder, a safetensors file or untrained:PRESET");
    if (!c->data.n) return EHM_FAIL(err, EHM_E_CONFIG, "--data is missing: the pictures to embed");
    if (!c->out) return EHM_FAIL(err, EHM_E_CONFIG, "--out is missing: the .npy file to write");
    if ((rc = ehm_model_open(&m, c->model, &opt, err))) goto done;
    if ((rc = ehm_model_takes_channels(m, c->channels, err))) goto done;
    data.channels = ehm_model_shape(m)->channels;
    if ((rc = ehm_dataset_open(&ds, &c->data, &data, err))) goto done;
    if ((rc = ehm_embed(&r, m, ds, pool, c->out,
                        EHM_IS_AUTO(c->workers) ? ehm_cpu_count() : (int32_t)c->workers, err)))
        goto done;
    double seconds = ehm_clock_s() - t0;
    if (out->json) {
        ehm_str s = {0};
        ehm_json_w w = {.out = &s};
        ehm_json_obj(&w);
        ehm_json_key(&w, "out"), ehm_json_str(&w, c->out);
        ehm_json_key(&w, "table"), ehm_json_str(&w, r.tsv);
        ehm_json_key(&w, "n"), ehm_json_i64(&w, r.n);
        ehm_json_key(&w, "n_bad"), ehm_json_i64(&w, r.n_bad);
        ehm_json_key(&w, "n_tokens"), ehm_json_i64(&w, r.n_tokens);
        ehm_json_key(&w, "dim"), ehm_json_i64(&w, r.dim);
        ehm_json_key(&w, "seconds"), ehm_json_f64(&w, seconds);
        ehm_json_end(&w);
        ehm_out_json(out, &s);
        ehm_str_free(&s);
    } else {
        if (r.n_tokens)
            ehm_out_addf(out, "%s: [%lld, %d, %d] f32, patch tokens after the final norm\n", c->out,
                         (long long)r.n, r.n_tokens, r.dim);
        else
            ehm_out_addf(out, "%s: [%lld, %d] f32, %s after the final norm\n", c->out, (long long)r.n, r.dim,
                         pool == EHM_POOL_CLS ? "class token" : "mean of patch tokens");
        ehm_out_addf(out, "%s: file and label of each row\n", r.tsv);
        ehm_out_addf(out, "%lld pictures in %.1f s (%.0f images/s)\n", (long long)r.n, seconds,
                     (double)r.n / seconds);
        if (r.n_bad)
            ehm_out_addf(out, "%lld pictures could not be read and are left out of both files\n",
                         (long long)r.n_bad);
    }
done:
    ehm_dataset_close(ds);
    ehm_model_close(m);
    return rc;
}

const ehm_command ehm_cmd_embed = {
    .name = "embed",
    .summary = "writes features of pictures as a NumPy array, with a table beside it",
    .groups = "use,embed,data,channels,read,batch,output",
    .usage = "--model M --data D --out F.npy",
    .details = "F.tsv beside F.npy has a header line, then file and label, a row each, in the order of the "
               "array. Pictures are never masked.",
    .example = "ehm embed --model untrained:pico --data scenes:1:32 --out features.npy",
    .run = run,
};
