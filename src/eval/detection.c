#include "eval/detection.h"
#include "base/rng.h"
#include "eval/eval.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Two stages, as in COCOeval. Matching looks at each picture and class by itself: which detections meet which truth at each of ten IoU bounds and in
 * each of four ranges of area. What it leaves is small and does not depend on how often a picture counts, so that a bootstrap repeats the second stage
 * alone: walk down the detections of a class by score, count right and wrong ones, and read off precision at 101 recalls. */
enum { N_IOU = 10, N_RECALL = 101, N_AREA = 4, N_MOST = 3, MOST = 100 };
static const int32_t most_of[N_MOST] = {1, 10, MOST};
static const double area_lo[N_AREA] = {0, 0, 32 * 32, 96 * 96}, area_hi[N_AREA] = {1e10, 32 * 32, 96 * 96, 1e10};

typedef struct {
    int64_t image;
    int64_t order;      /* in which it was given */
    double x, y, w, h;  /* of a mask: of the pixels it covers */
    double area, size, score; /* size: the area by which it is small or large */
    size_t run;         /* masks: runs of 0 and 1 in turn, from run to run + n_runs */
    int32_t class_id, n_runs;
    bool crowd;
} item;
typedef struct { item *v; int64_t n, cap; } items;
/* A detection after matching: of each area range, the IoU bounds (bits) at which it is right, and those at which it does not count. */
typedef struct { int64_t image; double score; int32_t rank; uint16_t right[N_AREA], ignored[N_AREA]; } scored;
typedef struct { int64_t image; int32_t n[N_AREA]; } counted; /* truth that counts */
typedef struct { int64_t scored, n_scored, counted, n_counted, n_truth; /* all sizes */ } of_class;

struct ehm_coco {
    int32_t n_classes;
    int64_t n_images;
    bool masks, matched;
    items truth, found;
    uint32_t *runs;
    size_t n_runs, cap_runs;
    int32_t *size_of;   /* [n_images,2] height and width of masks; 0: none so far */
    scored *scored;     /* by class, then as COCO walks them */
    counted *counted;
    of_class *of_class; /* [n_classes] */
};

static ehm_code no_memory(const ehm_coco *e, ehm_err *err) {
    return EHM_FAIL(err, EHM_E_MEMORY, "no memory to score %lld detections against %lld objects", (long long)e->found.n, (long long)e->truth.n);
}

static bool grow(void **v, size_t size, int64_t n, int64_t *cap) {
    if (n < *cap) return true;
    int64_t more = *cap ? 2 * *cap : 64;
    size_t bytes;
    void *p = ehm_mul_size(&bytes, (size_t)more, size) ? realloc(*v, bytes) : NULL;
    if (p) *v = p, *cap = more;
    return p != NULL;
}

ehm_code ehm_coco_open(ehm_coco **out, int32_t n_classes, int64_t n_images, bool masks, ehm_err *err) {
    *out = NULL;
    if (n_classes < 1 || n_images < 1) return EHM_FAIL(err, EHM_E_ARG, "scoring detections of %d classes in %lld pictures", n_classes, (long long)n_images);
    ehm_coco *e = calloc(1, sizeof *e);
    int32_t *size_of = masks ? calloc((size_t)n_images, 2 * sizeof *size_of) : NULL;
    of_class *of = calloc((size_t)n_classes, sizeof *of);
    if (!e || !of || (masks && !size_of)) {
        free(e), free(size_of), free(of);
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory to score detections in %lld pictures", (long long)n_images);
    }
    *e = (ehm_coco){.n_classes = n_classes, .n_images = n_images, .masks = masks, .size_of = size_of, .of_class = of};
    void *truth = NULL, *found = NULL; /* both stand from the start, so that places in an empty list are places too */
    bool room = grow(&truth, sizeof(item), 0, &e->truth.cap) && grow(&found, sizeof(item), 0, &e->found.cap);
    e->truth.v = truth, e->found.v = found;
    if (!room) {
        ehm_coco_close(e);
        return EHM_FAIL(err, EHM_E_MEMORY, "no memory to score detections in %lld pictures", (long long)n_images);
    }
    *out = e;
    return EHM_OK;
}

void ehm_coco_close(ehm_coco *e) {
    if (!e) return;
    free(e->truth.v), free(e->found.v), free(e->runs), free(e->size_of), free(e->scored), free(e->counted), free(e->of_class);
    free(e);
}

