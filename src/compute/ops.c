/* Each op: note the arguments, judge types, shapes and overlap (check_int.h), call the back end, look at what came out. */
#include <math.h>
#include <stdlib.h>
#include "compute/check_int.h"

/* "idx[1,7]" of element i of a view as it was given. */
static const char *place_of(char text[96], const char *name, ehm_view given, int64_t i) {
    size_t n = (size_t)snprintf(text, 96, "%s[", name);
    int64_t row = ehm_view_count(given);
    for (int32_t k = 0; k < given.rank && n < 96; k++) {
        row /= given.dim[k];
        n += (size_t)snprintf(text + n, 96 - n, "%s%lld", k ? "," : "", (long long)(i / row));
        i %= row;
    }
    if (n < 96) snprintf(text + n, 96 - n, "]");
    return text;
}

/* Index values of v, whose rows are its last dim: lo..hi-1, lo ANY_BELOW being no bound; with `once` those from 0 on at most once
 * in each row. given: v as the caller wrote it. */
#define ANY_BELOW INT32_MIN
static bool indices_of(check *c, const char *name, ehm_view given, ehm_view v, int64_t lo, int64_t hi, bool once) {
    ehm_dev *d = c->d;
    char place[96];
    if (d->be->device_memory) return true;
    if (once && hi > d->n_marks) {
        uint8_t *more = realloc(d->marks, (size_t)hi);
        if (!more) return refuse_as(c, EHM_E_MEMORY, "no memory to check the indices");
        d->marks = more;
        d->n_marks = hi;
    }
    const int32_t *p = ehm_ptr(v);
    int64_t count = ehm_view_count(v), width = v.dim[v.rank - 1];
    for (int64_t i = 0; i < count; i++) {
        if (once && i % width == 0) memset(d->marks, 0, (size_t)hi);
        int64_t k = p[i];
        if (k < lo || k >= hi) {
            place_of(place, name, given, i);
            return lo == ANY_BELOW ? refuse(c, "%s is %lld, the last there is is %lld", place, (long long)k, (long long)hi - 1)
                                   : refuse(c, "%s is %lld, allowed are %lld to %lld", place, (long long)k, (long long)lo,
                                            (long long)hi - 1);
        }
        if (once && k >= 0 && d->marks[k]++)
            return refuse(c, "%s names row %lld a second time", place_of(place, name, given, i), (long long)k);
    }
    return true;
}
static bool indices(check *c, const char *name, ehm_view v, int64_t lo, int64_t hi, bool once) {
    return indices_of(c, name, v, v, lo, hi, once);
}

/* ---- what each op wants ---- */

static bool check_fill(check *c, ehm_fill_args *a) {
    arg(c, "x", &a->x, FLAT, ACT, WRITTEN);
    return judge(c);
}

static bool check_cast(check *c, ehm_cast_args *a) {
    /* ref64 takes f32 and bf16 too, so that data can be brought to it and results away. */
    arg(c, "out", &a->out, FLAT, ANY_FLOAT, WRITTEN);
    arg(c, "x", &a->x, FLAT, ANY_FLOAT, 0);
    return judge(c) && same(c, "count of out", a->out.dim[0], "count of x", a->x.dim[0]);
}

static bool check_axpby(check *c, ehm_axpby_args *a) {
    arg(c, "out", &a->out, FLAT, REAL, WRITTEN);
    arg(c, "x", &a->x, FLAT, REAL, 0);
    return judge(c) && same(c, "count of out", a->out.dim[0], "count of x", a->x.dim[0]);
}

static bool check_matmul(check *c, ehm_matmul_args *a) {
    arg(c, "out", &a->out, ROWS, ACT, WRITTEN);
    arg(c, "a", &a->a, ROWS, ACT, 0);
    arg(c, "b", &a->b, ROWS, ACT, 0);
    arg(c, "bias", &a->bias, FLAT, REAL, OPTIONAL);
    arg(c, "add", &a->add, ROWS, ACT, OPTIONAL | ALIAS);
    if (!judge(c)) return false;
    int64_t m = a->out.dim[0], n = a->out.dim[1], k = a->a.dim[a->trans_a ? 0 : 1];
    c->flops = 2.0 * (double)m * (double)n * (double)k;
    if (!same_type(c, "a", a->a, "b", a->b)) return false;
    if (!same(c, a->trans_a ? "M of a (transposed)" : "M of a", a->a.dim[a->trans_a ? 1 : 0], "M of out", m)) return false;
    if (!same(c, a->trans_b ? "N of b (transposed)" : "N of b", a->b.dim[a->trans_b ? 0 : 1], "N of out", n)) return false;
    if (!same(c, "K of a", k, "K of b", a->b.dim[a->trans_b ? 1 : 0])) return false;
    if (a->bias.rank && !same(c, "count of bias", a->bias.dim[0], "N of out", n)) return false;
    if (!a->add.rank) return true;
    if (a->add.dtype != a->out.dtype && a->add.dtype != c->d->be->real)
        return refuse(c, "add is neither %s nor the type of out", ehm_dtype_name(c->d->be->real));
    if (a->accumulate && ehm_ptr(a->add) == ehm_ptr(a->out))
        return refuse(c, "add is out, and accumulate would count it a second time");
    return same(c, "M of add", a->add.dim[0], "M of out", m) && same(c, "N of add", a->add.dim[1], "N of out", n);
}

