/* ehm report: run folders in, one page out. */
#include <stdio.h>
#include <string.h>
#include "base/file.h"
#include "cli/cli_int.h"
#include "report/serve.h"

static const char *join(const ehm_strs *runs, ehm_arena *a) {
    const char *s = "";
    for (int32_t i = 0; s && i < runs->n; i++) s = ehm_arena_printf(a, "%s%s%s", s, i ? ", " : "", runs->v[i]);
    return s ? s : "";
}

/* The page of runs that go on, until a signal ends it. */
static ehm_code watch(const ehm_config *c, const ehm_report_opt *page, ehm_out *out, ehm_err *err) {
    ehm_serve_opt opt = {.port = EHM_IS_AUTO(c->port) ? 0 : (int32_t)c->port, .report = *page};
    ehm_server *s;
    if (c->out) return EHM_FAIL(err, EHM_E_CONFIG, "--watch serves the page and --out writes it: one of the two");
    EHM_TRY(ehm_serve_open(&s, out->args.v, out->args.n, &opt, err));
    if (out->json) {
        ehm_str text = {0};
        ehm_json_w w = {.out = &text};
        ehm_json_obj(&w);
        ehm_json_key(&w, "url"), ehm_json_str(&w, ehm_serve_url(s));
        ehm_json_key(&w, "port"), ehm_json_i64(&w, ehm_serve_port(s));
        ehm_json_end(&w);
        ehm_out_json(out, &text);
        ehm_str_free(&text);
    } else ehm_out_addf(out, "%s\n", ehm_serve_url(s));
    fflush(stdout); /* who started this waits for the address */
    ehm_log(EHM_LOG_INFO, "%s: shown at this address to this machine alone, and renewed as %s; Ctrl-C ends it", join(&out->args, out->arena),
            out->args.n == 1 ? "the run goes on" : "the runs go on");
    ehm_code rc = ehm_serve_run(s, c->until_done, err);
    ehm_serve_close(s);
    return rc;
}

static ehm_code run(const ehm_config *c, ehm_out *out, ehm_err *err) {
    ehm_report_opt opt = {.title = c->report_title, .version = ehm_version_text()};
    ehm_str page = {0};
    char size[32];
    bool to_stdout = c->out && !strcmp(c->out, "-");
    if (to_stdout && out->json) return EHM_FAIL(err, EHM_E_CONFIG, "--json and --out - would both write to standard output");
    if (!ehm_parse_bytes(c->report_pictures, &opt.picture_bytes) || opt.picture_bytes < 1)
        return EHM_FAIL(err, EHM_E_CONFIG, "--report-pictures %s: must be a size such as 6M", c->report_pictures);
    if (c->watch) return watch(c, &opt, out, err);
    if (c->origin[EHM_SETI_port] == EHM_FROM_FLAG || c->until_done) return EHM_FAIL(err, EHM_E_CONFIG, "--%s goes with --watch", c->until_done ? "until-done" : "port");
    const char *path = c->out;
    if (!path && !out->json) path = out->args.n == 1 ? ehm_path_join(out->arena, out->args.v[0], "report.html") : "report.html";
    if (!to_stdout && path && ehm_dir_exists(path)) path = ehm_path_join(out->arena, path, "report.html");
    if (!path && !out->json) return EHM_FAIL(err, EHM_E_MEMORY, "no memory");
    ehm_code rc = EHM_OK;
    if (path) {
        rc = ehm_report_html(&page, out->args.v, out->args.n, &opt, err);
        if (!rc && to_stdout) ehm_out_add(out, ehm_str_c(&page));
        else if (!rc) rc = ehm_dir_make_for(path, err);
        if (!rc && !to_stdout) rc = ehm_file_write(path, page.s, page.len, err);
        ehm_format_bytes((double)page.len, size);
    }
    ehm_str_free(&page);
    if (rc || to_stdout) return rc;
    if (out->json) {
        ehm_str s = {0};
        rc = ehm_report_json(&s, out->args.v, out->args.n, err);
        if (!rc) ehm_out_json(out, &s);
        ehm_str_free(&s);
        if (!rc && path) ehm_log(EHM_LOG_INFO, "%s: %s", path, size);
        return rc;
    }
    ehm_out_addf(out, "%s: %s, %d %s (%s)\n", path, size, (int)out->args.n, out->args.n == 1 ? "run" : "runs", join(&out->args, out->arena));
    return EHM_OK;
}

const ehm_command ehm_cmd_report = {
    .name = "report",
    .summary = "makes one HTML page of runs: curves, pictures, evaluations, settings",
    .groups = "output,report,watch",
    .usage = "[--out report.html] [--watch]",
    .args = "RUN...",
    .n_args_min = 1,
    .n_args_max = 1000,
    .details = "The page holds all it needs: it opens without a network, on a phone, on paper, and without scripts (less hover values and the slider). Without --out it goes to "
               "RUN/report.html, and of several runs to ./report.html; --out - prints it. Several runs lie over each other in the curves and get a table of differences.\n\n"
               "Only run folders are read, never the model or the data. Runs that go on, broke off or are damaged are shown as far as they are there. ehm pretrain writes "
               "this page at the end of every run; ehm eval adds its figures to the run that it measured (RUN/evaluations.jsonl).\n\n"
               "--watch serves the page on 127.0.0.1 while runs go on and prints its address; the page renews itself and keeps what was scrolled, opened and set. "
               "It is read-only and for this machine alone; a run on another machine is seen through a tunnel: ssh -L 8000:127.0.0.1:PORT host, then "
               "http://127.0.0.1:8000/. Ctrl-C ends it, as does the end of the runs with --until-done.\n\n"
               "--json prints the numbers of the page instead; with --out the page is written too.",
    .example = "ehm pretrain --data scenes:1:16:32 --preset pico --batch-size 8 --steps 2 --out runs/a --quiet\n"
               "ehm report runs/a --out report.html",
    .run = run,
};
