/* Element-wise and row-wise kernels with sixteen lanes made by the compiler; and the vector functions one by
 * one. */
#define EHM_VEC_WIDE 16
#define EHM_ROW_NAME ehm_row_wide16
#include "compute/cpu/vec.h"
#include "cpu_row_check.h"
extern const ehm_row_kern ehm_row_wide16;
#include "compute/cpu/row_kern.inc"

TEST(cpu_wide, rows) { row_check(&ehm_row_wide16); }
TEST(cpu_wide, exp_against_double) {
    double worst = 0;
    for (int i = 0; i < 1000000; i += VW) {
        float x[VW], y[VW];
        for (int k = 0; k < VW; k++) x[k] = -87.f + (float)(i + k) * 175e-6f;
        v_store(y, v_exp(v_load(x)));
        for (int k = 0; k < VW; k++) worst = fmax(worst, fabs((double)y[k] / exp((double)x[k]) - 1));
    }
    CHECK(worst < 2e-7);
    float x[VW] = {-INFINITY, -1e30f, -88.f, NAN, 0.f, -0.f, 88.f}, y[VW];
    v_store(y, v_exp(v_load(x)));
    CHECK(y[0] == 0 && y[1] == 0 && y[2] == 0 && isnan(y[3]) && y[4] == 1 && y[5] == 1 && isfinite(y[6]));
}
TEST(cpu_wide, log1p_against_double) {
    double worst = 0;
    for (int i = 0; i < 400000; i += VW) {
        float x[VW], y[VW];
        for (int k = 0; k < VW; k++) x[k] = i < 200000 ? (float)(i + k) * 5e-6f : (float)exp(-(double)(i + k - 200000) * 4e-4);
        v_store(y, v_log1p(v_load(x)));
        for (int k = 0; k < VW; k++)
            if (x[k] > 0) worst = fmax(worst, fabs((double)y[k] / log1p((double)x[k]) - 1));
    }
    CHECK(worst < 3e-7);
}
TEST(cpu_wide, turn_8x8) {
    float x[8 * 9], y[8 * 11];
    for (int i = 0; i < 8 * 9; i++) x[i] = (float)i;
    v_turn8(y, 11, x, 9);
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 8; j++) CHECK(y[j * 11 + i] == x[i * 9 + j]);
}
