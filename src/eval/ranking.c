/* Average precision of ranked lists, in its three usual readings, and intersection over union. */
#include "eval/ranking.h"
#include <math.h>
#include <stdlib.h>

double ehm_ap_oxford(const int64_t *rank, int64_t n_found, int64_t n_positive) {
    double sum = 0;
    if (n_positive <= 0) return 0;
    for (int64_t i = 0; i < n_found; i++) {
        /* Precision just before this positive and just after it: the area of the trapezoid between the two
         * steps of recall. Before the first place nothing was shown, which counts as all right. */
        double before = rank[i] == 0 ? 1.0 : (double)i / (double)rank[i];
        double after = (double)(i + 1) / (double)(rank[i] + 1);
        sum += (before + after) / 2;
    }
    return sum / (double)n_positive;
}

double ehm_ap_plain(const int64_t *rank, int64_t n_found, int64_t n_positive) {
    double sum = 0;
    if (n_positive <= 0) return 0;
    for (int64_t i = 0; i < n_found; i++) sum += (double)(i + 1) / (double)(rank[i] + 1);
    return sum / (double)n_positive;
}

typedef struct {
    float score;
    bool right;
} candidate;

/* NaN last: a candidate without a score is the least likely one. */
static int by_score(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (isnan(x->score) || isnan(y->score)) return (isnan(x->score) != 0) - (isnan(y->score) != 0);
    return (x->score < y->score) - (x->score > y->score);
}

double ehm_ap_micro(const float *score, const bool *right, int64_t n, int64_t n_positive) {
    candidate *list;
    double sum = 0;
    int64_t n_right = 0;
    if (n_positive <= 0 || n <= 0) return 0;
    list = malloc(sizeof *list * (size_t)n);
    if (!list) return NAN;
    for (int64_t i = 0; i < n; i++) list[i] = (candidate){score[i], right[i]};
    qsort(list, (size_t)n, sizeof *list, by_score);
    for (int64_t i = 0; i < n;) {
        /* All of one score are taken at once: a threshold cannot part them, so their order must not count. */
        int64_t end = i, gained = 0;
        while (end < n && by_score(&list[i], &list[end]) == 0) gained += list[end++].right;
        n_right += gained;
        sum += (double)gained * (double)n_right / (double)end;
        i = end;
    }
    free(list);
    return sum / (double)n_positive;
}

double ehm_mean_iou(double *iou, const int64_t *counts, int32_t n_classes) {
    double sum = 0;
    int32_t n_there = 0;
    for (int32_t k = 0; k < n_classes; k++) {
        int64_t truth = 0, predicted = 0, both = counts[(int64_t)k * n_classes + k], either;
        for (int32_t j = 0; j < n_classes; j++) {
            truth += counts[(int64_t)k * n_classes + j];
            predicted += counts[(int64_t)j * n_classes + k];
        }
        either = truth + predicted - both;
        iou[k] = either ? (double)both / (double)either : NAN;
        if (truth) sum += iou[k], n_there++;
    }
    return n_there ? sum / n_there : NAN;
}
