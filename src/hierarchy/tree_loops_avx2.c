/* The loops of a build with AVX2. */
#if defined(__x86_64__) && defined(__AVX2__)
#define EHM_TREE_VECTOR 1
#define EHM_TREE_TABLE static const ehm_tree_kern table
#include "hierarchy/tree_loops.inc"
const ehm_tree_kern *ehm_tree_avx2(void) { return __builtin_cpu_supports("avx2") ? &table : NULL; }
#else
#include "hierarchy/tree_int.h"
const ehm_tree_kern *ehm_tree_avx2(void) { return NULL; }
#endif
