/* Statistics sets of float64 input, in numbers of twice its precision (double_double.h).

   Results in float64 are then rounded once, as those of narrower input are that is computed in
   float64. The sums are s = sum(x) and q = sum(x**2). With n * root**2 = q - s**2 / n some of their
   digits cancel; where more than 30 binary ones do, all elements lie so close to each other that
   x - p is exact, with the mean for p, and the sums are taken again of that. The sums of |x| and
   the maximum, which no framework offers, have no rest.

   The functions called ordinary have no branches and vectorize, over many sets; they say of which
   sets their results are good. All others are taken one by one. */
#ifndef NORMSCOPE_FLOAT64_STATISTICS_H
#define NORMSCOPE_FLOAT64_STATISTICS_H

#include "statistics.h"

/* Sums of a run that are taken side by side. */
#define STRANDS 16

/* What of q may be left as n * root**2: of the 106 digits of a pair 76 remain. */
#define CANCELLED 0x1p-30

/* Sums of x * unit - pivot are taken. */
typedef struct {
    double unit, pivot;
} Shift;

/* s and q in strands, each with its rest. */
typedef struct {
    double s[STRANDS], s_rest[STRANDS], q[STRANDS], q_rest[STRANDS];
} __attribute__((aligned(LINE))) Strands;

/* ---- sums ------------------------------------------------------------------------------------ */

/* Add an element to the four numbers of two sums; rests may grow beyond half an ulp. */
INLINE void add_element(double d, double *s, double *s_rest, double *q, double *q_rest) {
    EXACT;
    Pair sum = two_sum(*s, d), square = two_product(d, d), squares = two_sum(*q, square.value);
    *s = sum.value;
    *s_rest += sum.rest;
    *q = squares.value;
    *q_rest += squares.rest + square.rest;
}

INLINE void add_to_strand(Strands *to, Int strand, double d) {
    add_element(d, &to->s[strand], &to->s_rest[strand], &to->q[strand], &to->q_rest[strand]);
}

/* Add the second half of the first 2 * half strands of one of the sums to the first half. */
INLINE void fold_half(double *values, double *rests, int half) {
    EXACT;
    for (int strand = 0; strand < half; strand++) {
        Pair sum = two_sum(values[strand], values[strand + half]);
        values[strand] = sum.value;
        rests[strand] = rests[strand] + rests[strand + half] + sum.rest;
    }
}

/* Add all strands of each set into its first one. Each step waits for the one before: those of
   other sets are taken meanwhile. */
INLINE void fold_strands(Strands *strands, Int sets) {
    for (int half = STRANDS / 2; half > 0; half /= 2)
        for (Int k = 0; k < sets; k++) {
            fold_half(strands[k].s, strands[k].s_rest, half);
            fold_half(strands[k].q, strands[k].q_rest, half);
        }
}

/* The sums of n elements, after `fold_strands`. */
INLINE Sums sums_of(const Strands *strands, double n) {
    Pair s = pair(strands->s[0], strands->s_rest[0]), q = pair(strands->q[0], strands->q_rest[0]);
    return (Sums){n, s, q};
}

/* q - s**2 / n. */
INLINE Pair around_mean(Sums sums) {
    EXACT;
    Pair left = minus(sums.q, times(sums.s, over(sums.s, exactly(sums.n))));
    int negative = left.value < 0.0;
    return (Pair){negative ? 0.0 : left.value, negative ? 0.0 : left.rest};
}

/* The shift with which the sums are good; if it is not the one given, sum again. */
INLINE Shift better_shift(Sums sums, Shift shift, int measure) {
    if (sums.n == 0.0) return shift;
    double q = sums.q.value;
    if (shift.unit == 1.0 && shift.pivot == 0.0) {
        if (!(q <= 1e200)) return (Shift){SMALL, 0.0};
        if (q < 1e-250) return (Shift){LARGE, 0.0};
    }
    if (is_around_mean(measure) && shift.pivot == 0.0 && around_mean(sums).value < q * CANCELLED)
        return (Shift){shift.unit, sums.s.value / sums.n};
    return shift;
}

/* ---- statistics ------------------------------------------------------------------------------ */

/* sqrt(q / n). */
INLINE Pair root_of_mean(Pair q, double n) { return square_root(over(q, exactly(n))); }

/* The statistics of a part, from its sums. */
INLINE Statistics statistics_of_sums(Sums sums, Shift shift, int measure) {
    if (sums.n == 0.0) return (Statistics){0};
    Pair root = is_around_mean(measure) ? around_mean(sums) : sums.q;
    if (is_square(measure)) root = root_of_mean(root, sums.n);
    Pair mean = plus(over(sums.s, exactly(sums.n)), exactly(shift.pivot));
    if (shift.unit == 1.0) return (Statistics){sums.n, mean, root};
    return (Statistics){sums.n, scaled_down(mean, shift.unit), scaled_down(root, shift.unit)};
}

