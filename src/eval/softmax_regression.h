/* Softmax regression with an L2 penalty, fitted by L-BFGS: the linear classifier that is put on frozen features.
 *
 *     ehm_softreg *s; ehm_softreg_open(&s, dev, dim, n_classes, &err);
 *     double *w = calloc(ehm_softreg_count(s), sizeof *w);                   // zeros, or a solution near by
 *     ehm_softreg_fit(w, &report, s, &(ehm_softreg_set){.x = x, .labels = y, .n = n}, 0.1, NULL, &err);
 *     ehm_softreg_score(guess, rank, loss, s, w, &test, &err);
 *
 * Minimised is C * sum of log losses + ||W||^2 / 2; the intercepts are not penalised. That is scikit-learn's
 * LogisticRegression, also for two classes: there it fits the one vector w1 - w0, so the penalty on the two counts twice here.
 * Products run on the device in f32, block by block of rows; all sums over rows are in double in a fixed order, so the
 * result is the same for any number of threads. Memory: a block of rows, and 26 times the parameters in double.
 */
#ifndef EHM_EVAL_SOFTMAX_REGRESSION_H
#define EHM_EVAL_SOFTMAX_REGRESSION_H
#include "compute/compute.h"

typedef struct ehm_softreg ehm_softreg;
typedef struct {
    const float *x;        /* rows of dim features */
    const int32_t *labels; /* of each row of x: 0 to n_classes - 1; in tests -1 is a class that the model lacks */
    const int64_t *rows;   /* [n] which rows of x, in this order; NULL: the first n */
    int64_t n;
} ehm_softreg_set;
typedef struct {
    double tol;       /* until no entry of the gradient of the mean loss (penalty included) is larger than this share of a class,
                       * tol / n_classes; 2e-4, which for two classes is scikit-learn's 1e-4 */
    int32_t max_iter; /* 1000 */
} ehm_softreg_opt;
typedef struct {
    double objective;    /* C * sum of log losses + ||W||^2 / 2 */
    double gradient_max; /* of the objective divided by C * n */
    int32_t n_iter, n_evals;
    bool converged;      /* by tol, or as far as the rounding of f32 products goes */
} ehm_softreg_report;

ehm_code ehm_softreg_open(ehm_softreg **out, ehm_dev *d, int32_t dim, int32_t n_classes, ehm_err *err);
void ehm_softreg_close(ehm_softreg *s);
/* Parameters: n_classes * dim weights, a row a class, then n_classes intercepts. */
int64_t ehm_softreg_count(const ehm_softreg *s);
/* The objective at w, and its gradient [count] unless it is NULL. EHM_E_NUMERIC when a feature or w is not finite. */
ehm_code ehm_softreg_objective(double *value, double *gradient, ehm_softreg *s, const double *w, const ehm_softreg_set *set,
                               double c, ehm_err *err);
/* The mean log loss alone, without a penalty, and its gradient [count]: for other ways to minimise it. */
ehm_code ehm_softreg_mean_loss(double *value, double *gradient, ehm_softreg *s, const double *w, const ehm_softreg_set *set, ehm_err *err);
/* Moves w [count] from where it is to the minimum. opt NULL: the defaults. A fit that ends at max_iter is no error; the
 * report says so. Errors: EHM_E_NUMERIC, EHM_E_STOPPED when a stop was asked for. */
ehm_code ehm_softreg_fit(double *w, ehm_softreg_report *report, ehm_softreg *s, const ehm_softreg_set *set, double c,
                         const ehm_softreg_opt *opt, ehm_err *err);
/* For each row of the set: the class (ties to the lower one), how many classes stand before the true one, its log loss.
 * No probability counts as less than 2.2e-16, as in scikit-learn's log_loss; a class that the model lacks has that, and rank n_classes. */
ehm_code ehm_softreg_score(int32_t *guess, int32_t *rank, double *loss, ehm_softreg *s, const double *w,
                           const ehm_softreg_set *set, ehm_err *err);
#endif
