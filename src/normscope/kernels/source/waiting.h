/* How a thread waits for another one: first awake, then asleep, on a word that the other changes.

   `sleep_while` may return early, so the word is looked at again. Who changes it wakes sleepers. */
#ifndef NORMSCOPE_WAITING_H
#define NORMSCOPE_WAITING_H

#include "machine.h"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#elif defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <pthread.h>
#endif
#include <time.h>

typedef uint32_t Word;

/* Nanoseconds that a thread stays awake before it sleeps. To be woken takes about as long, so this
   is at most twice what is best; it is also what a call can cost other programs. */
enum { AWAKE = 50000 };

INLINE Word load(const Word *word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }
INLINE void store(Word *word, Word value) { __atomic_store_n(word, value, __ATOMIC_SEQ_CST); }

/* Replace a value by another one, unless another thread has been faster. */
INLINE int replace(Word *word, Word before, Word after) {
    return __atomic_compare_exchange_n(word, &before, after, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* A moment in which the core may do something else, if it can. */
INLINE void pause_core(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

INLINE Int nanoseconds(void) {
#if defined(_WIN32)
    LARGE_INTEGER ticks, a_second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&a_second);
    return (Int)((double)ticks.QuadPart / (double)a_second.QuadPart * 1e9);
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (Int)now.tv_sec * 1000000000 + now.tv_nsec;
#endif
}

/* Let others run for a moment that is long for a core. */
INLINE void nap(void) {
#if defined(_WIN32)
    Sleep(1);
#else
    nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
#endif
}

#if defined(__linux__)

INLINE void sleep_while(Word *word, Word value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}
INLINE void wake(Word *word) { syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0); }
INLINE void forget_sleepers(void) {}

#else

/* All sleep at one place, and look at their own word when anyone is woken. */
#if defined(_WIN32)
static SRWLOCK place_lock = SRWLOCK_INIT;
static CONDITION_VARIABLE place = CONDITION_VARIABLE_INIT;
INLINE void lock_place(void) { AcquireSRWLockExclusive(&place_lock); }
INLINE void unlock_place(void) { ReleaseSRWLockExclusive(&place_lock); }
INLINE void sleep_at_place(void) { SleepConditionVariableSRW(&place, &place_lock, INFINITE, 0); }
INLINE void wake_all(void) { WakeAllConditionVariable(&place); }
#else
static pthread_mutex_t place_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t place = PTHREAD_COND_INITIALIZER;
INLINE void lock_place(void) { pthread_mutex_lock(&place_lock); }
INLINE void unlock_place(void) { pthread_mutex_unlock(&place_lock); }
INLINE void sleep_at_place(void) { pthread_cond_wait(&place, &place_lock); }
INLINE void wake_all(void) { pthread_cond_broadcast(&place); }

/* In a forked process nobody sleeps, and no lock is held. */
INLINE void forget_sleepers(void) {
    place_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    place = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
}
#endif

INLINE void sleep_while(Word *word, Word value) {
    lock_place();
    while (load(word) == value) sleep_at_place();
    unlock_place();
}

/* The word has changed; who is about to sleep has looked at it before, or will see that. */
INLINE void wake(Word *word) {
    (void)word;
    lock_place();
    wake_all();
    unlock_place();
}

#endif

/* Wait awake until a word is not this any more; false: it still is after a while. */
INLINE int changes_soon(const Word *word, Word value) {
    Int end = nanoseconds() + AWAKE;
    do {
        for (int i = 0; i < 16; i++) {
            if (load(word) != value) return 1;
            pause_core();
        }
    } while (nanoseconds() < end);
    return 0;
}

#endif