static bool check_colsum(check *c, ehm_colsum_args *a) {
    arg(c, "out", &a->out, FLAT, REAL, WRITTEN);
    arg(c, "x", &a->x, ROWS, ACT, 0);
    return judge(c) && same(c, "count of out", a->out.dim[0], "columns of x", a->x.dim[1]);
}

static bool check_norm_fwd(check *c, ehm_norm_fwd_args *a) {
    arg(c, "out", &a->out, ROWS, ACT, WRITTEN);
    arg(c, "mean", &a->mean, FLAT, REAL, WRITTEN);
    arg(c, "rstd", &a->rstd, FLAT, REAL, WRITTEN);
    arg(c, "x", &a->x, ROWS, REAL, 0);
    arg(c, "weight", &a->weight, FLAT, REAL, 0);
    arg(c, "bias", &a->bias, FLAT, REAL, 0);
    if (!judge(c)) return false;
    int64_t r = a->x.dim[0], d = a->x.dim[1];
    if (!(a->eps >= 0)) return refuse(c, "eps is %g", (double)a->eps);
    return same(c, "rows of out", a->out.dim[0], "rows of x", r) && same(c, "D of out", a->out.dim[1], "D of x", d) &&
           same(c, "count of mean", a->mean.dim[0], "rows of x", r) &&
           same(c, "count of rstd", a->rstd.dim[0], "rows of x", r) &&
           same(c, "count of weight", a->weight.dim[0], "D of x", d) &&
           same(c, "count of bias", a->bias.dim[0], "D of x", d);
}

static bool check_norm_bwd(check *c, ehm_norm_bwd_args *a) {
    arg(c, "dx", &a->dx, ROWS, REAL, WRITTEN);
    arg(c, "dweight", &a->dweight, FLAT, REAL, WRITTEN | OPTIONAL);
    arg(c, "dbias", &a->dbias, FLAT, REAL, WRITTEN | OPTIONAL);
    arg(c, "dout", &a->dout, ROWS, ACT, 0);
    arg(c, "x", &a->x, ROWS, REAL, 0);
    arg(c, "mean", &a->mean, FLAT, REAL, 0);
    arg(c, "rstd", &a->rstd, FLAT, REAL, 0);
    arg(c, "weight", &a->weight, FLAT, REAL, 0);
    if (!judge(c)) return false;
    int64_t r = a->x.dim[0], d = a->x.dim[1];
    if (a->dweight.rank && !same(c, "count of dweight", a->dweight.dim[0], "D of x", d)) return false;
    if (a->dbias.rank && !same(c, "count of dbias", a->dbias.dim[0], "D of x", d)) return false;
    return same(c, "rows of dx", a->dx.dim[0], "rows of x", r) && same(c, "D of dx", a->dx.dim[1], "D of x", d) &&
           same(c, "rows of dout", a->dout.dim[0], "rows of x", r) && same(c, "D of dout", a->dout.dim[1], "D of x", d) &&
           same(c, "count of mean", a->mean.dim[0], "rows of x", r) &&
           same(c, "count of rstd", a->rstd.dim[0], "rows of x", r) &&
           same(c, "count of weight", a->weight.dim[0], "D of x", d);
}

static bool check_gelu_fwd(check *c, ehm_gelu_fwd_args *a) {
    arg(c, "out", &a->out, FLAT, ACT, WRITTEN);
    arg(c, "x", &a->x, FLAT, ACT, 0);
    return judge(c) && same_type(c, "out", a->out, "x", a->x) &&
           same(c, "count of out", a->out.dim[0], "count of x", a->x.dim[0]);
}

static bool check_gelu_bwd(check *c, ehm_gelu_bwd_args *a) {
    arg(c, "dx", &a->dx, FLAT, ACT, WRITTEN);
    arg(c, "dout", &a->dout, FLAT, ACT, ALIAS);
    arg(c, "x", &a->x, FLAT, ACT, 0);
    return judge(c) && same_type(c, "dx", a->dx, "x", a->x) && same_type(c, "dout", a->dout, "x", a->x) &&
           same(c, "count of dx", a->dx.dim[0], "count of x", a->x.dim[0]) &&
           same(c, "count of dout", a->dout.dim[0], "count of x", a->x.dim[0]);
}

/* qkv [B,N,3*H*K] and the number of heads; products counts products of N*N*K. */
static bool heads_ok(check *c, ehm_view qkv, int32_t n_heads, float scale, double products) {
    if (n_heads < 1 || qkv.dim[2] % (3 * (int64_t)n_heads))
        return refuse(c, "%d heads do not divide a third of the last dim of qkv", (int)n_heads);
    if (!isfinite(scale)) return refuse(c, "scale is %g", (double)scale);
    c->flops = products * 2.0 * (double)qkv.dim[0] * (double)qkv.dim[1] * (double)qkv.dim[1] * (double)(qkv.dim[2] / 3);
    return true;
}

