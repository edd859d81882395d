/* A thread that helps, as the system knows it: how it is made, how it ends, and where it runs.

   A woken thread must not begin on the core of the caller, where it would wait for the caller's
   time to be over. Linux puts it there often: a virtual core that sleeps does not look free to it.
   So a helper may be on all cores that the caller may be on, but the one where the caller is. This
   is said anew whenever the caller is elsewhere, so that the caller's own permission is kept. */
#ifndef NORMSCOPE_HELPER_THREAD_H
#define NORMSCOPE_HELPER_THREAD_H

#include "waiting.h"

/* Kernels have their scratch memory on the stack: up to 512 KiB. */
enum { STACK = 2 << 20 };

#if defined(_WIN32)

typedef HANDLE Thread;
#define THREAD_FUNCTION DWORD WINAPI
#define THREAD_RESULT 0

INLINE int begin_thread(Thread *thread, LPTHREAD_START_ROUTINE function, void *argument) {
    DWORD reserved = STACK_SIZE_PARAM_IS_A_RESERVATION;
    *thread = CreateThread(NULL, STACK, function, argument, reserved, NULL);
    return *thread != NULL;
}

INLINE void join_thread(Thread thread) {
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

#else

#include <pthread.h>
#include <signal.h>

typedef pthread_t Thread;
#define THREAD_FUNCTION void *
#define THREAD_RESULT NULL

/* Signals are for the threads of the program, whose waiting they end. */
static int begin_thread(Thread *thread, void *(*function)(void *), void *argument) {
    sigset_t all, before;
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return 0;
    pthread_attr_setstacksize(&attributes, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(thread, &attributes, function, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return !failed;
}

INLINE void join_thread(Thread thread) { pthread_join(thread, NULL); }

#endif

#if defined(__linux__)

#include <sched.h>

/* Where a helper may run: on the cores of `all`, but not on one. */
typedef struct {
    int thread;
    int but;
    cpu_set_t all;
} Cores;

INLINE int this_thread(void) { return (int)syscall(SYS_gettid); }
INLINE int is_first_thread(void) { return this_thread() == (int)getpid(); }

/* Whether another thread of the process is running at this moment: the time that it has used grows
   while it is asked for. The system counts it for each thread, by a clock with this number. */
INLINE int is_at_work(int thread) {
    clockid_t clock = (clockid_t)(~(unsigned)thread << 3 | 6);
    struct timespec before, after;
    if (clock_gettime(clock, &before) != 0 || clock_gettime(clock, &after) != 0) return 0;
    return before.tv_nsec != after.tv_nsec || before.tv_sec != after.tv_sec;
}

/* Where helpers of the calling thread may run. No `thread`: anywhere, for it may not be known. */
INLINE Cores beside_caller(void) {
    Cores cores = {.but = sched_getcpu()};
    cores.thread = cores.but >= 0 && sched_getaffinity(0, sizeof cores.all, &cores.all) == 0;
    if (cores.thread && CPU_COUNT(&cores.all) < 2) cores.but = -1;
    return cores;
}

/* How many cores the calling thread may use; a number that is given if the system does not say. */
INLINE Int own_cores(Int otherwise) {
    cpu_set_t cores;
    return sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : otherwise;
}

/* Whether there is a core for each of so many helpers, as far as it is known. */
INLINE int are_enough(const Cores *cores, Word helpers) {
    return CPU_COUNT(&cores->all) > (int)helpers;
}

/* Say where a helper may run, unless it is known. */
INLINE void place_helper(Cores *now, const Cores *wanted) {
    if (!wanted->thread || (now->but == wanted->but && CPU_EQUAL(&now->all, &wanted->all))) return;
    cpu_set_t cores = wanted->all;
    if (wanted->but >= 0) CPU_CLR(wanted->but, &cores);
    if (sched_setaffinity(now->thread, sizeof cores, &cores) != 0) return;
    now->but = wanted->but;
    now->all = wanted->all;
}

#else

/* Other systems choose well, or cannot be told. */
typedef struct {
    int thread;
} Cores;

INLINE int this_thread(void) { return 0; }
INLINE int is_first_thread(void) { return 0; }
INLINE int is_at_work(int thread) { return (void)thread, 0; }
INLINE Int own_cores(Int otherwise) { return otherwise; }
INLINE Cores beside_caller(void) { return (Cores){0}; }
INLINE int are_enough(const Cores *cores, Word helpers) { return (void)cores, (void)helpers, 1; }
INLINE void place_helper(Cores *now, const Cores *wanted) { (void)now, (void)wanted; }

#endif

#endif
