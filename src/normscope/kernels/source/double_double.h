/* Numbers of twice the precision of float64: a pair stands for `value + rest`.

   `rest` is at most half an ulp of `value`, so `value` alone is the number rounded to float64.
   Nothing finite lies beside an infinity or NaN: their rest is 0. The operations are the classic
   ones of Dekker (1971) and Knuth; a result is off by a few units of 2**-104. */
#ifndef NORMSCOPE_DOUBLE_DOUBLE_H
#define NORMSCOPE_DOUBLE_DOUBLE_H

#include "machine.h"

typedef struct {
    double value, rest;
} Pair;

/* a * b + c, rounded once. */
INLINE double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }

/* a + b without any error. */
INLINE Pair two_sum(double a, double b) {
    EXACT;
    double s = a + b, t = s - a;
    return (Pair){s, (a - (s - t)) + (b - t)};
}

/* a * b without any error unless the rest underflows. */
INLINE Pair two_product(double a, double b) {
    EXACT;
    double p = a * b;
    return (Pair){p, fused(a, b, -p)};
}

/* value + rest, for a rest that is smaller than the value. */
INLINE Pair pair(double value, double rest) {
    EXACT;
    double s = value + rest;
    if (s - s != 0.0) return (Pair){value, 0.0};
    return (Pair){s, rest - (s - value)};
}

INLINE Pair plus(Pair a, Pair b) {
    EXACT;
    Pair s = two_sum(a.value, b.value);
    return pair(s.value, s.rest + (a.rest + b.rest));
}

INLINE Pair minus(Pair a, Pair b) { return plus(a, (Pair){-b.value, -b.rest}); }

INLINE Pair times(Pair a, Pair b) {
    EXACT;
    Pair p = two_product(a.value, b.value);
    return pair(p.value, p.rest + (a.value * b.rest + a.rest * b.value));
}

INLINE Pair over(Pair a, Pair b) {
    EXACT;
    double q = a.value / b.value;
    return pair(q, (fused(-q, b.value, a.value) + a.rest - q * b.rest) / b.value);
}

INLINE Pair square_root(Pair a) {
    EXACT;
    double s = sqrt(a.value);
    return pair(s, (fused(-s, s, a.value) + a.rest) / (2.0 * s));
}

/* A float64 as a pair. */
INLINE Pair exactly(double value) { return (Pair){value, 0.0}; }

/* Both numbers of a pair times a power of two, or over it. */
INLINE Pair scaled_by(Pair a, double power) { return (Pair){a.value * power, a.rest * power}; }
INLINE Pair scaled_down(Pair a, double power) { return (Pair){a.value / power, a.rest / power}; }

/* (x - mean) * factor + offset, rounded once. */
INLINE double normalized(double x, Pair mean, Pair factor, double offset) {
    EXACT;
    Pair d = two_sum(x, -mean.value);
    Pair z = two_product(d.value, factor.value);
    Pair y = two_sum(z.value, offset);
    double small = fused(d.value, factor.rest,
                         fused(d.rest - mean.rest, factor.value, z.rest + y.rest));
    return y.value + (small != small ? 0.0 : small); /* NaN beside an infinity */
}

/* (x - mean) * (rstd * scale) + offset, rounded once, for a scale that varies along a run. */
INLINE double normalized_along(double x, Pair mean, Pair rstd, double scale, double offset) {
    EXACT;
    Pair d = two_sum(x, -mean.value);
    double z = d.value * rstd.value;
    double rest = fused(d.value, rstd.value, -z) +
                  fused(d.value, rstd.rest, (d.rest - mean.rest) * rstd.value);
    Pair p = two_product(z, scale);
    Pair y = two_sum(p.value, offset);
    double small = fused(rest, scale, p.rest + y.rest);
    return y.value + (small != small ? 0.0 : small);
}

#endif
