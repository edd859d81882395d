/* The items of a job: whoever runs its kernel takes their numbers, until none is left.

   Each thread has a range of its own and takes that first. So it has the same items as in the last
   call like this one, and those of the operator of another library before, which its caches may
   still hold. Then it takes what is left of the ranges of others. */
#ifndef NORMSCOPE_ITEMS_H
#define NORMSCOPE_ITEMS_H

#include "machine.h"

/* No more threads have ranges of their own. */
enum { MOST_RANGES = 64 };

/* The items `start` to `stop`, of which so many are taken; it fills a line of the caches. */
typedef struct {
    _Alignas(64) Int taken;
    Int start, stop;
} Range;

/* What a thread sees of them: all ranges, the number of its own one, and how many of them, from
   there on, it has found to be empty. */
typedef struct {
    Range *ranges;
    Int number, own, empty;
} Items;

/* The type of every kernel. */
typedef void Kernel(const void *call, Items *items);

/* The number of an item that no other thread gets; -1: none is left. What comes in a second pass is
   taken `backwards`, for the end of the first pass is what is cached. */
INLINE Int take_from(Items *items, int backwards) {
    for (; items->empty < items->number; items->empty++) {
        Range *range = items->ranges + (items->own + items->empty) % items->number;
        Int taken = __atomic_fetch_add(&range->taken, 1, __ATOMIC_RELAXED);
        if (taken < range->stop - range->start)
            return backwards ? range->stop - 1 - taken : range->start + taken;
    }
    return -1;
}

INLINE Int take(Items *items) { return take_from(items, 0); }
INLINE Int take_backwards(Items *items) { return take_from(items, 1); }

/* Cut so many items into ranges. */
INLINE void cut_items(Range *ranges, Int number, Int items) {
    for (Int r = 0; r < number; r++)
        ranges[r] = (Range){0, r * items / number, (r + 1) * items / number};
}

#endif