static bool same_bnd(check *c, const char *name, ehm_view v, ehm_view qkv, int64_t last) {
    char what[48];
    snprintf(what, sizeof what, "dim 0 of %s", name);
    if (!same(c, what, v.dim[0], "B of qkv", qkv.dim[0])) return false;
    snprintf(what, sizeof what, "dim 1 of %s", name);
    if (!same(c, what, v.dim[1], "N of qkv", qkv.dim[1])) return false;
    snprintf(what, sizeof what, "dim 2 of %s", name);
    return same(c, what, v.dim[2], "the width wanted", last);
}

static bool lse_ok(check *c, ehm_view lse, ehm_view qkv, int32_t n_heads) {
    return same(c, "B of lse", lse.dim[0], "B of qkv", qkv.dim[0]) && same(c, "H of lse", lse.dim[1], "n_heads", n_heads) &&
           same(c, "N of lse", lse.dim[2], "N of qkv", qkv.dim[1]);
}

static bool check_attn_fwd(check *c, ehm_attn_fwd_args *a) {
    arg(c, "out", &a->out, 3, ACT, WRITTEN);
    arg(c, "lse", &a->lse, 3, REAL, WRITTEN);
    arg(c, "qkv", &a->qkv, 3, ACT, 0);
    return judge(c) && same_type(c, "out", a->out, "qkv", a->qkv) && heads_ok(c, a->qkv, a->n_heads, a->scale, 2) &&
           same_bnd(c, "out", a->out, a->qkv, a->qkv.dim[2] / 3) && lse_ok(c, a->lse, a->qkv, a->n_heads);
}

static bool check_attn_bwd(check *c, ehm_attn_bwd_args *a) {
    arg(c, "dqkv", &a->dqkv, 3, ACT, WRITTEN);
    arg(c, "dout", &a->dout, 3, ACT, 0);
    arg(c, "qkv", &a->qkv, 3, ACT, 0);
    arg(c, "out", &a->out, 3, ACT, 0);
    arg(c, "lse", &a->lse, 3, REAL, 0);
    return judge(c) && same_type(c, "dqkv", a->dqkv, "qkv", a->qkv) && same_type(c, "dout", a->dout, "qkv", a->qkv) &&
           same_type(c, "out", a->out, "qkv", a->qkv) && heads_ok(c, a->qkv, a->n_heads, a->scale, 4) &&
           same_bnd(c, "dqkv", a->dqkv, a->qkv, a->qkv.dim[2]) &&
           same_bnd(c, "dout", a->dout, a->qkv, a->qkv.dim[2] / 3) &&
           same_bnd(c, "out", a->out, a->qkv, a->qkv.dim[2] / 3) && lse_ok(c, a->lse, a->qkv, a->n_heads);
}

static bool check_attn_probs(check *c, ehm_attn_probs_args *a) {
    int32_t first = a->per_head ? 2 : 1;
    arg(c, "probs", &a->probs, a->per_head ? 4 : 3, REAL, WRITTEN);
    arg(c, "qkv", &a->qkv, 3, ACT, 0);
    if (!judge(c) || !heads_ok(c, a->qkv, a->n_heads, a->scale, 1)) return false;
    if (a->per_head && !same(c, "H of probs", a->probs.dim[1], "n_heads", a->n_heads)) return false;
    return same(c, "B of probs", a->probs.dim[0], "B of qkv", a->qkv.dim[0]) &&
           same(c, "rows of probs", a->probs.dim[first], "N of qkv", a->qkv.dim[1]) &&
           same(c, "columns of probs", a->probs.dim[first + 1], "N of qkv", a->qkv.dim[1]);
}

static bool weight_ok(check *c, float weight) {
    return isfinite(weight) || refuse(c, "weight is %g", (double)weight);
}

static bool check_attn_patches(check *c, ehm_attn_patches_args *a) {
    arg(c, "out", &a->out, SLICES, REAL, WRITTEN);
    arg(c, "cls", &a->cls, ROWS, REAL, WRITTEN | OPTIONAL);
    arg(c, "probs", &a->probs, SLICES, REAL, 0);
    if (!judge(c) || !weight_ok(c, a->weight)) return false;
    int64_t x = a->out.dim[0], l = a->out.dim[1];
    if (a->cls.rank && (!same(c, "X of cls", a->cls.dim[0], "X of out", x) || !same(c, "L of cls", a->cls.dim[1], "L of out", l)))
        return false;
    return same(c, "columns of out", a->out.dim[2], "rows of out", l) && same(c, "X of probs", a->probs.dim[0], "X of out", x) &&
           same(c, "rows of probs", a->probs.dim[1], "1 + L of out", 1 + l) &&
           same(c, "columns of probs", a->probs.dim[2], "1 + L of out", 1 + l);
}

