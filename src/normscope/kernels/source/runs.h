/* Loops over one run: elements of one statistics set at equal distances.

   Every loop is written once. Where all arrays go on by neighbours it is compiled again for that,
   and for what differs from call to call: such runs are vectorized. All others share one copy. */
#ifndef NORMSCOPE_RUNS_H
#define NORMSCOPE_RUNS_H

#include "nest.h"
#include "scaling.h"
#include "stream.h"

/* Where n elements begin in the arrays of a call, and the steps from one to the next. */
typedef struct {
    const ForwardCall *call;
    Place at, step;
    Int n;
    Int ahead; /* from there to the elements of x that are wanted next; 0: it is not known */
} Run;

/* How parameters vary along a run. */
enum { FIXED, BOTH_VARY, SCALE_VARIES };

/* Element e of the input: of x, or of x + residual, rounded as that sum would be. */
INLINE double element(const Run *run, Int e, int residual, int dtype) {
    const Int *at = run->at.of, *step = run->step.of;
    double x = load(run->call->x, at[X] + e * step[X], dtype);
    if (!residual) return x;
    return rounded(x + load(run->call->residual, at[RESIDUAL] + e * step[RESIDUAL], dtype), dtype);
}

/* The element, in a unit and less a pivot. Only float64 input has other units than 1. */
INLINE double shifted(const Run *run, Int e, Shift shift, int residual, int dtype) {
    double x = element(run, e, residual, dtype);
    return dtype == FLOAT64 ? x * shift.unit - shift.pivot : x - shift.pivot;
}

/* Whether the elements of the input lie side by side. */
INLINE int are_neighbours(const Run *run) {
    const Int *step = run->step.of;
    return step[X] == 1 && (run->call->residual == NULL || step[RESIDUAL] == 1);
}

/* The run, known to go on by neighbours. */
INLINE Run side_by_side(const Run *run) { return (Run){run->call, run->at, neighbours(), run->n}; }

/* ---- sums ------------------------------------------------------------------------------------ */

/* Add an element to each strand. */
INLINE void add_values(Strands *strands, const double *values, int measure, int dtype) {
    for (int strand = 0; strand < STRANDS; strand++) {
        double d = values[strand];
        if (dtype == FLOAT64 && is_square(measure)) {
            add_to_strand(strands, strand, d);
        } else {
            strands->s[strand] += d;
            strands->q[strand] = with_element(strands->q[strand], d, measure);
        }
    }
}

/* Add a run of neighbours to the sums of squares; all of its elements count. */
INLINE void add_neighbours(Strands *strands, const Run *run, Shift shift, int residual, int dtype) {
    Strands sums = *strands; /* in registers */
    Int rest = run->n % STRANDS, full = run->n - rest;
    double values[STRANDS] = {0};
    for (Int e = 0; e < full; e += STRANDS) {
        for (int strand = 0; strand < STRANDS; strand++)
            values[strand] = shifted(run, e + strand, shift, residual, dtype);
        add_values(&sums, values, VARIANCE, dtype);
    }
    if (rest > 0) {
        for (int strand = 0; strand < STRANDS; strand++)
            values[strand] =
                strand < rest ? shifted(run, full + strand, shift, residual, dtype) : 0.0;
        add_values(&sums, values, VARIANCE, dtype);
    }
    *strands = sums;
}

/* Add the elements of any run that the mask counts; how many they are. */
static Int add_any(Strands *strands, const Run *run, Shift shift, int measure, int dtype) {
    Int counted = 0, m = run->at.of[MASK], step = run->step.of[MASK];
    for (Int start = 0; start < run->n; start += STRANDS) {
        double values[STRANDS] = {0};
        for (Int e = start; e < least(start + STRANDS, run->n); e++)
            if (counts(run->call->mask, m + e * step)) {
                values[e - start] = shifted(run, e, shift, run->call->residual != NULL, dtype);
                counted++;
            }
        add_values(strands, values, measure, dtype);
    }
    return counted;
}

/* Add a run to the sums; how many of its elements count. */
INLINE Int add_run(Strands *strands, const Run *run, Shift shift, int measure, int dtype) {
    if (run->call->mask != NULL || !is_square(measure) || !are_neighbours(run))
        return add_any(strands, run, shift, measure, dtype);
    Run near = side_by_side(run);
    if (run->call->residual != NULL) add_neighbours(strands, &near, shift, 1, dtype);
    else add_neighbours(strands, &near, shift, 0, dtype);
    return run->n;
}

/* The sum of all strands: halves are added, as vectors. */
INLINE double sum_of(const double *strands) {
    EXACT;
    typedef double Vector __attribute__((ext_vector_type(STRANDS)));
    Vector all;
    memcpy(&all, strands, sizeof all);
    double __attribute__((ext_vector_type(8))) eight = all.lo + all.hi;
    double __attribute__((ext_vector_type(4))) four = eight.lo + eight.hi;
    double __attribute__((ext_vector_type(2))) two = four.lo + four.hi;
    return two.x + two.y;
}

/* All strands together, of n elements. */
INLINE Sums total_of(Strands *strands, double n, int measure, int dtype) {
    if (dtype == FLOAT64 && is_square(measure)) {
        fold_strands(strands, 1);
        return sums_of(strands, n);
    }
    if (is_square(measure))
        return (Sums){n, exactly(sum_of(strands->s)), exactly(sum_of(strands->q))};
    for (int half = STRANDS / 2; half > 0; half /= 2)
        for (int strand = 0; strand < half; strand++) {
            strands->s[strand] += strands->s[strand + half];
            strands->q[strand] = together(strands->q[strand], strands->q[strand + half], measure);
        }
    return (Sums){n, exactly(strands->s[0]), exactly(strands->q[0])};
}