/* The same for a measure of squares and sums that were not shifted. It is not valid where sums have
   to be taken again, or where numbers are near the ends of the range. */
INLINE Statistics ordinary_statistics(Sums sums, int measure, int *valid) {
    Pair left = is_around_mean(measure) ? around_mean(sums) : sums.q;
    Pair root = root_of_mean(left, sums.n);
    Pair mean = plus(over(sums.s, exactly(sums.n)), exactly(0.0)); /* no zero is negative */
    double q = sums.q.value;
    *valid = (q <= 1e200) & (q >= 1e-250) & (left.value >= q * CANCELLED) &
             (root.value >= 1e-140) & (root.value <= 1e140);
    return (Statistics){sums.n, mean, root};
}

/* A power of two by which squares of numbers of this size neither overflow nor vanish. */
INLINE double unit_for_squares(double size) {
    return size > 1e140 ? SMALL : size < 1e-140 ? LARGE : 1.0;
}

/* n times the square of a pair. */
INLINE Pair squared(Pair a, double n) {
    Pair square = times(a, a);
    return n == 1.0 ? square : times(square, exactly(n));
}

/* The root of the squares of two parts, which are `apart`. */
INLINE Pair root_of_both(Statistics one, Statistics other, Pair apart, Pair share, int measure) {
    double size = fmax(fmax(one.root.value, other.root.value), fabs(apart.value));
    double unit = unit_for_squares(size), both = one.n + other.n;
    Pair q = plus(squared(scaled_by(one.root, unit), one.n),
                  squared(scaled_by(other.root, unit), other.n));
    if (is_around_mean(measure)) {
        Pair weight = times(share, exactly(one.n));
        q = plus(q, times(squared(scaled_by(apart, unit), 1.0), weight));
    }
    return scaled_down(root_of_mean(q, both), unit);
}

/* The statistics of two parts together. */
INLINE Statistics merged_exactly(Statistics one, Statistics other, int measure) {
    if (other.n == 0.0) return one;
    if (one.n == 0.0) return other;
    double both = one.n + other.n;
    Pair apart = minus(other.mean, one.mean), share = over(exactly(other.n), exactly(both));
    Pair mean = exactly(one.mean.value + other.mean.value), root;
    if (apart.value - apart.value == 0.0) mean = plus(one.mean, times(apart, share));
    if (is_square(measure)) root = root_of_both(one, other, apart, share, measure);
    else if (measure == L1) root = plus(one.root, other.root);
    else root = exactly(larger(one.root.value, other.root.value));
    return (Statistics){both, mean, root};
}

/* ---- divisors -------------------------------------------------------------------------------- */

/* What root**2 of n elements is multiplied by. */
INLINE Pair exact_share_of(double n, const Formula *formula) {
    if (measure_of(formula) == L2) return exactly(n);
    if (formula->ddof == 0.0 || n == 0.0) return exactly(1.0);
    if (n <= formula->ddof) return exactly(NAN);
    return over(exactly(n), exactly(n - formula->ddof));
}

/* sqrt(v + eps), and v = share * root**2. */
INLINE Pair root_of_sum(Pair root, Pair share, double eps, double *v) {
    Pair q = squared(root, 1.0);
    if (share.value != 1.0) q = times(q, share);
    *v = q.value;
    return square_root(plus(q, exactly(eps)));
}

/* max(d + eps_outside, floor), or 1 in its place. */
INLINE Pair bounded(Pair d, const Formula *formula) {
    if (formula->eps_outside != 0.0) d = plus(d, exactly(formula->eps_outside));
    if (d.value < formula->floor) d = exactly(formula->floor);
    return becomes_one(d.value, formula->unit_up_to) ? exactly(1.0) : d;
}

/* D, and v, of n elements whose root is known. */
INLINE Pair exact_divisor(double n, Pair root, const Formula *formula, double *v) {
    double eps = formula->eps, unit = unit_for_squares(root.value);
    if (unit == LARGE && eps >= 1e-280) unit = 1.0; /* beside eps the root is nothing */
    root = scaled_by(root, unit);
    Pair d = root_of_sum(root, exact_share_of(n, formula), eps * unit * unit, v);
    *v = *v / unit / unit;
    return bounded(scaled_down(d, unit), formula);
}

/* The same after `ordinary_statistics`, with the `share` of all sets; valid or not. */
INLINE Pair ordinary_divisor(Pair root, Pair share, const Formula *formula, double *v,
                             int *valid) {
    Pair d = bounded(root_of_sum(root, share, formula->eps, v), formula);
    *valid = (d.value >= 1e-150) & (d.value <= 1e150);
    return d;
}

/* 1 / D. */
INLINE Pair inverse_of(Pair d) { return over(exactly(1.0), d); }

#endif
