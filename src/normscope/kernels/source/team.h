/* A kernel on several threads: those of a pool that is kept here, or those of a loaded OpenMP. */
#ifndef NORMSCOPE_TEAM_H
#define NORMSCOPE_TEAM_H

#include "machine.h"

/* Run a kernel on up to so many threads, the calling one included. A job that is not `large` is not
   worth waking threads that sleep: it has to do with those that are awake. */
EXPORT void team_run(Kernel *kernel, const void *call, Int threads, Int large);

/* The same on the team of the OpenMP runtime that was found; on the pool while that is late. */
EXPORT void team_join(Kernel *kernel, const void *call, Int threads, Int large);

/* An OpenMP runtime that the process has loaded: its `GOMP_parallel` and `omp_in_parallel`. */
EXPORT void team_found(void *parallel, void *in_parallel);

/* Keep at most so many threads of the pool. Others end; one that works does so afterwards. */
EXPORT void team_limit(Int helpers);

/* How many threads the pool has. */
EXPORT Int team_helpers(void);

#endif
