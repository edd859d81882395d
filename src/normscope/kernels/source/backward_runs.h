/* Loops over one run for the backward pass: elements at equal distances, of one statistics set, or
   a run each of several sets that share their parameters. */
#ifndef NORMSCOPE_BACKWARD_RUNS_H
#define NORMSCOPE_BACKWARD_RUNS_H

#include "input_gradient.h"
#include "lanes.h"
#include "nest.h"
#include "stream.h"

/* Sets whose sums are taken together where they share their parameters. */
#define TOGETHER 4

/* Runs of n elements: of one set, or of TOGETHER sets that share their parameters. */
typedef struct {
    Int number, n;
    Place at[TOGETHER], step;
    double (*work)[TOGETHER]; /* scratch memory, a column for each set: see input_gradient.h */
    double *learned;          /* the sums of the parameters, or NULL */
} Runs;

/* What differs between the copies of the loop over neighbours: how many sets are taken together,
   and whether each element has a scale of its own, and sums of its own. */
typedef struct {
    int number, weighted, learns, parameter_dtype, dtype;
    double shift; /* what is added to each scale */
} Kind;

/* Of a run: mean and rstd of its set, and sum(g), sum(g * d) and sum(d), with d = x - mean and
   g = dy * (scale + shift). */
typedef struct {
    double mean, rstd;
    Lanes g, g_d, d;
} RunSums;

/* Adds the chosen of LANES elements of each run, from e on, to all sums. The sums of the parameters
   fill more memory than a run: they are read and written once for all sets together. */
INLINE void add_lanes(const BackwardCall *call, const Runs *runs, Int e, Chosen chosen,
                      RunSums *sums, Kind kind) {
    const Place *at = runs->at;
    Lanes factor = 1.0, plain = 0.0, along = 0.0;
    if (kind.weighted)
        factor = load_lanes(call->scale, at->of[SCALE] + e, kind.parameter_dtype) + kind.shift;
    UNROLL
    for (int s = 0; s < kind.number; s++) {
        Lanes dy = only(chosen, load_lanes(call->dy, at[s].of[DY] + e, kind.dtype));
        Lanes d = only(chosen, load_lanes(call->x, at[s].of[X] + e, kind.dtype) - sums[s].mean);
        Lanes dy_d = dy * d;
        plain += dy;
        along += dy_d * sums[s].rstd;
        sums[s].d += d;
        if (kind.weighted) {
            sums[s].g += dy * factor;
            sums[s].g_d += dy_d * factor;
        } else {
            sums[s].g += dy;
            sums[s].g_d += dy * d;
        }
    }
    if (!kind.learns) return;
    double *learned = runs->learned + at->of[LEARNED] + e;
    add_lanes_to(learned, plain);
    add_lanes_to(learned + call->parameters, along);
}

/* Adds the sums of the run of set s to those of the set. */
INLINE void add_to_set(const BackwardCall *call, const Runs *runs, int s, double g, double g_d,
                       double d) {
    double(*work)[TOGETHER] = runs->work;
    work[SUM_G][s] += g;
    work[SUM_G_D][s] += g_d;
    if (call->mask != NULL) return; /* see `add_counted` */
    work[SUM_D][s] += d;
    work[SUM_COUNT][s] += (double)runs->n;
}

/* Adds what is not weighted to the sums of a set, and to those of its one parameter. */
INLINE void add_even(const BackwardCall *call, const Runs *runs, double dy, double dy_d, double d) {
    double(*work)[TOGETHER] = runs->work, factor = factor_at(call, *runs->at);
    work[SUM_DY][0] += dy;
    work[SUM_DY_D][0] += dy_d;
    if (runs->learned != NULL && runs->step.of[LEARNED] == 0)
        add_to_parameter(call, runs->learned + runs->at->of[LEARNED], dy, dy_d * work[SET_RSTD][0]);
    add_to_set(call, runs, 0, dy * factor, dy_d * factor, d);
}