/* ---- what comes in ---- */

static bool add_run(ehm_coco *e, uint32_t n) {
    int64_t cap = (int64_t)e->cap_runs;
    void *v = e->runs;
    if (!grow(&v, sizeof *e->runs, (int64_t)e->n_runs, &cap)) return false;
    e->runs = v, e->cap_runs = (size_t)cap;
    e->runs[e->n_runs++] = n;
    return true;
}

/* Runs in raster order; the rectangle that holds the pixels decides quickly whether two masks can meet. */
static bool pack(ehm_coco *e, item *it, const ehm_coco_mask *m) {
    int64_t n = (int64_t)m->h * m->w;
    int32_t x0 = m->w, y0 = m->h, x1 = 0, y1 = 0;
    it->run = e->n_runs;
    for (int64_t at = 0, end; at < n; at = end) {
        bool set = (e->n_runs - it->run) & 1;
        for (end = at; end < n && (m->px[end] != 0) == set; end++) continue;
        if (!add_run(e, (uint32_t)(end - at))) return false;
        if (!set || end == at) continue;
        int32_t first = (int32_t)(at / m->w), last = (int32_t)((end - 1) / m->w);
        int32_t left = first == last ? (int32_t)(at % m->w) : 0, right = first == last ? (int32_t)((end - 1) % m->w) + 1 : m->w;
        x0 = left < x0 ? left : x0, x1 = right > x1 ? right : x1;
        y0 = first < y0 ? first : y0, y1 = last + 1 > y1 ? last + 1 : y1;
        it->area += (double)(end - at);
    }
    it->n_runs = (int32_t)(e->n_runs - it->run);
    it->x = x0, it->y = y0, it->w = x1 > x0 ? x1 - x0 : 0, it->h = y1 > y0 ? y1 - y0 : 0;
    return true;
}

static ehm_code add(ehm_coco *e, items *to, int64_t image, const ehm_coco_box *b, const ehm_coco_mask *m, const char *what, ehm_err *err) {
    if (image < 0 || image >= e->n_images)
        return EHM_FAIL(err, EHM_E_ARG, "%s in picture %lld, but there are %lld", what, (long long)image, (long long)e->n_images);
    if (b->class_id < 0 || b->class_id >= e->n_classes)
        return EHM_FAIL(err, EHM_E_ARG, "%s of class %d in picture %lld, but there are %d classes", what, b->class_id, (long long)image, e->n_classes);
    if (!e->masks && !(isfinite(b->x) && isfinite(b->y) && isfinite(b->w) && isfinite(b->h) && b->w >= 0 && b->h >= 0))
        return EHM_FAIL(err, EHM_E_ARG, "%s at %g,%g of size %gx%g in picture %lld is no box", what, b->x, b->y, b->w, b->h, (long long)image);
    if (to == &e->found && !isfinite(b->score)) return EHM_FAIL(err, EHM_E_ARG, "%s of score %g in picture %lld", what, b->score, (long long)image);
    if (e->masks != (m != NULL))
        return EHM_FAIL(err, EHM_E_ARG, "%s in picture %lld %s a mask", what, (long long)image, m ? "has" : "lacks");
    if (m) {
        int32_t *s = e->size_of + 2 * image;
        if (m->h < 1 || m->w < 1 || !m->px || (s[0] && (s[0] != m->h || s[1] != m->w)))
            return EHM_FAIL(err, EHM_E_ARG, "a mask of %dx%d in picture %lld, whose others are %dx%d", m->w, m->h, (long long)image, s[1], s[0]);
        s[0] = m->h, s[1] = m->w;
    }
    void *v = to->v;
    if (!grow(&v, sizeof *to->v, to->n, &to->cap)) return no_memory(e, err);
    to->v = v;
    item *it = &to->v[to->n];
    *it = (item){.image = image, .order = to->n, .x = b->x, .y = b->y, .w = b->w, .h = b->h, .area = m ? 0 : b->w * b->h, .score = b->score,
                 .class_id = b->class_id, .crowd = b->crowd};
    if (m && !pack(e, it, m)) return no_memory(e, err);
    it->size = to == &e->truth && b->area > 0 ? b->area : it->area;
    to->n++;
    e->matched = false;
    return EHM_OK;
}
ehm_code ehm_coco_truth(ehm_coco *e, int64_t image, const ehm_coco_box *b, const ehm_coco_mask *m, ehm_err *err) {
    return add(e, &e->truth, image, b, m, "a true box", err);
}
ehm_code ehm_coco_found(ehm_coco *e, int64_t image, const ehm_coco_box *b, const ehm_coco_mask *m, ehm_err *err) {
    return add(e, &e->found, image, b, m, "a detection", err);
}

