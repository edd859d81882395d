/* Kernels that show what the threads of a team do. `tests/team_kernels.py` has the other side. */
#include <stdint.h>
#include <string.h>
#include <time.h>

typedef int64_t Int;

typedef struct {
    Int items;
    Int nap;     /* microseconds for an item */
    Int inside;  /* threads that are in the kernel, */
    Int most;    /* and the most that were there at once */
    Int done;    /* items */
    Int stack;   /* bytes of scratch memory that are written to */
    void (*run)(void (*)(const void *, Int *), const void *, Int, Int);
    const void *inner;  /* what `nesting` runs for each item */
} Call;

static Int take(Int *counter) { return __atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST); }

/* Sleep for each item. */
__attribute__((visibility("default"))) void napping(const void *argument, Int *counter) {
    Call *call = (Call *)argument;
    Int now = __atomic_add_fetch(&call->inside, 1, __ATOMIC_SEQ_CST), most = call->most;
    while (now > most && !__atomic_compare_exchange_n(&call->most, &most, now, 0, 5, 5)) {}
    while (take(counter) < call->items) {
        struct timespec nap = {.tv_nsec = call->nap * 1000};
        if (call->nap) nanosleep(&nap, NULL);
        __atomic_add_fetch(&call->done, 1, __ATOMIC_SEQ_CST);
    }
    __atomic_sub_fetch(&call->inside, 1, __ATOMIC_SEQ_CST);
}

/* Write to much memory of the stack. */
__attribute__((visibility("default"))) void deep(const void *argument, Int *counter) {
    Call *call = (Call *)argument;
    char scratch[call->stack];
    memset(scratch, 1, sizeof scratch);
    __asm__ volatile("" : : "r"(scratch) : "memory");
    napping(argument, counter);
}

/* Run another kernel for each item, as on many threads as may be. */
__attribute__((visibility("default"))) void nesting(const void *argument, Int *counter) {
    Call *call = (Call *)argument;
    while (take(counter) < call->items) {
        call->run(napping, call->inner, 8, 1);
        __atomic_add_fetch(&call->done, 1, __ATOMIC_SEQ_CST);
    }
}