/* ---- the output ------------------------------------------------------------------------------ */

/* How a run is written: where, what its set needs, and the bias where that does not vary. */
typedef struct {
    Room room;
    Scaling by;
    double bias;
} Output;

/* Element e: (x - centre) * factor * scale + bias, for parameters that vary as it is said. */
INLINE void write_element(const Run *run, Int e, const Output *output, int varying, int residual,
                          int activated, int parameter_dtype, int dtype) {
    const ForwardCall *call = run->call;
    const Int *at = run->at.of, *step = run->step.of;
    const Scaling *by = &output->by;
    double x = element(run, e, residual, dtype), scale = 1.0, bias = output->bias, y;
    if (varying != FIXED)
        scale = load_parameter(call->scale, at[SCALE] + e * step[SCALE], parameter_dtype);
    if (varying == BOTH_VARY)
        bias = load_parameter(call->bias, at[BIAS] + e * step[BIAS], parameter_dtype);
    if (dtype == FLOAT64 && varying != FIXED)
        y = normalized_along(x * by->unit, by->centre, by->factor, scale, bias);
    else if (dtype == FLOAT64)
        y = normalized(x * by->unit, by->centre, by->factor, bias);
    else if (varying != FIXED)
        y = (x - by->centre.value) * by->factor.value * scale + bias;
    else
        y = (x - by->centre.value) * by->factor.value + bias;
    if (activated) y = leaky(y, call->slope);
    store(output->room.array, output->room.index + e * step[OUT], y, dtype);
}

/* Write any run. */
static void write_any(const Run *run, const Output *output, int varying, int dtype) {
    const ForwardCall *call = run->call;
    int residual = call->residual != NULL, activated = call->activated != 0;
    for (Int e = 0; e < run->n; e++)
        write_element(run, e, output, varying, residual, activated, (int)call->parameter_dtype,
                      dtype);
}

/* Write a run of neighbours. */
INLINE void write_vectors(const Run *given, const Output *given_output, int varying, int residual,
                          int activated, int parameter_dtype, int dtype) {
    ForwardCall call = *given->call; /* which no store can change */
    Run run = {&call, given->at, neighbours(), given->n};
    Output output = *given_output;
    VECTORIZE
    for (Int e = 0; e < run.n; e++)
        write_element(&run, e, &output, varying, residual, activated, parameter_dtype, dtype);
}

/* The same. Long parameters of narrow input are of float32. */
INLINE void write_typed(const Run *run, const Output *output, int varying, int residual,
                        int activated, int dtype) {
    if (varying != FIXED && dtype != FLOAT64 && run->call->parameter_dtype == FLOAT32)
        write_vectors(run, output, varying, residual, activated, FLOAT32, dtype);
    else
        write_vectors(run, output, varying, residual, activated, FLOAT64, dtype);
}

/* The same. */
INLINE void write_neighbours(const Run *run, const Output *output, int varying, int dtype) {
    switch ((run->call->residual != NULL) + 2 * (run->call->activated != 0)) {
    case 0: write_typed(run, output, varying, 0, 0, dtype); break;
    case 1: write_typed(run, output, varying, 1, 0, dtype); break;
    case 2: write_typed(run, output, varying, 0, 1, dtype); break;
    default: write_typed(run, output, varying, 1, 1, dtype);
    }
}

/* Write the output of a run. */
INLINE void write_run(const Run *run, Room room, Scaling by, int dtype) {
    const ForwardCall *call = run->call;
    const Int *at = run->at.of, *step = run->step.of;
    int near = are_neighbours(run) && step[OUT] == 1, type = (int)call->parameter_dtype;
    Output output = {room, by, load_parameter(call->bias, at[BIAS], type)};
    if (step[SCALE] == 0 && step[BIAS] == 0) {
        output.by = scaled_once(by, load_parameter(call->scale, at[SCALE], type), dtype);
        if (near) write_neighbours(run, &output, FIXED, dtype);
        else write_any(run, &output, FIXED, dtype);
    } else if (near && step[SCALE] == 1 && step[BIAS] == 1) {
        write_neighbours(run, &output, BOTH_VARY, dtype);
    } else if (near && step[SCALE] == 1 && step[BIAS] == 0) {
        write_neighbours(run, &output, SCALE_VARIES, dtype);
    } else {
        write_any(run, &output, BOTH_VARY, dtype);
    }
}

/* Begin to bring into the cache what is wanted next, as far from elements `e` to `e + n` as it is
   known: reading goes on while the output is written. */
INLINE void fetch_ahead(const Run *run, Int e, Int n, int dtype) {
    if (run->ahead == 0) return;
    const char *x = (const char *)address_of(run->call->x, run->at.of[X] + run->ahead + e, dtype);
    for (Int byte = 0; byte < n * size_of(dtype); byte += LINE) __builtin_prefetch(x + byte, 0, 2);
}

/* Write the output of a run: into the room that is given, or in pieces through the stream. */
INLINE void write_pieces(const Run *run, Scaling by, Stream *stream, const Room *given, int dtype) {
    void *out = run->call->out;
    Int step = run->step.of[OUT], length = run->n, others = 0;
    if (given == NULL)
        length = first_piece(stream, out, run->at.of[OUT], step, run->n, dtype, &others);
    for (Int e = 0; e < run->n; e += length, length = others) {
        Run piece = {run->call, moved(run->at, run->step, e), run->step, least(length, run->n - e)};
        Room to = given != NULL ? *given
                                : room(stream, out, piece.at.of[OUT], step, piece.n, dtype);
        fetch_ahead(run, e, piece.n, dtype);
        write_run(&piece, to, by, dtype);
    }
}

#endif
