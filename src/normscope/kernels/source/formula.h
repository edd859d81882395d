/* The divisor, from the numbers of the formula, and what differs by measure.

       D = max(sqrt(v + eps) + eps_outside, floor), but 1 where that is at most `unit_up_to`

   v is root**2 * n / (n - ddof) for variance and mean square, root**2 * n for L2, root**2 for L1
   and the maximum, with the root of statistics.h. Input whose values lie near the ends of the range
   of float64 is multiplied by a *unit*, a power of two, so that no square overflows; elsewhere the
   unit is 1. */
#ifndef NORMSCOPE_FORMULA_H
#define NORMSCOPE_FORMULA_H

#include "contract.h"

/* By less than this no input but float64 needs to be divided: the output overflows as well. */
#define LEAST 1e-300

/* Units. */
#define LARGE 0x1p900
#define SMALL 0x1p-600

INLINE int is_around_mean(int measure) { return measure == VARIANCE; }
INLINE int is_square(int measure) { return measure <= L2; }
INLINE int takes_ddof(int measure) { return measure <= MEAN_SQUARE; }
INLINE int measure_of(const Formula *formula) { return (int)formula->measure; }

/* The larger of two numbers; NaN if one is. */
INLINE double larger(double a, double b) { return a != a || b <= a ? a : b; }

/* What was measured of some elements, and `d`, together. */
INLINE double with_element(double total, double d, int measure) {
    if (is_square(measure)) return total + d * d;
    return measure == L1 ? total + fabs(d) : larger(total, fabs(d));
}

/* What was measured of two runs of elements, together. */
INLINE double together(double one, double other, int measure) {
    EXACT;
    return measure == MAX ? larger(one, other) : one + other;
}

/* The derivative of fabs(x): its sign, and 0 or NaN where it has none. */
INLINE double derivative_of_size(double x) { return x > 0.0 ? 1.0 : x < 0.0 ? -1.0 : x; }

/* Whether 1 stands in the place of a divisor; NaN stays, except where nothing is divided. */
INLINE int becomes_one(double d, double unit_up_to) {
    return (d <= unit_up_to) | (unit_up_to == INFINITY);
}

/* What root**2 of n elements is multiplied by. */
INLINE double share_of(double n, const Formula *formula) {
    if (measure_of(formula) == L2) return n;
    if (formula->ddof == 0.0 || n == 0.0) return 1.0;
    return n > formula->ddof ? n / (n - formula->ddof) : NAN;
}

/* v of n elements whose root is known; the divisor D is left in `divisor`. */
INLINE double variance_and_divisor(double n, double root, const Formula *formula, double *divisor) {
    EXACT;
    double share = share_of(n, formula), eps = formula->eps;
    double v = root * root * share, d = sqrt(v + eps);
    if (!(d < 1e150 && (v > 1e-290 || eps > 1e-290))) /* the square under- or overflows */
        d = hypot(root * sqrt(share), sqrt(eps));
    d += formula->eps_outside;
    if (d < formula->floor) d = formula->floor;
    *divisor = becomes_one(d, formula->unit_up_to) ? 1.0 : d;
    return v;
}

/* 1 / D, finite unless D is 0: what is 0 apart from its mean stays 0. */
INLINE double inverse(double d) { return 1.0 / (0.0 < d && d < LEAST ? LEAST : d); }

/* The unit in which deviations of size d around a mean neither overflow nor vanish. */
INLINE double unit_of(double d, double mean) {
    if (d > 1e150) return SMALL;
    return d < 1e-150 && fabs(mean) < 1e30 ? LARGE : 1.0;
}

#endif
