/* Statistics sets that are a few long runs of memory: what they are measured and written by.

   A set is taken in *chunks* of CHUNK elements, in the order of memory. Which thread takes which
   chunk makes no difference: chunks are merged in order. */
#ifndef NORMSCOPE_ROWS_H
#define NORMSCOPE_ROWS_H

#include "runs.h"

/* The elements `start` to `stop` of the set that begins at `at`. */
typedef struct {
    const ForwardCall *call;
    Place at;
    Int start, stop;
    Int ahead; /* from its elements of x to those that are wanted next; 0: it is not known */
} Part;

/* The place of a set of the call, by its number in the order of the nest. */
INLINE Place place_of(const ForwardCall *call, Int set) {
    return offsets(call->cut.nest, 0, call->cut.kept, set);
}

/* How many sets there are, and elements in each. */
INLINE Int sets_of(const Cut *cut) { return positions_of(cut->nest, 0, cut->kept); }
INLINE Int size_of_set(const Cut *cut) { return positions_of(cut->nest, cut->kept, cut->loops); }

/* What lies in one run of a part, from element `position` of the set on. */
INLINE Run run_of(const Part *part, Int position) {
    const Cut *cut = &part->call->cut;
    Loop last = innermost(cut);
    Int e, number = run_at(position, last.size, &e);
    Place at = moved(part->at, offsets(cut->nest, cut->kept, cut->loops - 1, number), 1);
    Int n = least(last.size - e, part->stop - position);
    return (Run){part->call, moved(at, last.step, e), last.step, n, part->ahead};
}

/* Chunk `number` of a set of `size` elements. */
INLINE Part chunk_of(const ForwardCall *call, Place at, Int size, Int number) {
    return (Part){call, at, number * CHUNK, least((number + 1) * CHUNK, size)};
}

/* ---- measuring ------------------------------------------------------------------------------- */

/* Begin to bring the next run of a part into the cache, for the processor fetches ahead by itself
   only after it has seen a few lines of it. */
INLINE void fetch_run(const Part *part, Int position, int dtype) {
    enum { LINES = 16 };
    const ForwardCall *call = part->call;
    if (position >= part->stop) return;
    Run run = run_of(part, position);
    if (run.n * size_of(dtype) < LINES * LINE || !are_neighbours(&run)) return;
    const char *x = (const char *)address_of(call->x, run.at.of[X], dtype);
    for (Int line = 0; line < LINES; line++) __builtin_prefetch(x + line * LINE);
    if (call->residual == NULL) return;
    const char *residual = (const char *)address_of(call->residual, run.at.of[RESIDUAL], dtype);
    for (Int line = 0; line < LINES; line++) __builtin_prefetch(residual + line * LINE);
}

/* The sums of a part. */
INLINE Sums sums_of_part(const Part *part, Shift shift, int measure, int dtype) {
    Strands strands = {0};
    Int counted = 0;
    for (Int position = part->start; position < part->stop;) {
        Run run = run_of(part, position);
        fetch_run(part, position + run.n, dtype);
        counted += add_run(&strands, &run, shift, measure, dtype);
        position += run.n;
    }
    return total_of(&strands, (double)counted, measure, dtype);
}

/* The first element that counts, as a pivot; 0 if none does. */
INLINE double first_of(const Part *part, int dtype) {
    const ForwardCall *call = part->call;
    for (Int position = part->start; position < part->stop; position++) {
        Run run = run_of(part, position);
        if (counts(call->mask, run.at.of[MASK]))
            return pivot_at(element(&run, 0, call->residual != NULL, dtype));
    }
    return 0.0;
}

/* The statistics of a part. */
INLINE Statistics measured_part(const Part *part, int dtype) {
    int measure = measure_of(part->call->formula);
    Shift shift = {1.0, 0.0};
    if (dtype != FLOAT64 && is_around_mean(measure)) shift.pivot = first_of(part, dtype);
    for (;;) {
        Sums sums = sums_of_part(part, shift, measure, dtype);
        if (dtype != FLOAT64)
            return statistics_of(sums.n, sums.s.value, sums.q.value, shift.pivot, measure);
        Shift better = better_shift(sums, shift, measure);
        if (better.unit == shift.unit && better.pivot == shift.pivot)
            return statistics_of_sums(sums, shift, measure);
        shift = better;
    }
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Write the bias: the output of a set of which no element counts. */
static void fill_part(const Part *part, int dtype) {
    const ForwardCall *call = part->call;
    for (Int position = part->start; position < part->stop; position++) {
        Run run = run_of(part, position);
        double y = load_parameter(call->bias, run.at.of[BIAS], (int)call->parameter_dtype);
        store(call->out, run.at.of[OUT], call->activated ? leaky(y, call->slope) : y, dtype);
    }
}

/* Write the output of a part of a set of which `count` elements count. */
INLINE void write_runs(const Part *part, double count, Scaling by, Stream *stream, int dtype) {
    if (count == 0.0) {
        fill_part(part, dtype);
        return;
    }
    for (Int position = part->start; position < part->stop;) {
        Run run = run_of(part, position);
        write_pieces(&run, by, stream, NULL, dtype);
        position += run.n;
    }
}

#endif
