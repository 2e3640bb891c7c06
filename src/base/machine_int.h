/* What control groups and /proc allow, with the file system's root as an argument so that tests can make one up. */
#ifndef EHM_BASE_MACHINE_INT_H
#define EHM_BASE_MACHINE_INT_H
#include <stdint.h>
double ehm_machine_cpu_quota(const char *root);         /* processors; <= 0: no quota */
int64_t ehm_machine_memory_limit(const char *root);     /* bytes; INT64_MAX: unknown */
int64_t ehm_machine_memory_available(const char *root); /* bytes; INT64_MAX: unknown */
#endif
