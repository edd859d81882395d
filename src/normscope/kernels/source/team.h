/* A kernel on several threads: those of a pool that is kept here, or those of a loaded OpenMP. */
#ifndef NORMSCOPE_TEAM_H
#define NORMSCOPE_TEAM_H

#include "items.h"

/* What a job is worth: the help of threads that are awake, waking others, or waiting until all
   threads of a team have come. */
enum { IF_AWAKE, WAKE, WAIT };

/* Run a kernel on so many items by the calling thread. */
EXPORT void team_alone(Kernel *kernel, const void *call, Int items);

/* Run a kernel on so many items and up to so many threads, the calling one included. */
EXPORT void team_run(Kernel *kernel, const void *call, Int items, Int threads, Int effort);

/* The same on the team of the OpenMP runtime that was found; on the pool where that would be late:
   it was lately, or it sleeps and the job is not worth waiting. */
EXPORT void team_join(Kernel *kernel, const void *call, Int items, Int threads, Int effort);

/* An OpenMP runtime that the process has loaded: its `GOMP_parallel`, `omp_in_parallel` and
   `omp_get_thread_num`. */
EXPORT void team_found(void *parallel, void *in_parallel, void *thread_number);

/* Keep at most so many threads of the pool. Others end; one that works does so afterwards. */
EXPORT void team_limit(Int helpers);

/* How many threads the pool has. */
EXPORT Int team_helpers(void);

#endif
