/* `ehm eval tree --by agreement`: how far trees of a cheaper teacher agree with the trees of all layers. Internal to eval/.
 *
 *     ehm_agreement_kinds(p.kinds, &p.n_kinds, &cfg, shape, &arena, &err); p.agreement = true;
 *     ehm_tree_pass_run(&p, model, ds, &cfg, &err);          // one pass of the teacher for all kinds
 *     ... rows of the table, their means and intervals ...
 *     ehm_agreement_verdicts(&out, 0, out.n_rows, &columns, &p, &arena);
 */
#ifndef EHM_EVAL_TREE_AGREEMENT_INT_H
#define EHM_EVAL_TREE_AGREEMENT_INT_H
#include "eval/eval.h"
#include "eval/tree_pass_int.h"

extern const char ehm_agreement_protocol[];
/* All layers first; then first:1/6, first:1/3, first:1/2, last and cfg's tree_layers, each set of layers once; at the end the first, third, ... layers, whose
 * partner are the second, fourth, ... behind them (two or more layers). The others' partner is v[0]. v: room for 9. */
ehm_code ehm_agreement_kinds(ehm_tree_kind *v, int32_t *n, const ehm_config *cfg, const ehm_vit_shape *s, ehm_arena *a, ehm_err *err);
/* Is it a row of the table? The even layers are there for the odd ones only. */
bool ehm_agreement_is_row(const ehm_tree_pass *p, int32_t i_kind);

/* What a row must reach: 0.9 of halves at each level, and 0.95 of the lower end of all layers' own - swapped. NAN where there is none: not asked for. */
typedef struct { double agree[EHM_TREE_LEVELS], own; } ehm_agreement_need;
ehm_agreement_need ehm_agreement_need_of(const double halves[EHM_TREE_LEVELS], double all_lo);
/* Does a row with these means keep what all layers have? */
bool ehm_agreement_keeps(const double agree[EHM_TREE_LEVELS], double own, const ehm_agreement_need *need);

typedef struct { int32_t own, agree; } ehm_agreement_columns; /* i_metric of own - swapped, and of the first level (the others follow) */
/* Rows begin..end - 1 of out, which have values and intervals, are p's kinds: ": keeps" or ": trade" goes behind the name of each cheaper one, what a trade
 * falls short of into a note. Returns the row to quote: the first one of the cheapest that keeps (fewest blocks to run, then fewest layers), all layers where
 * none does. Without halves there is no verdict. */
int32_t ehm_agreement_verdicts(ehm_eval_out *out, int32_t begin, int32_t end, const ehm_agreement_columns *c, const ehm_tree_pass *p, ehm_arena *a);
#endif
