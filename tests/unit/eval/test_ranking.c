/* Average precision in its readings, intersection over union: against scikit-learn and the Oxford benchmark's rule. */
#include "base/file.h"
#include "eval/ranking.h"
#include "eval/retrieve.h"
#include "golden_numbers.h"
#include "harness.h"

TEST(ranking, average_precision_golden) {
    numbers g = numbers_open("tests/golden/ranking/ranking.txt");
    int64_t n_lists = (int64_t)numbers_next(&g);
    CHECK_INT(n_lists, 7);
    for (int64_t i = 0; i < n_lists; i++) {
        int64_t n = (int64_t)numbers_next(&g), rank[512];
        double plain = numbers_next(&g), oxford = numbers_next(&g);
        REQUIRE(n > 0 && n <= 512);
        for (int64_t k = 0; k < n; k++) rank[k] = (int64_t)numbers_next(&g);
        CHECK_NEAR(ehm_ap_plain(rank, n, n), plain, 1e-12);
        CHECK_NEAR(ehm_ap_oxford(rank, n, n), oxford, 1e-12);
        /* positives that were never found count as missed */
        CHECK_NEAR(ehm_ap_plain(rank, n, 2 * n), plain / 2, 1e-12);
        CHECK_NEAR(ehm_ap_oxford(rank, n, 2 * n), oxford / 2, 1e-12);
    }
    numbers_close(&g);
}

TEST(ranking, micro_golden_with_ties) {
    numbers g = numbers_open("tests/golden/ranking/ranking.txt");
    for (int64_t i = (int64_t)numbers_next(&g); i > 0; i--) {
        int64_t n = (int64_t)numbers_next(&g);
        for (int64_t k = 0; k < n + 2; k++) numbers_next(&g);
    }
    for (int64_t i = (int64_t)numbers_next(&g); i > 0; i--) {
        int64_t n = (int64_t)numbers_next(&g), n_right = 0;
        double want = numbers_next(&g);
        float score[512];
        bool right[512];
        REQUIRE(n > 0 && n <= 512);
        for (int64_t k = 0; k < n; k++) score[k] = (float)numbers_next(&g);
        for (int64_t k = 0; k < n; k++) n_right += right[k] = numbers_next(&g) != 0;
        CHECK_NEAR(ehm_ap_micro(score, right, n, n_right), want, 1e-12);
        CHECK_NEAR(ehm_ap_micro(score, right, n, 4 * n_right), want / 4, 1e-12);
        /* the same candidates in another order */
        for (int64_t k = 0; k < n / 2; k++) {
            float s = score[k];
            bool t = right[k];
            score[k] = score[n - 1 - k], right[k] = right[n - 1 - k], score[n - 1 - k] = s, right[n - 1 - k] = t;
        }
        CHECK_NEAR(ehm_ap_micro(score, right, n, n_right), want, 1e-12);
    }
    numbers_close(&g);
}

TEST(ranking, edges) {
    int64_t first = 0, third = 2;
    CHECK_NEAR(ehm_ap_plain(&first, 1, 1), 1, 0);
    CHECK_NEAR(ehm_ap_oxford(&first, 1, 1), 1, 0);
    CHECK_NEAR(ehm_ap_plain(&third, 1, 1), 1.0 / 3, 1e-15);
    CHECK_NEAR(ehm_ap_oxford(&third, 1, 1), 1.0 / 6, 1e-15); /* from (0 of 2) to (1 of 3) */
    CHECK_NEAR(ehm_ap_plain(NULL, 0, 3), 0, 0);
    CHECK_NEAR(ehm_ap_plain(NULL, 0, 0), 0, 0);
    CHECK_NEAR(ehm_ap_oxford(NULL, 0, 0), 0, 0);
    CHECK_NEAR(ehm_ap_micro(NULL, NULL, 0, 4), 0, 0);
    /* a score that is no number is the least likely */
    CHECK_NEAR(ehm_ap_micro((float[]){NAN, 0.1f}, (bool[]){true, false}, 2, 1), 0.5, 1e-15);
}

TEST(ranking, mean_iou_golden) {
    numbers g = numbers_open("tests/golden/ranking/ranking.txt");
    for (int64_t i = (int64_t)numbers_next(&g); i > 0; i--) {
        int64_t n = (int64_t)numbers_next(&g);
        for (int64_t k = 0; k < n + 2; k++) numbers_next(&g);
    }
    for (int64_t i = (int64_t)numbers_next(&g); i > 0; i--) {
        int64_t n = (int64_t)numbers_next(&g);
        for (int64_t k = 0; k < 2 * n + 1; k++) numbers_next(&g);
    }
    int32_t c = (int32_t)numbers_next(&g);
    double want = numbers_next(&g), iou[8];
    int64_t counts[64];
    REQUIRE(c == 5);
    for (int32_t i = 0; i < c * c; i++) counts[i] = (int64_t)numbers_next(&g);
    CHECK_NEAR(ehm_mean_iou(iou, counts, c), want, 1e-12);
    for (int32_t i = 0; i < 4; i++) CHECK_NEAR(iou[i], numbers_next(&g), 1e-12);
    CHECK_NEAR(iou[3], 0, 0); /* predicted, never true: 0, and not in the mean */
    CHECK(isnan(iou[4]));
    memset(counts, 0, sizeof counts);
    CHECK(isnan(ehm_mean_iou(iou, counts, c)));
    numbers_close(&g);
}