/* ---- matching ---- */

static int by_place(const item *a, const item *b) {
    if (a->class_id != b->class_id) return a->class_id < b->class_id ? -1 : 1;
    return (a->image > b->image) - (a->image < b->image);
}
static int truth_order(const void *x, const void *y) {
    const item *a = x, *b = y;
    int c = by_place(a, b);
    return c ? c : (a->order > b->order) - (a->order < b->order);
}
static int found_order(const void *x, const void *y) {
    const item *a = x, *b = y;
    int c = by_place(a, b);
    if (c || a->score > b->score || a->score < b->score) return c ? c : a->score > b->score ? -1 : 1;
    return (a->order > b->order) - (a->order < b->order);
}
static int score_order(const void *x, const void *y) {
    const scored *a = x, *b = y;
    if (a->score > b->score || a->score < b->score) return a->score > b->score ? -1 : 1;
    if (a->image != b->image) return a->image < b->image ? -1 : 1;
    return (a->rank > b->rank) - (a->rank < b->rank);
}

static double shared_pixels(const ehm_coco *e, const item *a, const item *b) {
    const uint32_t *p = e->runs + a->run, *q = e->runs + b->run;
    int64_t at = 0, end_p = p[0], end_q = q[0], shared = 0;
    for (int32_t i = 0, k = 0;;) {
        int64_t end = end_p < end_q ? end_p : end_q;
        if (i & k & 1) shared += end - at;
        at = end;
        if (end_p == end && ++i < a->n_runs) end_p += p[i];
        if (end_q == end && ++k < b->n_runs) end_q += q[k];
        if (i >= a->n_runs || k >= b->n_runs) return (double)shared;
    }
}

/* Of a crowd only the detection's own area counts: it is inside or not. */
static double iou(const ehm_coco *e, const item *found, const item *truth) {
    double w = fmin(found->x + found->w, truth->x + truth->w) - fmax(found->x, truth->x);
    double h = fmin(found->y + found->h, truth->y + truth->h) - fmax(found->y, truth->y);
    if (!(w > 0) || !(h > 0)) return 0;
    double both = e->masks ? shared_pixels(e, found, truth) : w * h;
    return both > 0 ? both / (truth->crowd ? found->area : found->area + truth->area - both) : 0;
}

static bool outside(const item *it, int32_t i_area) { return it->size < area_lo[i_area] || it->size > area_hi[i_area]; }

typedef struct {
    const item *truth, *found;
    int32_t n_truth, n_found; /* of one picture and class; found at most MOST */
    double *iou;              /* [n_found,n_truth] */
    int32_t *order;           /* truth: those that count first */
    bool *taken;
} meeting;

/* Each detection, best first, takes the truth that it overlaps most and that is still free. Truth that does not count (crowds, other sizes) comes last:
 * it is taken only where none that counts is good enough, and the detection then counts neither way. */
static void match(const meeting *m, scored *out, int32_t i_area) {
    int32_t n_counts = 0, at = 0;
    for (int32_t pass = 0; pass < 2; pass++)
        for (int32_t g = 0; g < m->n_truth; g++)
            if ((m->truth[g].crowd || outside(&m->truth[g], i_area)) == (pass == 1)) m->order[at++] = g, n_counts += !pass;
    for (int32_t t = 0; t < N_IOU; t++) {
        /* numpy.linspace(.5, .95, 10): these digits, not those of 0.5 + 0.05 t, decide ties */
        double bound = t == N_IOU - 1 ? 0.95 : (double)t * ((0.95 - 0.5) / (N_IOU - 1)) + 0.5;
        memset(m->taken, 0, (size_t)m->n_truth * sizeof *m->taken);
        for (int32_t d = 0; d < m->n_found; d++) {
            double best = fmin(bound, 1 - 1e-10);
            int32_t hit = -1;
            for (int32_t i = 0; i < m->n_truth; i++) {
                int32_t g = m->order[i];
                if (m->taken[g] && !m->truth[g].crowd) continue;
                if (hit >= 0 && hit < n_counts && i >= n_counts) break;
                if (m->iou[d * m->n_truth + g] < best) continue;
                best = m->iou[d * m->n_truth + g], hit = i;
            }
            if (hit >= 0) m->taken[m->order[hit]] = true;
            uint16_t bit = (uint16_t)(1 << t);
            if (hit >= 0 && hit < n_counts) out[d].right[i_area] |= bit;
            else if (hit >= 0 || outside(&m->found[d], i_area)) out[d].ignored[i_area] |= bit;
        }
    }
}

