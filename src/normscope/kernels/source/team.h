/* A kernel on several threads: those of a pool that is kept here, or those of a loaded OpenMP. */
#ifndef NORMSCOPE_TEAM_H
#define NORMSCOPE_TEAM_H

#include "items.h"

/* What a job is worth: the help of threads that are awake, waking others, or waiting until all
   threads of a team have come. */
enum { IF_AWAKE, WAKE, WAIT };

/* Run a kernel on so many items by the calling thread. */
EXPORT void team_alone(Kernel *kernel, const void *call, Int items);

/* Run a kernel on so many items and as many threads as were asked for, the calling one included; 0:
   as many as `team_number` says. Threads are those of the OpenMP runtime that was found, or those
   of the pool where they would be late: they were lately, or sleep while the job is not worth
   waiting. */
EXPORT void team_run(Kernel *kernel, const void *call, Int items, Int asked, Int effort);

/* How many threads there are if so many were asked for; 0: as many as there are cores that the
   calling thread may use, or as the OpenMP runtime uses if it uses fewer. */
EXPORT Int team_number(Int asked);

/* Whether a large job that so many threads are asked for runs on the team of the OpenMP runtime. */
EXPORT Int team_joins(Int asked);

/* How many cores the machine has, where the system does not say how many may be used. */
EXPORT void team_cores(Int cores);

/* An OpenMP runtime that the process has loaded: its `GOMP_parallel`, NULL where no team can be
   made, `omp_in_parallel`, `omp_get_thread_num` and `omp_get_max_threads`; all NULL: there is
   none. */
EXPORT void team_found(void *parallel, void *in_parallel, void *thread_number, void *max_threads);

/* Keep at most so many threads of the pool. Others end; one that works does so afterwards. */
EXPORT void team_limit(Int helpers);

/* How many threads the pool has. */
EXPORT Int team_helpers(void);

#endif
