/* What is known of a statistics set, or of a part of it: count, mean and root.

   root is sqrt(sum((x - mean)**2) / n) for the variance, sqrt(sum(x**2) / n) for mean square and
   L2, sum(|x|) for L1, max(|x|) for the maximum: numbers that do not overflow where their squares
   would.

   Parts come from *shifted sums*: with a pivot p from the part itself,

       s = sum(x - p)    q = sum((x - p)**2)    mean = p + s / n    n * root**2 = q - s**2 / n

   The last difference cancels at most by the factor q / (n * root**2), which for a pivot out of the
   part is below n; in float64 that leaves a float32 result untouched. Parts are merged by the
   formula of Chan, Golub and LeVeque (1979). For float64 input see float64_statistics.h. */
#ifndef NORMSCOPE_STATISTICS_H
#define NORMSCOPE_STATISTICS_H

#include "double_double.h"
#include "formula.h"

/* The rests of mean and root are 0 for any input but float64. */
typedef struct {
    double n;
    Pair mean, root;
} Statistics;

/* What the elements of a set become: (x * unit - centre) * factor. Only float64 input has rests,
   and other units than 1. */
typedef struct {
    double unit;
    Pair centre, factor;
} Scaling;

/* Sums of a run or a chunk; for float64 input pairs, elsewhere the rests are 0. */
typedef struct {
    double n;
    Pair s, q;
} Sums;

/* The element, for a pivot; 0 in the place of an infinity or NaN, of which no sum can start. */
INLINE double pivot_at(double x) { return x - x == 0.0 ? x : 0.0; }

/* The statistics of a part, from its shifted sums. */
INLINE Statistics statistics_of(double n, double s, double q, double pivot, int measure) {
    EXACT;
    if (n == 0.0) return (Statistics){0};
    double away = s / n, root = q;
    if (is_around_mean(measure)) {
        root = q - s * away;
        root = root < 0.0 ? 0.0 : root;
    }
    if (is_square(measure)) root = sqrt(root / n);
    return (Statistics){n, exactly(pivot + away), exactly(root)};
}

/* The mean of two parts, the other of which has this share; infinite if one of them is. */
INLINE double merged_mean(double mean, double other, double share) {
    EXACT;
    double apart = other - mean;
    return apart - apart == 0.0 ? mean + apart * share : mean + other;
}

/* The root of the squares of two parts, of which share and share2 are the shares of elements. */
INLINE double merged_root(double root, double root2, double share, double share2, double apart,
                          int measure) {
    EXACT;
    double weight = is_around_mean(measure) ? share * share2 : 0.0;
    double spread = weight > 0.0 ? weight * (apart * apart) : 0.0;
    double squares = share * (root * root) + share2 * (root2 * root2) + spread;
    if (!(squares <= 1e-280 || squares >= 1e280)) return sqrt(squares); /* NaN stays */
    root = hypot(sqrt(share) * root, sqrt(share2) * root2);
    return weight > 0.0 ? hypot(root, sqrt(weight) * apart) : root;
}

/* The statistics of two parts together, of any input but float64. */
INLINE Statistics merged(Statistics one, Statistics other, int measure) {
    EXACT;
    if (other.n == 0.0) return one;
    if (one.n == 0.0) return other;
    double total = one.n + other.n, mean = one.mean.value, mean2 = other.mean.value;
    double root = one.root.value, root2 = other.root.value;
    if (is_square(measure))
        root = merged_root(root, root2, one.n / total, other.n / total, mean2 - mean, measure);
    else
        root = together(root, root2, measure);
    return (Statistics){total, exactly(merged_mean(mean, mean2, other.n / total)), exactly(root)};
}

/* Column i of an array of partial statistics whose rows have `columns` numbers. */
INLINE Statistics read_partial(const double *partials, Int rows, Int columns, Int i) {
    const double *at = partials + i;
    Statistics found = {at[PARTIAL_COUNT * columns], exactly(at[PARTIAL_MEAN * columns]),
                        exactly(at[PARTIAL_ROOT * columns])};
    if (rows == PARTIAL_ROWS_WITH_RESTS) {
        found.mean.rest = at[PARTIAL_MEAN_REST * columns];
        found.root.rest = at[PARTIAL_ROOT_REST * columns];
    }
    return found;
}

INLINE void write_partial(double *partials, Int rows, Int columns, Int i, Statistics found) {
    double *at = partials + i;
    at[PARTIAL_COUNT * columns] = found.n;
    at[PARTIAL_MEAN * columns] = found.mean.value;
    at[PARTIAL_ROOT * columns] = found.root.value;
    if (rows == PARTIAL_ROWS_WITH_RESTS) {
        at[PARTIAL_MEAN_REST * columns] = found.mean.rest;
        at[PARTIAL_ROOT_REST * columns] = found.root.rest;
    }
}

/* Count, mean, v and D of set i, if statistics are wanted. */
INLINE void write_statistics(const ForwardCall *call, Int i, double n, double mean, double v,
                             double d) {
    if (call->statistics == NULL) return;
    double *at = call->statistics + i;
    at[COUNT * call->sets] = n;
    at[MEAN * call->sets] = mean;
    at[VAR * call->sets] = v;
    at[DIVISOR * call->sets] = d;
}

#endif