/* A class: pictures in order; of each the truth that counts, and the detections that may. */
static ehm_code match_class(ehm_coco *e, int32_t k, const item *truth, int64_t n_truth, const item *found, int64_t n_found, int64_t *n_scored,
                            int64_t *n_counted, ehm_err *err) {
    of_class *of = &e->of_class[k];
    int64_t most = 1;
    for (int64_t i = 0, n = 0; i < n_truth; i++) n = i && truth[i].image == truth[i - 1].image ? n + 1 : 1, most = n > most ? n : most;
    meeting m = {.iou = malloc(sizeof(double) * (size_t)most * MOST), .order = malloc(sizeof(int32_t) * (size_t)most), .taken = malloc((size_t)most)};
    ehm_code rc = m.iou && m.order && m.taken ? EHM_OK : no_memory(e, err);
    *of = (of_class){.scored = *n_scored, .counted = *n_counted};
    for (int64_t t = 0, f = 0; !rc && (t < n_truth || f < n_found);) {
        int64_t image = t >= n_truth || (f < n_found && found[f].image < truth[t].image) ? found[f].image : truth[t].image;
        m.truth = truth + t, m.found = found + f, m.n_truth = 0;
        int64_t in_picture = f;
        while (t < n_truth && truth[t].image == image) t++, m.n_truth++;
        while (f < n_found && found[f].image == image) f++;
        m.n_found = (int32_t)(f - in_picture < MOST ? f - in_picture : MOST);
        for (int32_t d = 0; d < m.n_found; d++)
            for (int32_t g = 0; g < m.n_truth; g++) m.iou[d * m.n_truth + g] = iou(e, &m.found[d], &m.truth[g]);
        scored *out = e->scored + *n_scored;
        for (int32_t d = 0; d < m.n_found; d++) out[d] = (scored){.image = image, .score = m.found[d].score, .rank = d};
        counted c = {.image = image};
        for (int32_t a = 0; a < N_AREA; a++) {
            match(&m, out, a);
            for (int32_t g = 0; g < m.n_truth; g++) c.n[a] += !m.truth[g].crowd && !outside(&m.truth[g], a);
        }
        *n_scored += m.n_found;
        if (m.n_truth) e->counted[(*n_counted)++] = c;
        of->n_truth += c.n[0];
    }
    free(m.iou), free(m.order), free(m.taken);
    of->n_scored = *n_scored - of->scored, of->n_counted = *n_counted - of->counted;
    if (of->n_scored) qsort(e->scored + of->scored, (size_t)of->n_scored, sizeof *e->scored, score_order);
    return rc;
}

static ehm_code match_all(ehm_coco *e, ehm_err *err) {
    if (e->matched) return EHM_OK;
    free(e->scored), free(e->counted);
    e->scored = malloc(sizeof *e->scored * ((size_t)e->found.n + 1)), e->counted = malloc(sizeof *e->counted * ((size_t)e->truth.n + 1));
    if (!e->scored || !e->counted) return no_memory(e, err);
    if (e->truth.n) qsort(e->truth.v, (size_t)e->truth.n, sizeof *e->truth.v, truth_order);
    if (e->found.n) qsort(e->found.v, (size_t)e->found.n, sizeof *e->found.v, found_order);
    int64_t n_scored = 0, n_counted = 0, t = 0, f = 0;
    for (int32_t k = 0; k < e->n_classes; k++) {
        int64_t t0 = t, f0 = f;
        while (t < e->truth.n && e->truth.v[t].class_id == k) t++;
        while (f < e->found.n && e->found.v[f].class_id == k) f++;
        EHM_TRY(match_class(e, k, e->truth.v + t0, t - t0, e->found.v + f0, f - f0, &n_scored, &n_counted, err));
    }
    e->matched = true;
    return EHM_OK;
}