static bool check_running_mean(check *c, ehm_running_mean_args *a) {
    arg(c, "mean", &a->mean, FLAT, REAL, WRITTEN);
    arg(c, "count", &a->count, FLAT, REAL, WRITTEN);
    arg(c, "x", &a->x, PICTURES, REAL, 0);
    if (!judge(c)) return false;
    if (!(a->decay >= 0 && a->decay <= 1)) return refuse(c, "decay is %g, allowed are 0 to 1", (double)a->decay);
    return same(c, "values of count", a->count.dim[0], "the number of counts", 1) &&
           same(c, "count of mean", a->mean.dim[0], "M of x", a->x.dim[1]);
}

/* s [B,L,L] and a [B,C,L,L] */
static bool stacks_ok(check *c, ehm_view s, ehm_view a, float weight) {
    return weight_ok(c, weight) && same(c, "columns of s", s.dim[2], "rows of s", s.dim[1]) &&
           same(c, "B of a", a.dim[0], "B of s", s.dim[0]) && same(c, "rows of a", a.dim[2], "L of s", s.dim[1]) &&
           same(c, "columns of a", a.dim[3], "L of s", s.dim[1]);
}

static bool check_attn_profile(check *c, ehm_attn_profile_args *a) {
    arg(c, "s", &a->s, 3, REAL, WRITTEN);
    arg(c, "a", &a->a, STACKS, REAL, WRITTEN);
    arg(c, "mean", &a->mean, SLICES, REAL, OPTIONAL);
    if (!judge(c) || !stacks_ok(c, a->s, a->a, a->weight)) return false;
    if (!a->mean.rank) return true;
    return same(c, "C of mean", a->mean.dim[0], "C of a", a->a.dim[1]) &&
           same(c, "rows of mean", a->mean.dim[1], "L of s", a->s.dim[1]) &&
           same(c, "columns of mean", a->mean.dim[2], "L of s", a->s.dim[1]);
}

static bool check_attn_direct(check *c, ehm_attn_direct_args *a) {
    arg(c, "s", &a->s, 3, REAL, WRITTEN);
    arg(c, "a", &a->a, STACKS, REAL, 0);
    return judge(c) && stacks_ok(c, a->s, a->a, a->weight);
}

static bool check_patchify(check *c, ehm_patchify_args *a) {
    arg(c, "patches", &a->patches, 3, REAL, WRITTEN);
    arg(c, "pixels", &a->pixels, 4, REAL | F32 | U8, 0);
    arg(c, "shift", &a->shift, FLAT, REAL, 0);
    arg(c, "scale", &a->scale, FLAT, REAL, 0);
    if (!judge(c)) return false;
    int64_t p = a->patch, h = a->pixels.dim[1], w = a->pixels.dim[2], ch = a->pixels.dim[3];
    if (p < 1 || h % p || w % p)
        return refuse(c, "patch %lld does not divide %lld x %lld pixels", (long long)p, (long long)h, (long long)w);
    return same(c, "B of patches", a->patches.dim[0], "B of pixels", a->pixels.dim[0]) &&
           same(c, "L of patches", a->patches.dim[1], "the number of patches", (h / p) * (w / p)) &&
           same(c, "width of patches", a->patches.dim[2], "patch*patch*C", p * p * ch) &&
           same(c, "count of shift", a->shift.dim[0], "C of pixels", ch) &&
           same(c, "count of scale", a->scale.dim[0], "C of pixels", ch);
}

static bool check_gather_rows(check *c, ehm_gather_rows_args *a) {
    arg(c, "out", &a->out, 3, ACT, WRITTEN);
    arg(c, "x", &a->x, 3, ACT, 0);
    arg(c, "idx", &a->idx, 2, I32, 0);
    if (!judge(c)) return false;
    int64_t p = a->channel_first_patch, f = a->x.dim[2];
    if (p < 0 || (p && f % (p * p)))
        return refuse(c, "rows of %lld values are no patches of %lld x %lld", (long long)f, (long long)p, (long long)p);
    return same(c, "B of out", a->out.dim[0], "B of x", a->x.dim[0]) && same(c, "B of idx", a->idx.dim[0], "B of x", a->x.dim[0]) &&
           same(c, "M of out", a->out.dim[1], "M of idx", a->idx.dim[1]) && same(c, "F of out", a->out.dim[2], "F of x", f) &&
           indices(c, "idx", a->idx, 0, a->x.dim[1], false);
}

static bool check_scatter_rows(check *c, ehm_scatter_rows_args *a) {
    arg(c, "dx", &a->dx, 3, ACT, WRITTEN);
    arg(c, "dout", &a->dout, 3, ACT, 0);
    arg(c, "idx", &a->idx, 2, I32, 0);
    return judge(c) && same(c, "B of dx", a->dx.dim[0], "B of dout", a->dout.dim[0]) &&
           same(c, "B of idx", a->idx.dim[0], "B of dout", a->dout.dim[0]) &&
           same(c, "M of idx", a->idx.dim[1], "M of dout", a->dout.dim[1]) &&
           same(c, "F of dx", a->dx.dim[2], "F of dout", a->dout.dim[2]) &&
           indices(c, "idx", a->idx, 0, a->dx.dim[1], true);
}