/* Adds runs of neighbours, at least LANES, to all sums. */
INLINE void add_neighbours(const BackwardCall *given, const Runs *given_runs, Kind kind) {
    BackwardCall call = *given; /* which no store can change */
    Runs runs = *given_runs;
    RunSums sums[TOGETHER];
    Int e = 0, n = runs.n;
    kind.shift = call.formula->shift;
    UNROLL
    for (int s = 0; s < kind.number; s++)
        sums[s] = (RunSums){runs.work[SET_MEAN][s], runs.work[SET_RSTD][s], 0.0, 0.0, 0.0};
    for (; e + LANES <= n; e += LANES) add_lanes(&call, &runs, e, ALL_LANES, sums, kind);
    if (e < n) add_lanes(&call, &runs, n - LANES, last_lanes(n - e), sums, kind);
    UNROLL
    for (int s = 0; s < kind.number; s++) {
        double g = sum_of_lanes(sums[s].g), g_d = sum_of_lanes(sums[s].g_d);
        double d = sum_of_lanes(sums[s].d);
        if (kind.weighted) add_to_set(given, given_runs, s, g, g_d, d);
        else add_even(given, given_runs, g, g_d, d);
    }
}

/* Adds runs of neighbours whose elements each have a scale of their own. */
INLINE void add_weighted(const BackwardCall *call, const Runs *runs, int parameter_dtype,
                         int dtype) {
    if (runs->number == TOGETHER)
        add_neighbours(call, runs, (Kind){TOGETHER, 1, 1, parameter_dtype, dtype, 0.0});
    else if (runs->learned != NULL && runs->step.of[LEARNED] == 1)
        add_neighbours(call, runs, (Kind){1, 1, 1, parameter_dtype, dtype, 0.0});
    else add_neighbours(call, runs, (Kind){1, 1, 0, parameter_dtype, dtype, 0.0});
}

/* Adds a run of any strides. */
INLINE void add_any_run(const BackwardCall *call, const Runs *runs, int dtype) {
    SUMS;
    double mean = runs->work[SET_MEAN][0], rstd = runs->work[SET_RSTD][0], *learned = runs->learned;
    double g = 0.0, g_d = 0.0, all_d = 0.0;
    int even = runs->step.of[SCALE] == 0, along = learned != NULL && runs->step.of[LEARNED] != 0;
    for (Int e = 0; e < runs->n; e++) {
        Place at = moved(*runs->at, runs->step, e);
        double dy = load(call->dy, at.of[DY], dtype), d = load(call->x, at.of[X], dtype) - mean;
        double dy_d = dy * d, factor = even ? 1.0 : factor_at(call, at);
        g += dy * factor;
        g_d += dy_d * factor;
        all_d += d;
        if (along) add_to_parameter(call, learned + at.of[LEARNED], dy, dy_d * rstd);
    }
    if (even) add_even(call, runs, g, g_d, all_d);
    else add_to_set(call, runs, 0, g, g_d, all_d);
}

/* Adds the elements of a run that the mask counts. */
INLINE void add_counted(const BackwardCall *call, const Runs *runs, int dtype) {
    SUMS;
    double mean = runs->work[SET_MEAN][0], d = 0.0, count = 0.0;
    const Int *from = runs->at->of, *step = runs->step.of;
    for (Int e = 0; e < runs->n; e++) {
        int counted = counts(call->mask, from[MASK] + e * step[MASK]);
        count += counted ? 1.0 : 0.0;
        d += counted ? load(call->x, from[X] + e * step[X], dtype) - mean : 0.0;
    }
    runs->work[SUM_D][0] += d;
    runs->work[SUM_COUNT][0] += count;
}

/* Adds runs to the sums of their sets, and to those of their parameters. */
INLINE void add_runs_of(const BackwardCall *call, const Runs *runs, int dtype) {
    const Int *step = runs->step.of;
    int along = runs->learned != NULL && step[LEARNED] == 1;
    int neighbours = step[X] == 1 && step[DY] == 1 && runs->n >= LANES &&
                     (along || runs->learned == NULL || step[LEARNED] == 0);
    if (neighbours && step[SCALE] == 1 && call->parameter_dtype == FLOAT64)
        add_weighted(call, runs, FLOAT64, dtype);
    else if (neighbours && step[SCALE] == 1) add_weighted(call, runs, FLOAT32, dtype);
    else if (neighbours && step[SCALE] == 0 && along)
        add_neighbours(call, runs, (Kind){1, 0, 1, FLOAT64, dtype, 0.0});
    else if (neighbours && step[SCALE] == 0)
        add_neighbours(call, runs, (Kind){1, 0, 0, FLOAT64, dtype, 0.0});
    else add_any_run(call, runs, dtype);
    if (call->mask != NULL) add_counted(call, runs, dtype);
}

