/* What the output of a statistics set needs, from its mean and divisor.

   `dtype`, a constant, is that of the input: only that of float64 is taken in pairs. */
#ifndef NORMSCOPE_SCALING_H
#define NORMSCOPE_SCALING_H

#include "float64_statistics.h"

/* D of a set with these statistics, and v. */
INLINE Pair divisor_of(Statistics found, const Formula *formula, double *v, int dtype) {
    if (dtype == FLOAT64) return exact_divisor(found.n, found.root, formula, v);
    double d;
    *v = variance_and_divisor(found.n, found.root.value, formula, &d);
    return exactly(d);
}

/* What the output needs of a set with this mean and divisor. */
INLINE Scaling scaling_of(Pair mean, Pair d, const Formula *formula, int dtype) {
    if (formula->center == 0.0) mean = exactly(0.0);
    if (dtype != FLOAT64) return (Scaling){1.0, mean, exactly(inverse(d.value))};
    double unit = unit_of(d.value, mean.value);
    if (unit == 1.0 && 0.0 < d.value && d.value < LEAST) d = exactly(LEAST);
    return (Scaling){unit, scaled_by(mean, unit), inverse_of(scaled_by(d, unit))};
}

/* How many elements were counted in the set of a column of the statistics of a call. */
INLINE double given_count(const ForwardCall *call, Int set) {
    return call->statistics[COUNT * call->sets + set];
}

/* What the output needs of the set of that column. */
INLINE Scaling given_scaling(const ForwardCall *call, Int set, int dtype) {
    const double *at = call->statistics + set;
    Pair mean = exactly(at[MEAN * call->sets]), d = exactly(at[DIVISOR * call->sets]);
    if (dtype == FLOAT64 && call->statistics_rows > ROWS) {
        mean.rest = at[MEAN_REST * call->sets];
        d.rest = at[DIVISOR_REST * call->sets];
    }
    return scaling_of(mean, d, call->formula, dtype);
}

/* The scaling times a number that is the same for all elements. */
INLINE Scaling scaled_once(Scaling scaling, double scale, int dtype) {
    if (dtype == FLOAT64) scaling.factor = times(scaling.factor, exactly(scale));
    else scaling.factor.value *= scale;
    return scaling;
}

/* LeakyReLU. ReLU cuts first: 0 * -inf would be NaN. */
INLINE double leaky(double y, double slope) {
    double lowest = slope == 0.0 ? 0.0 : -INFINITY;
    return y > 0.0 ? y : (y < lowest ? lowest : y) * slope;
}

#endif
