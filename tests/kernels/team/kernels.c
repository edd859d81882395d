/* Kernels that show what the threads of a team do. `tests/team_kernels.py` has the other side. */
#define _GNU_SOURCE /* for helper_thread.h */
#include <string.h>
#include <time.h>

#include "helper_thread.h"
#include "items.h"

typedef struct {
    Int items;
    Int nap;     /* microseconds for an item */
    Int inside;  /* threads that are in the kernel, */
    Int most;    /* and the most that were there at once */
    Int done;    /* items */
    Int stack;   /* bytes of scratch memory that are written to */
    void (*run)(Kernel *, const void *, Int, Int, Int);
    const void *inner;  /* what `nesting` runs for each item */
} Call;

/* Sleep for each item. */
__attribute__((visibility("default"))) void napping(const void *argument, Items *items) {
    Call *call = (Call *)argument;
    Int now = __atomic_add_fetch(&call->inside, 1, __ATOMIC_SEQ_CST), most = call->most;
    while (now > most && !__atomic_compare_exchange_n(&call->most, &most, now, 0, 5, 5)) {}
    while (take(items) >= 0) {
        struct timespec nap = {.tv_nsec = call->nap * 1000};
        if (call->nap) nanosleep(&nap, NULL);
        __atomic_add_fetch(&call->done, 1, __ATOMIC_SEQ_CST);
    }
    __atomic_sub_fetch(&call->inside, 1, __ATOMIC_SEQ_CST);
}

/* Write to much memory of the stack. */
__attribute__((visibility("default"))) void deep(const void *argument, Items *items) {
    Call *call = (Call *)argument;
    char scratch[call->stack];
    memset(scratch, 1, sizeof scratch);
    __asm__ volatile("" : : "r"(scratch) : "memory");
    napping(argument, items);
}

/* Run another kernel for each item, as on many threads as may be. */
__attribute__((visibility("default"))) void nesting(const void *argument, Items *items) {
    Call *call = (Call *)argument;
    while (take(items) >= 0) {
        call->run(napping, call->inner, ((const Call *)call->inner)->items, 8, 1);
        __atomic_add_fetch(&call->done, 1, __ATOMIC_SEQ_CST);
    }
}

/* Whether another thread, as the system knows it, is running now. */
__attribute__((visibility("default"))) int running(int thread) { return is_at_work(thread); }