static void add_runs(const BackwardCall *call, const Runs *runs) {
    FOR_DTYPE(call->dtype, add_runs_of, call, runs);
}

/* Writes dx of n neighbours to a room. Each has a scale of its own if `weighted`, and may be left
   out if `masked`. */
INLINE void write_neighbours(const BackwardCall *call, Place at, Int n, InputGradient set,
                             Room out, int weighted, int masked, int parameter_dtype, int dtype) {
    const void *dys = call->dy, *xs = call->x, *scales = call->scale; /* no store changes these */
    const uint8_t *mask = call->mask;
    double scale = load(scales, at.of[SCALE], parameter_dtype);
    double fixed = set.curve * set.point - set.move;
    VECTORIZE
    for (Int e = 0; e < n; e++) {
        if (weighted) scale = load(scales, at.of[SCALE] + e, parameter_dtype);
        double first = load(dys, at.of[DY] + e, dtype) * (scale * set.rstd + set.added);
        double x = load(xs, at.of[X] + e, dtype), dx;
        if (dtype == FLOAT64) dx = first - set.move - set.curve * (x - set.point);
        else dx = first + fixed - set.curve * x; /* what cancels has digits enough */
        if (masked) dx = mask[at.of[MASK] + e] ? dx : first;
        store(out.array, out.index + e, dx, dtype);
    }
}

/* Writes dx of a run of any strides. */
INLINE void write_any_run(const BackwardCall *call, Place from, Place step, Int n,
                          InputGradient set, Room out, int dtype) {
    int of_sizes = measure_of(call->formula) == L1, pd = (int)call->parameter_dtype;
    VECTORIZE
    for (Int e = 0; e < n; e++) {
        Place at = moved(from, step, e);
        double x = load(call->x, at.of[X], dtype), dy = load(call->dy, at.of[DY], dtype);
        double first = dy * (load(call->scale, at.of[SCALE], pd) * set.rstd + set.added);
        double d = of_sizes ? derivative_of_size(x) : x - set.point;
        double dx = first - set.move - set.curve * d;
        if (!counts(call->mask, at.of[MASK])) dx = first;
        store(out.array, out.index + e * step.of[DX], dx, dtype);
    }
}

/* Writes dx of neighbours, with the type of the parameters as a constant. */
INLINE void write_plain(const BackwardCall *call, Place at, int weighted, Int n, InputGradient set,
                        Room out, int parameter_dtype, int dtype) {
    if (call->mask != NULL) {
        if (weighted) write_neighbours(call, at, n, set, out, 1, 1, parameter_dtype, dtype);
        else write_neighbours(call, at, n, set, out, 0, 1, parameter_dtype, dtype);
    } else if (weighted) write_neighbours(call, at, n, set, out, 1, 0, parameter_dtype, dtype);
    else write_neighbours(call, at, n, set, out, 0, 0, parameter_dtype, dtype);
}

INLINE void write_run_of(const BackwardCall *call, Place at, Place step, Int n, InputGradient set,
                         Room out, int dtype) {
    const Int *of = step.of;
    int plain = of[X] == 1 && of[DY] == 1 && of[DX] == 1 && (of[SCALE] & -2) == 0 &&
                (call->mask == NULL || of[MASK] == 1) && measure_of(call->formula) != L1;
    int weighted = of[SCALE] == 1;
    if (!plain) write_any_run(call, at, step, n, set, out, dtype);
    else if (call->parameter_dtype == FLOAT64)
        write_plain(call, at, weighted, n, set, out, FLOAT64, dtype);
    else write_plain(call, at, weighted, n, set, out, FLOAT32, dtype);
}

/* Writes dx of a run to a room. */
static void write_run(const BackwardCall *call, Place at, Place step, Int n, InputGradient set,
                      Room out) {
    FOR_DTYPE(call->dtype, write_run_of, call, at, step, n, set, out);
}

#endif
