/* The loop nest: one loop after the other, each with the steps of all arrays along it. */
#ifndef NORMSCOPE_NEST_H
#define NORMSCOPE_NEST_H

#include "contract.h"

/* How many positions the loops `first` to `stop` have. */
INLINE Int positions_of(const Loop *nest, Int first, Int stop) {
    Int count = 1;
    for (Int n = first; n < stop; n++) count *= nest[n].size;
    return count;
}

/* n steps further. */
INLINE Place moved(Place at, Place step, Int n) {
    for (int a = 0; a < ARRAYS; a++) at.of[a] += n * step.of[a];
    return at;
}

/* Where each array stands at position `index` of the loops `first` to `stop`. */
INLINE Place offsets(const Loop *nest, Int first, Int stop, Int index) {
    Place at = {{0}};
    for (Int n = stop - 1; n >= first; n--) {
        Int digit = index;
        if (n > first) {
            Int rest = index / nest[n].size;
            digit = index - rest * nest[n].size;
            index = rest;
        }
        at = moved(at, nest[n].step, digit);
    }
    return at;
}

/* The steps from one element to the next where all arrays go on by neighbours. */
INLINE Place neighbours(void) { return (Place){{1, 1, 1, 1, 1, 1, 0}}; }

/* The run at `position` of runs of length `inner`; the element of it is left in `element`. */
INLINE Int run_at(Int position, Int inner, Int *element) {
    Int run = position == 0 ? 0 : position / inner;
    *element = position - run * inner;
    return run;
}

/* The loop around the innermost one: a single pass where none is left there. */
INLINE Loop row_loop(const Cut *cut) {
    Int row = cut->loops - 2;
    return row < cut->kept ? (Loop){1, {{0}}} : cut->nest[row];
}

/* The innermost loop. */
INLINE Loop innermost(const Cut *cut) { return cut->nest[cut->loops - 1]; }

/* Whether both parameters are the same for all rows of a set. */
INLINE int has_fixed_parameters(const Cut *cut) {
    for (Int n = cut->kept; n < cut->loops - 1; n++)
        if (cut->nest[n].step.of[SCALE] != 0 || cut->nest[n].step.of[BIAS] != 0) return 0;
    return 1;
}

#endif
