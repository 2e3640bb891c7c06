#include "runs/meters.h"
#include <math.h>

double ehm_z_push(ehm_z_window *w, double x) {
    int64_t n = w->n < EHM_Z_WINDOW ? w->n : EHM_Z_WINDOW;
    double mean = 0, var = 0;
    for (int64_t i = 0; i < n; i++) mean += w->v[i];
    mean /= n ? (double)n : 1;
    for (int64_t i = 0; i < n; i++) var += (w->v[i] - mean) * (w->v[i] - mean);
    w->v[w->n++ % EHM_Z_WINDOW] = x;
    return n < EHM_Z_LEAST || var <= 0 ? 0 : (x - mean) / sqrt(var / (double)(n - 1));
}

void ehm_meters_add(ehm_meters *m, double loss, double norm) {
    double z = ehm_z_push(&m->loss_window, loss), zn = ehm_z_push(&m->norm_window, norm);
    m->loss_sum += loss, m->norm_sum += norm, m->n++;
    if (fabs(z) > fabs(m->loss_z)) m->loss_z = z; /* a spike between two lines is not lost */
    if (fabs(zn) > fabs(m->norm_z)) m->norm_z = zn;
}

void ehm_meters_line_done(ehm_meters *m) { m->loss_sum = m->norm_sum = m->loss_z = m->norm_z = 0, m->n = 0; }

static void put_f64(ehm_json_w *w, const char *key, double v) { ehm_json_key(w, key), ehm_json_f64(w, v); }

static void put_window(ehm_json_w *w, const char *key, const ehm_z_window *z) {
    ehm_json_key(w, key);
    ehm_json_obj(w);
    ehm_json_key(w, "n"), ehm_json_i64(w, z->n);
    ehm_json_key(w, "v");
    ehm_json_arr(w);
    for (int64_t i = 0; i < z->n && i < EHM_Z_WINDOW; i++) ehm_json_f64(w, z->v[i]);
    ehm_json_end(w);
    ehm_json_end(w);
}

void ehm_meters_put(const ehm_meters *m, ehm_json_w *w) {
    put_window(w, "loss_window", &m->loss_window);
    put_window(w, "norm_window", &m->norm_window);
    ehm_json_key(w, "meters");
    ehm_json_obj(w);
    put_f64(w, "loss_sum", m->loss_sum), put_f64(w, "norm_sum", m->norm_sum), put_f64(w, "loss_z", m->loss_z), put_f64(w, "norm_z", m->norm_z);
    ehm_json_key(w, "n"), ehm_json_i64(w, m->n);
    ehm_json_end(w);
}

static void get_window(ehm_z_window *w, const ehm_json *j) {
    const ehm_json *v = ehm_json_get(j, "v");
    int32_t i = 0;
    w->n = ehm_json_i64_or(j, "n", 0);
    for (v = v ? v->first : NULL; v && i < EHM_Z_WINDOW; v = v->next) w->v[i++] = v->num;
}

void ehm_meters_get(ehm_meters *m, const ehm_json *obj) {
    const ehm_json *j = ehm_json_get(obj, "meters");
    *m = (ehm_meters){.loss_sum = ehm_json_num_or(j, "loss_sum", 0), .norm_sum = ehm_json_num_or(j, "norm_sum", 0), .loss_z = ehm_json_num_or(j, "loss_z", 0),
                      .norm_z = ehm_json_num_or(j, "norm_z", 0), .n = ehm_json_i64_or(j, "n", 0)};
    get_window(&m->loss_window, ehm_json_get(obj, "loss_window"));
    get_window(&m->norm_window, ehm_json_get(obj, "norm_window"));
}
