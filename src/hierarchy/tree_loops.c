/* The portable loops of a build. */
#define EHM_TREE_VECTOR 0
#define EHM_TREE_TABLE const ehm_tree_kern ehm_tree_generic
#include "hierarchy/tree_loops.inc"