/* ---- the walk ---- */

/* Where a detection was right: how many were right and how many wrong by then. A run of equal steps (a picture that counts several times) is one step:
 * precision there is highest at its end, and recall first reaches a bound somewhere on it. */
typedef struct { int64_t right, wrong; } step;
typedef struct {
    step *steps;          /* [N_IOU,cap] */
    int64_t cap;          /* no less than the truth of any class: each is met once at most */
    double sum[N_IOU];    /* of precision over recalls */
    double recall[N_IOU]; /* at the end */
} walk;

/* False: no truth counts. */
static bool walk_class(walk *w, const ehm_coco *e, int32_t k, int32_t a, int32_t most, const int32_t *weight) {
    const of_class *of = &e->of_class[k];
    int64_t n_truth = 0, wrong_at_all = 0, right[N_IOU] = {0}, wrong[N_IOU] = {0};
    int64_t n_steps[N_IOU] = {0};
    for (int64_t i = 0; i < of->n_counted; i++) {
        const counted *c = &e->counted[of->counted + i];
        n_truth += (int64_t)c->n[a] * (weight ? weight[c->image] : 1);
    }
    if (!n_truth) return false;
    for (int64_t i = 0; i < of->n_scored; i++) {
        const scored *s = &e->scored[of->scored + i];
        int32_t times = weight ? weight[s->image] : 1;
        if (!times || s->rank >= most) continue;
        if (!(s->right[a] | s->ignored[a])) {
            wrong_at_all += times; /* most are: wrong at every bound */
            continue;
        }
        for (int32_t t = 0; t < N_IOU; t++) {
            if (s->right[a] >> t & 1) {
                right[t] += times;
                w->steps[t * w->cap + n_steps[t]++] = (step){right[t], wrong[t] + wrong_at_all};
            } else if (!(s->ignored[a] >> t & 1)) wrong[t] += times;
        }
    }
    for (int32_t t = 0; t < N_IOU; t++) {
        const step *s = w->steps + t * w->cap;
        double best = 0, sum = 0;
        int32_t r = N_RECALL - 1;
        w->recall[t] = (double)right[t] / (double)n_truth;
        while (r >= 0 && (r == N_RECALL - 1 ? 1.0 : r * 0.01) > w->recall[t]) r--;
        /* Backward: precision at a recall is the best at that recall or beyond. */
        for (int64_t i = n_steps[t] - 1; i >= 0; i--) {
            double before = i ? (double)s[i - 1].right / (double)n_truth : -1;
            best = fmax(best, (double)s[i].right / ((double)s[i].wrong + (double)s[i].right + 2.220446049250313e-16));
            for (; r >= 0 && (r == N_RECALL - 1 ? 1.0 : r * 0.01) > before; r--) sum += best;
        }
        w->sum[t] = sum;
    }
    return true;
}

static bool walk_open(walk *w, const ehm_coco *e) {
    w->cap = 1;
    for (int32_t k = 0; k < e->n_classes; k++) w->cap = e->of_class[k].n_truth > w->cap ? e->of_class[k].n_truth : w->cap;
    w->steps = malloc(sizeof *w->steps * N_IOU * (size_t)w->cap);
    return w->steps != NULL;
}

static double total(const double *v) {
    double s = 0;
    for (int32_t t = 0; t < N_IOU; t++) s += v[t];
    return s;
}
static double mean_of(double sum, int64_t n) { return n ? sum / (double)n : -1; }

/* All sizes: AP, AP50 and AP75 over the classes that have truth. */
static void average(double out[3], double *per_class, walk *w, const ehm_coco *e, const int32_t *weight, double *recall) {
    double ap = 0, ap50 = 0, ap75 = 0, sum = 0;
    int64_t n = 0;
    for (int32_t k = 0; k < e->n_classes; k++) {
        bool any = walk_class(w, e, k, 0, MOST, weight);
        if (per_class) per_class[k] = any ? total(w->sum) / (N_IOU * N_RECALL) : -1;
        if (any) n++, ap += total(w->sum), ap50 += w->sum[0], ap75 += w->sum[5], sum += total(w->recall);
    }
    out[0] = mean_of(ap, n * N_IOU * N_RECALL), out[1] = mean_of(ap50, n * N_RECALL), out[2] = mean_of(ap75, n * N_RECALL);
    if (recall) *recall = mean_of(sum, n * N_IOU);
}