static bool check_route_fwd(check *c, ehm_route_fwd_args *a) {
    arg(c, "out", &a->out, 3, REAL, WRITTEN);
    arg(c, "x", &a->x, 3, ACT, 0);
    arg(c, "tokens", &a->tokens, ROWS, REAL, 0);
    arg(c, "pos", &a->pos, ROWS, REAL, OPTIONAL);
    arg(c, "src", &a->src, 2, I32, 0);
    arg(c, "pos_idx", &a->pos_idx, 2, I32, OPTIONAL);
    if (!judge(c)) return false;
    int64_t b = a->out.dim[0], n = a->out.dim[1], d = a->out.dim[2];
    if (!same(c, "B of x", a->x.dim[0], "B of out", b) || !same(c, "D of x", a->x.dim[2], "D of out", d) ||
        !same(c, "D of tokens", a->tokens.dim[1], "D of out", d) || !same(c, "B of src", a->src.dim[0], "B of out", b) ||
        !same(c, "N of src", a->src.dim[1], "N of out", n) ||
        !indices(c, "src", a->src, -a->tokens.dim[0], a->x.dim[1], false))
        return false;
    if (!a->pos.rank) return true;
    if (!same(c, "D of pos", a->pos.dim[1], "D of out", d)) return false;
    if (!a->pos_idx.rank)
        return n <= a->pos.dim[0] || refuse(c, "%lld tokens but %lld positions", (long long)n, (long long)a->pos.dim[0]);
    return same(c, "B of pos_idx", a->pos_idx.dim[0], "B of out", b) &&
           same(c, "N of pos_idx", a->pos_idx.dim[1], "N of out", n) &&
           indices(c, "pos_idx", a->pos_idx, 0, a->pos.dim[0], false);
}

static bool check_route_bwd(check *c, ehm_route_bwd_args *a) {
    arg(c, "dx", &a->dx, 3, ACT, WRITTEN);
    arg(c, "dtokens", &a->dtokens, ROWS, REAL, WRITTEN | OPTIONAL);
    arg(c, "dpos", &a->dpos, ROWS, REAL, WRITTEN | OPTIONAL);
    arg(c, "dout", &a->dout, 3, REAL, 0);
    arg(c, "src", &a->src, 2, I32, 0);
    arg(c, "pos_idx", &a->pos_idx, 2, I32, OPTIONAL);
    if (!judge(c)) return false;
    int64_t b = a->dout.dim[0], n = a->dout.dim[1], d = a->dout.dim[2];
    /* Without dtokens nothing tells how many tokens there are: any negative source is a token then. */
    int64_t lo = a->dtokens.rank ? -a->dtokens.dim[0] : ANY_BELOW;
    if (!same(c, "B of dx", a->dx.dim[0], "B of dout", b) || !same(c, "D of dx", a->dx.dim[2], "D of dout", d) ||
        !same(c, "B of src", a->src.dim[0], "B of dout", b) || !same(c, "N of src", a->src.dim[1], "N of dout", n) ||
        !indices(c, "src", a->src, lo, a->dx.dim[1], true))
        return false;
    if (a->dtokens.rank && !same(c, "D of dtokens", a->dtokens.dim[1], "D of dout", d)) return false;
    if (!a->dpos.rank) return true;
    if (!same(c, "D of dpos", a->dpos.dim[1], "D of dout", d)) return false;
    if (!a->pos_idx.rank)
        return n <= a->dpos.dim[0] || refuse(c, "%lld tokens but %lld positions", (long long)n, (long long)a->dpos.dim[0]);
    return same(c, "B of pos_idx", a->pos_idx.dim[0], "B of dout", b) &&
           same(c, "N of pos_idx", a->pos_idx.dim[1], "N of dout", n) &&
           indices(c, "pos_idx", a->pos_idx, 0, a->dpos.dim[0], false);
}

static bool check_pixel_target(check *c, ehm_pixel_target_args *a) {
    arg(c, "target", &a->target, 3, REAL, WRITTEN);
    arg(c, "patches", &a->patches, 3, REAL, 0);
    arg(c, "idx", &a->idx, 2, I32, 0);
    if (!judge(c)) return false;
    if (a->norm_pix && a->patches.dim[2] < 2) return refuse(c, "norm_pix needs at least 2 values a patch");
    return same(c, "B of target", a->target.dim[0], "B of patches", a->patches.dim[0]) &&
           same(c, "B of idx", a->idx.dim[0], "B of patches", a->patches.dim[0]) &&
           same(c, "M of target", a->target.dim[1], "M of idx", a->idx.dim[1]) &&
           same(c, "P of target", a->target.dim[2], "P of patches", a->patches.dim[2]) &&
           indices(c, "idx", a->idx, 0, a->patches.dim[1], false);
}

