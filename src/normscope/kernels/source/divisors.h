/* Means and divisors of many statistics sets at once, in loops without branches, which vectorize.

   They are those of statistics.h and formula.h, bit for bit, for the variance, the mean square and
   L2, of sets that have equally many elements whose squares stay in the range of float64: any input
   but float64 itself. */
#ifndef NORMSCOPE_DIVISORS_H
#define NORMSCOPE_DIVISORS_H

#include "statistics.h"

/* Mean and root of each set of n elements, from its shifted sums. */
INLINE void means_and_roots(Int sets, double n, const double *sums, const double *squares,
                            const double *pivots, double *means, double *roots, int measure) {
    EXACT;
    VECTORIZE
    for (Int k = 0; k < sets; k++) {
        double away = sums[k] / n;
        double around_mean = is_around_mean(measure) ? sums[k] * away : 0.0; /* not 0 * inf */
        double left = squares[k] - around_mean;
        means[k] = pivots[k] + away;
        roots[k] = sqrt((left < 0.0 ? 0.0 : left) / n);
    }
}

/* Merge parts of n2 elements into parts of n elements. */
INLINE void merge_all(Int sets, double n, double *means, double *roots, double n2,
                      const double *means2, const double *roots2, int measure) {
    EXACT;
    double share = n / (n + n2), share2 = n2 / (n + n2);
    double weight = is_around_mean(measure) ? share * share2 : 0.0;
    VECTORIZE
    for (Int k = 0; k < sets; k++) {
        double apart = means2[k] - means[k];
        double spread = weight > 0.0 ? weight * (apart * apart) : 0.0;
        double both = share * (roots[k] * roots[k]) + share2 * (roots2[k] * roots2[k]) + spread;
        means[k] = merged_mean(means[k], means2[k], share2);
        roots[k] = sqrt(both);
    }
}

/* v and D of each set, what is subtracted from its elements, and what they are multiplied by. */
typedef struct {
    double *v, *d, *centres, *rstds;
} Divisors;

INLINE void find_all_divisors(Int sets, double n, const double *means, const double *roots,
                              const Formula *formula, Divisors to) {
    EXACT;
    double share = share_of(n, formula), center = formula->center, eps = formula->eps;
    double outside = formula->eps_outside, floor = formula->floor, unit_up_to = formula->unit_up_to;
    VECTORIZE
    for (Int k = 0; k < sets; k++) {
        double v = roots[k] * roots[k] * share;
        double d = sqrt(v + eps) + outside;
        d = d < floor ? floor : d;
        d = becomes_one(d, unit_up_to) ? 1.0 : d;
        to.v[k] = v;
        to.d[k] = d;
        to.centres[k] = center != 0.0 ? means[k] : 0.0;
        to.rstds[k] = inverse(d);
    }
}

#endif