ehm_code ehm_coco_score(ehm_coco_scores *out, double *per_class, ehm_coco *e, const int32_t *weight, ehm_err *err) {
    walk w;
    double ap[3], by_size[N_AREA], recall[N_MOST];
    EHM_TRY(match_all(e, err));
    if (!walk_open(&w, e)) return no_memory(e, err);
    average(ap, per_class, &w, e, weight, &recall[N_MOST - 1]);
    for (int32_t a = 1; a < N_AREA; a++) {
        double sum = 0;
        int64_t n = 0;
        for (int32_t k = 0; k < e->n_classes; k++)
            if (walk_class(&w, e, k, a, MOST, weight)) n++, sum += total(w.sum);
        by_size[a] = mean_of(sum, n * N_IOU * N_RECALL);
    }
    for (int32_t i = 0; i < N_MOST - 1; i++) {
        double sum = 0;
        int64_t n = 0;
        for (int32_t k = 0; k < e->n_classes; k++)
            if (walk_class(&w, e, k, 0, most_of[i], weight)) n++, sum += total(w.recall);
        recall[i] = mean_of(sum, n * N_IOU);
    }
    free(w.steps);
    *out = (ehm_coco_scores){ap[0], ap[1], ap[2], by_size[1], by_size[2], by_size[3], recall[0], recall[1], recall[2]};
    return EHM_OK;
}

/* ---- bootstrap ---- */

typedef struct { ehm_coco *e; walk *walks; int32_t *weights; double *out; uint64_t seed; } drawing;

static void draw(void *ctx, int64_t begin, int64_t end, int32_t i_thread) {
    drawing *j = ctx;
    const int64_t n = j->e->n_images, width = 3 + j->e->n_classes;
    int32_t *weight = j->weights + i_thread * n;
    for (int64_t i = begin; i < end; i++) {
        ehm_rng r = ehm_rng_of(j->seed, EHM_RNG_bootstrap, 0, (uint64_t)i);
        memset(weight, 0, (size_t)n * sizeof *weight);
        for (int64_t k = 0; k < n; k++) weight[ehm_rng_below64(&r, (uint64_t)n)]++;
        average(j->out + i * width, j->out + i * width + 3, &j->walks[i_thread], j->e, weight, NULL);
    }
}

ehm_code ehm_coco_bootstrap(double *out, ehm_coco *e, uint64_t seed, ehm_pool *pool, ehm_err *err) {
    int32_t n_threads = ehm_pool_threads(pool), n = 0;
    EHM_TRY(match_all(e, err));
    drawing j = {.e = e, .out = out, .seed = seed, .walks = calloc((size_t)n_threads, sizeof *j.walks),
                 .weights = malloc(sizeof *j.weights * (size_t)n_threads * (size_t)e->n_images)};
    ehm_code rc = EHM_OK;
    if (!j.walks || !j.weights) rc = no_memory(e, err);
    for (; !rc && n < n_threads; n++)
        if (!walk_open(&j.walks[n], e)) rc = no_memory(e, err);
    if (!rc) ehm_pool_for(pool, EHM_BOOT_DRAWS, 8, draw, &j);
    for (int32_t i = 0; j.walks && i < n_threads; i++) free(j.walks[i].steps);
    free(j.walks), free(j.weights);
    return rc;
}

/* ---- COCO's run-length code: runs down the columns, differences to the run two before, five bits a character ---- */

static void put_run(ehm_str *s, int64_t v) {
    for (bool more = true; more;) {
        int32_t c = (int32_t)(v & 0x1f);
        v >>= 5;
        more = c & 0x10 ? v != -1 : v != 0;
        ehm_str_addc(s, (char)(48 + (more ? c | 0x20 : c)));
    }
}
void ehm_coco_rle(ehm_str *s, const ehm_coco_mask *m) {
    int64_t runs[3] = {0}, n = 0, length = 0, all = (int64_t)m->h * m->w;
    bool set = false;
    for (int64_t i = 0; i <= all; i++) {
        bool here = i < all && m->px[i % m->h * m->w + i / m->h];
        if (i < all && here == set) {
            length++;
            continue;
        }
        runs[n % 3] = length;
        put_run(s, n > 2 ? length - runs[(n - 2) % 3] : length);
        n++, length = 1, set = here;
    }
}