static bool check_mse(check *c, ehm_mse_args *a) {
    arg(c, "row_loss", &a->row_loss, FLAT, REAL, WRITTEN);
    arg(c, "dpred", &a->dpred, ROWS, ACT, WRITTEN | OPTIONAL);
    arg(c, "pred", &a->pred, ROWS, ACT, 0);
    arg(c, "target", &a->target, ROWS, REAL, 0);
    if (!judge(c)) return false;
    int64_t r = a->pred.dim[0], f = a->pred.dim[1];
    if (a->dpred.rank && (!same(c, "rows of dpred", a->dpred.dim[0], "rows of pred", r) ||
                          !same(c, "F of dpred", a->dpred.dim[1], "F of pred", f)))
        return false;
    return same(c, "count of row_loss", a->row_loss.dim[0], "rows of pred", r) &&
           same(c, "rows of target", a->target.dim[0], "rows of pred", r) &&
           same(c, "F of target", a->target.dim[1], "F of pred", f);
}

static bool check_sum(check *c, ehm_sum_args *a) {
    arg(c, "out", &a->out, FLAT, REAL, WRITTEN | FIRST);
    arg(c, "x", &a->x, FLAT, REAL, 0);
    return judge(c);
}

static bool check_sumsq(check *c, ehm_sumsq_args *a) {
    arg(c, "out", &a->out, FLAT, REAL, WRITTEN | FIRST);
    arg(c, "x", &a->x, FLAT, REAL, 0);
    return judge(c);
}

static bool check_clip_factor(check *c, ehm_clip_factor_args *a) {
    arg(c, "factor", &a->factor, FLAT, REAL, WRITTEN | FIRST);
    arg(c, "norm", &a->norm, FLAT, REAL, WRITTEN | FIRST);
    arg(c, "sumsq", &a->sumsq, FLAT, REAL, FIRST);
    if (!judge(c)) return false;
    return (a->max_norm >= 0 && isfinite(a->grad_scale)) ||
           refuse(c, "max_norm is %g, grad_scale %g", (double)a->max_norm, (double)a->grad_scale);
}

static bool check_adamw(check *c, ehm_adamw_args *a) {
    arg(c, "p", &a->p, FLAT, REAL, WRITTEN);
    arg(c, "g", &a->g, FLAT, REAL, 0);
    arg(c, "m", &a->m, FLAT, REAL, WRITTEN);
    arg(c, "v", &a->v, FLAT, REAL, WRITTEN);
    arg(c, "factor", &a->factor, FLAT, REAL, FIRST);
    arg(c, "p_act", &a->p_act, FLAT, BF16, WRITTEN | OPTIONAL);
    if (!judge(c)) return false;
    int64_t n = a->p.dim[0];
    if (a->t < 1) return refuse(c, "t is %lld, steps count from 1", (long long)a->t);
    if (!(a->beta1 >= 0 && a->beta1 < 1 && a->beta2 >= 0 && a->beta2 < 1 && a->eps >= 0))
        return refuse(c, "beta1 is %g, beta2 %g, eps %g", (double)a->beta1, (double)a->beta2, (double)a->eps);
    if (a->p_act.rank && !same(c, "count of p_act", a->p_act.dim[0], "count of p", n)) return false;
    return same(c, "count of g", a->g.dim[0], "count of p", n) && same(c, "count of m", a->m.dim[0], "count of p", n) &&
           same(c, "count of v", a->v.dim[0], "count of p", n);
}

static bool check_ema(check *c, ehm_ema_args *a) {
    arg(c, "avg", &a->avg, FLAT, REAL, WRITTEN);
    arg(c, "p", &a->p, FLAT, REAL, 0);
    return judge(c) && same(c, "count of avg", a->avg.dim[0], "count of p", a->p.dim[0]);
}

/* The part that mix_rows_fwd and its gradient share: y [B,R,C] mixed from x [B,N,C] (or added to it) by idx and weight. */
static bool mix_ok(check *c, const char *name_x, ehm_view x, const char *name_y, ehm_view y, ehm_view idx, ehm_view given_idx,
                   ehm_view weight, ehm_view given_weight) {
    char px[32], py[32];
    snprintf(px, sizeof px, "B of %s", name_x);
    snprintf(py, sizeof py, "B of %s", name_y);
    if (!same(c, px, x.dim[0], py, y.dim[0])) return false;
    if (given_idx.rank == 3 && !same(c, "B of idx", idx.dim[0], py, y.dim[0])) return false;
    if (given_weight.rank == 3 && !same(c, "B of weight", weight.dim[0], py, y.dim[0])) return false;
    py[0] = 'R';
    if (!same(c, "R of idx", idx.dim[1], py, y.dim[1])) return false;
    if (weight.rank && (!same(c, "R of weight", weight.dim[1], py, y.dim[1]) ||
                        !same(c, "K of weight", weight.dim[2], "K of idx", idx.dim[2])))
        return false;
    px[0] = py[0] = 'C';
    return same(c, px, x.dim[2], py, y.dim[2]) && indices_of(c, "idx", given_idx, idx, ANY_BELOW, x.dim[1], false);
}

