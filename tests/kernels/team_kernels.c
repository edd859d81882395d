/* Kernels that show what a team does. */
#define _GNU_SOURCE
#include <stdint.h>
#include <time.h>
#include <sched.h>

typedef int64_t Int;
#define EXPORT __attribute__((visibility("default")))

typedef struct {
    Int items;
    Int size;          /* floats of an item */
    const float *x;
    float *out;
    Int inside;        /* threads that are in the kernel now, */
    Int most;          /* and the most that were at once */
    Int done;          /* items */
    Int naps;          /* nanoseconds per item */
    Int cores[2];      /* where the caller has been, and a helper at the beginning */
    Int begun;         /* threads */
} Call;

static Int take(Int *counter) { return __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED); }

static void enter(Call *call) {
    Int now = __atomic_add_fetch(&call->inside, 1, __ATOMIC_SEQ_CST);
    Int most = __atomic_load_n(&call->most, __ATOMIC_SEQ_CST);
    while (now > most && !__atomic_compare_exchange_n(&call->most, &most, now, 0, 5, 5)) {}
    __atomic_add_fetch(&call->begun, 1, __ATOMIC_SEQ_CST);
}

static void leave(Call *call) { __atomic_sub_fetch(&call->inside, 1, __ATOMIC_SEQ_CST); }

/* Sleep for each item. */
EXPORT void napping(const void *argument, Int *counter) {
    Call *call = (Call *)argument;
    enter(call);
    while (take(counter) < call->items) {
        nanosleep(&(struct timespec){call->naps / 1000000000, call->naps % 1000000000}, 0);
        __atomic_add_fetch(&call->done, 1, __ATOMIC_SEQ_CST);
    }
    leave(call);
}

/* Twice each element. */
EXPORT void doubling(const void *argument, Int *counter) {
    const Call *call = argument;
    for (Int item; (item = take(counter)) < call->items;) {
        const float *x = call->x + item * call->size;
        float *out = call->out + item * call->size;
        for (Int i = 0; i < call->size; i++) out[i] = 2 * x[i];
    }
}

/* Much to compute for each element. */
EXPORT void computing(const void *argument, Int *counter) {
    const Call *call = argument;
    for (Int item; (item = take(counter)) < call->items;) {
        const float *x = call->x + item * call->size;
        float *out = call->out + item * call->size;
        for (Int i = 0; i < call->size; i++) {
            float y = x[i];
            for (int turn = 0; turn < 12; turn++) y = y * 0.9f + 0.1f;
            out[i] = y;
        }
    }
}

EXPORT void nothing(const void *argument, Int *counter) { (void)argument, (void)counter; }
