/* The derivative of a normalization, from the sums of one statistics set.

   With g = dy * (scale + shift), y = (x - m) / D * (scale + shift) + bias and the sums

       A = sum(g)    B = sum(g * (x - m))    C = sum of (x - m) over the n elements that count

   (the rows SUM_G, SUM_G_D, SUM_D and SUM_COUNT) the gradient of an element that counts is

       dx = g / D - A / (n D) - k * (x - p)            k = B / (D**2 * w * (n - ddof))

   where w = sqrt(v + eps), p is the mean for the variance and 0 for other measures. The second term
   is there if the mean is subtracted, the third unless the divisor is a constant: the floor, or the
   1 of a guard (see `find_input_gradients`). For L2, k lacks the n - ddof, and for L1 the third
   term is B * sum(|x|) / (D**2 * w) * sign(x). An element that the mask leaves out has only the
   first. */
#ifndef NORMSCOPE_INPUT_GRADIENT_H
#define NORMSCOPE_INPUT_GRADIENT_H

#include "element.h"
#include "formula.h"

/* Rows of scratch memory after those of sums: what is given, and what dx needs beside rstd. */
enum { SET_MEAN = NUM_SUMS, SET_RSTD, MOVE, CURVE, POINT, GRADIENT_ROWS };

/* What dx of a set needs: dx = dy * (scale * rstd + added) - move - curve * (x - point). */
typedef struct {
    double rstd, added, move, curve, point;
} InputGradient;

/* What dx needs of the set in column c of scratch memory whose rows begin `step` places apart. */
INLINE InputGradient input_gradient_of(const double *work, Int step, Int c, double shift) {
    const double *at = work + c;
    double rstd = at[SET_RSTD * step];
    return (InputGradient){rstd, shift * rstd, at[MOVE * step], at[CURVE * step], at[POINT * step]};
}

/* What dy is multiplied by. */
INLINE double factor_at(const BackwardCall *call, Place at) {
    return load(call->scale, at.of[SCALE], (int)call->parameter_dtype) + call->formula->shift;
}

/* Add to the two sums of a parameter. */
INLINE void add_to_parameter(const BackwardCall *call, double *learned, double dy, double dy_z) {
    learned[0] += dy;
    learned[call->parameters] += dy_z;
}

/* The sums of the parameters for one item; NULL where none are taken along. */
INLINE double *learned_of(const BackwardCall *call, Int item) {
    if (call->parameters == 0) return NULL;
    return call->learned + (call->blocks < call->cut.items ? 0 : item) * 2 * call->parameters;
}

/* For L1 the third term has sum(|x|), which is known from the divisor. */
INLINE void multiply_curves_by_sizes(double *work, Int step, Int sets, const Formula *formula) {
    double eps = formula->eps, outside = formula->eps_outside;
    VECTORIZE
    for (Int c = 0; c < sets; c++) {
        double w = 1.0 / work[SET_RSTD * step + c] - outside;
        work[CURVE * step + c] *= sqrt(larger(w * w - eps, 0.0));
    }
}

/* Finds what dx of each set needs, in scratch memory whose rows begin `step` places apart, with one
   place for each set. The loop is free of branches, so that the divisions of several sets are one
   instruction.

   Where divisors up to some size become 1, an rstd of exactly 1 is such a constant: the caller has
   moved that of a set whose divisor is 1 by itself (normscope/engine/guard.py). With a guard
   against 0 alone nothing is to be done, for there B is 0. */
INLINE void find_input_gradients(double *work, Int step, Int sets, const Formula *formula) {
    int measure = measure_of(formula);
    double outside = formula->eps_outside, ddof = formula->ddof;
    int centered = formula->center != 0.0, around_mean = is_around_mean(measure);
    int unbiased = takes_ddof(measure);
    double constant = 1.0 / formula->floor; /* rstd where the floor is the divisor, rounded alike */
    double one = formula->unit_up_to > 0.0 ? 1.0 : NAN;
    VECTORIZE
    for (Int c = 0; c < sets; c++) {
        double n = work[SUM_COUNT * step + c], rstd = work[SET_RSTD * step + c];
        double share = 1.0 / n, w = 1.0 / rstd - outside;
        double move = work[SUM_G * step + c] * rstd * share;
        double point = work[SET_MEAN * step + c] + work[SUM_D * step + c] * share;
        double degrees = n > ddof ? n - ddof : 0.0;
        double k = work[SUM_G_D * step + c] * rstd * rstd / (w * (unbiased ? degrees : 1.0));
        int some = n > 0.0, moves = (rstd < constant) & (rstd != one) & (w > 0.0);
        work[MOVE * step + c] = some & centered ? move : 0.0;
        work[CURVE * step + c] = some & moves ? k : 0.0;
        work[POINT * step + c] = some & around_mean ? point : 0.0;
    }
    if (measure == L1) multiply_curves_by_sizes(work, step, sets, formula);
}

#endif