static bool check_mix_rows_fwd(check *c, ehm_mix_rows_fwd_args *a) {
    ehm_view idx = a->idx, weight = a->weight;
    arg(c, "out", &a->out, 3, ACT, WRITTEN);
    arg(c, "x", &a->x, 3, ACT, 0);
    arg(c, "idx", &a->idx, SHARED, I32, 0);
    arg(c, "weight", &a->weight, SHARED, REAL, OPTIONAL);
    return judge(c) && mix_ok(c, "x", a->x, "out", a->out, a->idx, idx, a->weight, weight);
}

static bool check_mix_rows_bwd(check *c, ehm_mix_rows_bwd_args *a) {
    ehm_view idx = a->idx, weight = a->weight;
    arg(c, "dx", &a->dx, 3, REAL, WRITTEN);
    arg(c, "dout", &a->dout, 3, ACT, 0);
    arg(c, "idx", &a->idx, SHARED, I32, 0);
    arg(c, "weight", &a->weight, SHARED, REAL, OPTIONAL);
    return judge(c) && mix_ok(c, "dx", a->dx, "dout", a->dout, a->idx, idx, a->weight, weight);
}

/* v of the same [B,N,D] as out. */
static bool same_3(check *c, const char *name, ehm_view v, ehm_view out) {
    static const char *const letters[3] = {"B", "N", "D"};
    char what[32], of_out[16];
    for (int32_t i = 0; i < 3; i++) {
        snprintf(what, sizeof what, "%s of %s", letters[i], name);
        snprintf(of_out, sizeof of_out, "%s of out", letters[i]);
        if (!same(c, what, v.dim[i], of_out, out.dim[i])) return false;
    }
    return true;
}

static bool check_add_scaled(check *c, ehm_add_scaled_args *a) {
    arg(c, "out", &a->out, 3, REAL, WRITTEN);
    arg(c, "x", &a->x, 3, REAL, ALIAS);
    arg(c, "y", &a->y, 3, ACT, 0);
    arg(c, "s", &a->s, FLAT, REAL, 0);
    return judge(c) && same_3(c, "x", a->x, a->out) && same_3(c, "y", a->y, a->out) &&
           same(c, "count of s", a->s.dim[0], "B of out", a->out.dim[0]);
}

static bool check_scale_samples(check *c, ehm_scale_samples_args *a) {
    arg(c, "out", &a->out, 3, ACT, WRITTEN);
    arg(c, "x", &a->x, 3, REAL, 0);
    arg(c, "s", &a->s, FLAT, REAL, 0);
    return judge(c) && same_3(c, "x", a->x, a->out) && same(c, "count of s", a->s.dim[0], "B of out", a->out.dim[0]);
}

static bool scale_ok(check *c, float scale) {
    return isfinite(scale) || refuse(c, "scale is %g", (double)scale);
}

/* v may be absent, else [R,C] as x is. */
static bool same_rows(check *c, const char *name, ehm_view v, const char *name_x, ehm_view x) {
    char what[32], of_x[32];
    if (!v.rank) return true;
    snprintf(what, sizeof what, "rows of %s", name);
    snprintf(of_x, sizeof of_x, "rows of %s", name_x);
    if (!same(c, what, v.dim[0], of_x, x.dim[0])) return false;
    snprintf(what, sizeof what, "columns of %s", name);
    snprintf(of_x, sizeof of_x, "columns of %s", name_x);
    return same(c, what, v.dim[1], of_x, x.dim[1]);
}

static bool check_xent(check *c, ehm_xent_args *a) {
    ehm_view labels = a->labels;
    arg(c, "dlogits", &a->dlogits, ROWS, ACT, WRITTEN | OPTIONAL); /* first: it may be logits */
    arg(c, "row_loss", &a->row_loss, FLAT, REAL, WRITTEN);
    arg(c, "logits", &a->logits, ROWS, ACT, ALIAS);
    arg(c, "target", &a->target, ROWS, REAL, OPTIONAL);
    arg(c, "labels", &a->labels, FLAT, I32, OPTIONAL);
    arg(c, "class_weight", &a->class_weight, FLAT, REAL, OPTIONAL);
    if (!judge(c) || !scale_ok(c, a->scale)) return false;
    if (!a->target.rank == !a->labels.rank)
        return refuse(c, "%s target and labels is given, exactly one must be", a->target.rank ? "each of" : "neither of");
    if (a->class_weight.rank && a->target.rank) return refuse(c, "class_weight goes with labels, not with target");
    int64_t r = a->logits.dim[0], n = a->logits.dim[1];
    if (a->class_weight.rank && !same(c, "count of class_weight", a->class_weight.dim[0], "columns of logits", n)) return false;
    if (a->labels.rank && (!same(c, "count of labels", a->labels.dim[0], "rows of logits", r) ||
                           !indices_of(c, "labels", labels, a->labels, ANY_BELOW, n, false)))
        return false;
    return same(c, "count of row_loss", a->row_loss.dim[0], "rows of logits", r) &&
           same_rows(c, "target", a->target, "logits", a->logits) && same_rows(c, "dlogits", a->dlogits, "logits", a->logits);
}

static bool check_focal(check *c, ehm_focal_args *a) {
    arg(c, "row_loss", &a->row_loss, FLAT, REAL, WRITTEN);
    arg(c, "dx", &a->dx, ROWS, ACT, WRITTEN | OPTIONAL);
    arg(c, "x", &a->x, ROWS, ACT, 0);
    arg(c, "target", &a->target, ROWS, REAL, 0);
    arg(c, "weight", &a->weight, FLAT, REAL, OPTIONAL);
    if (!judge(c) || !scale_ok(c, a->scale)) return false;
    if (!(a->gamma >= 0 && isfinite(a->gamma))) return refuse(c, "gamma is %g, must be 0 or more", (double)a->gamma);
    if (!(a->alpha <= 1)) return refuse(c, "alpha is %g, allowed are 0 to 1, or below 0 for none", (double)a->alpha);
    if (a->weight.rank && !same(c, "count of weight", a->weight.dim[0], "rows of x", a->x.dim[0])) return false;
    return same(c, "count of row_loss", a->row_loss.dim[0], "rows of x", a->x.dim[0]) &&
           same_rows(c, "target", a->target, "x", a->x) && same_rows(c, "dx", a->dx, "x", a->x);
}

static bool check_giou(check *c, ehm_giou_args *a) {
    arg(c, "row_loss", &a->row_loss, FLAT, REAL, WRITTEN);
    arg(c, "dx", &a->dx, ROWS, ACT, WRITTEN | OPTIONAL);
    arg(c, "x", &a->x, ROWS, ACT, 0);
    arg(c, "target", &a->target, ROWS, REAL, 0);
    arg(c, "weight", &a->weight, FLAT, REAL, 0);
    if (!judge(c) || !scale_ok(c, a->scale)) return false;
    return same(c, "columns of x", a->x.dim[1], "the sides of a box", 4) && same_rows(c, "target", a->target, "x", a->x) &&
           same_rows(c, "dx", a->dx, "x", a->x) && same(c, "count of weight", a->weight.dim[0], "rows of x", a->x.dim[0]) &&
           same(c, "count of row_loss", a->row_loss.dim[0], "rows of x", a->x.dim[0]);
}

/* ---- after the call ---- */

static bool is_finite_at(const void *p, ehm_dtype t, int64_t i, double *value) {
    if (t == EHM_F32) *value = (double)((const float *)p)[i];
    else if (t == EHM_F64) *value = ((const double *)p)[i];
    else *value = (double)ehm_f32_of(((const uint16_t *)p)[i]);
    return isfinite(*value);
}

static void blame(check *c, const op_arg *a, int64_t at, double value) {
    char what[160], place[96];
    snprintf(what, sizeof what, "%s is %g", place_of(place, a->name, a->given, at), value);
    refuse_as(c, EHM_E_NUMERIC, what);
}

/* Read in pieces, so that it works for memory of any device. */
static void look_for_not_finite(check *c) {
    enum { PIECE_BYTES = 16384 };
    _Alignas(64) char piece[PIECE_BYTES];
    for (int32_t k = 0; k < c->n; k++) {
        const op_arg *a = &c->arg[k];
        if (!(a->how & WRITTEN) || !a->view->rank) continue;
        int64_t count = ehm_view_count(*a->view), size = (int64_t)ehm_dtype_size(a->view->dtype);
        for (int64_t at = 0; at < count; at += PIECE_BYTES / size) {
            int64_t n = count - at < PIECE_BYTES / size ? count - at : PIECE_BYTES / size;
            c->d->be->download(c->d->self, piece, (char *)ehm_ptr(*a->view) + at * size, (size_t)(n * size));
            double value;
            for (int64_t i = 0; i < n; i++)
                if (!is_finite_at(piece, a->view->dtype, i, &value)) return blame(c, a, at + i, value);
        }
    }
}

static void after(check *c) {
    ehm_dev *d = c->d;
    d->flops += c->flops;
    /* Host back ends have finished, so a failure of theirs can still be told with the op's label and shapes. */
    if (!d->be->device_memory || d->watch_finite) {
        ehm_err own = {0};
        ehm_code rc = d->be->wait(d->self, &own);
        if (rc) {
            refuse_as(c, rc, own.code ? own.what : "the device failed");
            if (own.hint[0]) EHM_HINT(&d->err, "%s", own.hint);
            return;
        }
    }
    if (d->watch_finite) look_for_not_finite(c);
}

#define OP(NAME, what, tol_f32, tol_bf16, bwd)                      \
    void ehm_##NAME(ehm_dev *d, const ehm_##NAME##_args *args) {    \
        if (d->err.code) return;                                    \
        ehm_##NAME##_args a = *args;                                \
        check c = {.d = d, .op = #NAME};                            \
        if (!check_##NAME(&c, &a)) return;                          \
        d->be->NAME(d->self, &a);                                   \
        after(&c);                                                  \
    }
#include "compute/ops.def"
#undef OP
