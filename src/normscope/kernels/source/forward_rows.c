/* Forward kernels for nests whose innermost loop is shared: a statistics set is a few long runs.

   The loops over elements are compiled once for each dtype; what calls them serves all. */
#include "rows.h"

/* Sets that are measured before the first of them is written, if they are short. */
#define GROUP 8
#define SHORT 256

/* What is known of a set that is to be written. */
typedef struct {
    Place at;
    double count;
    Scaling scaling;
} Measured;

/* The statistics of a part, of any dtype. */
static Statistics statistics_of_part(const Part *part) {
    switch (part->call->dtype) {
    case FLOAT64: return measured_part(part, FLOAT64);
    case FLOAT32: return measured_part(part, FLOAT32);
    case FLOAT16: return measured_part(part, FLOAT16);
    default: return measured_part(part, BFLOAT16);
    }
}

/* Write the output of a part of a set of which `count` elements count, of any dtype. */
static void write_part(const Part *part, double count, Scaling by, Stream *stream) {
    FOR_DTYPE(part->call->dtype, write_runs, part, count, by, stream);
}

/* The statistics of a whole set of `size` elements. */
INLINE Statistics statistics_of_set(const ForwardCall *call, Place at, Int size) {
    int measure = measure_of(call->formula);
    Statistics found = {0};
    for (Int number = 0; number * CHUNK < size; number++) {
        Part chunk = chunk_of(call, at, size, number);
        Statistics more = statistics_of_part(&chunk);
        if (call->dtype == FLOAT64) found = merged_exactly(found, more, measure);
        else found = merged(found, more, measure);
    }
    return found;
}

INLINE Measured measure_set(const ForwardCall *call, Int set, Int size) {
    int dtype = (int)call->dtype;
    Place at = place_of(call, set);
    Statistics found = statistics_of_set(call, at, size);
    double v;
    Pair d = divisor_of(found, call->formula, &v, dtype);
    write_statistics(call, at.of[SET], found.n, found.mean.value, v, d.value);
    return (Measured){at, found.n, scaling_of(found.mean, d, call->formula, dtype)};
}

/* Bytes of a set of which two fit into the second cache. */
#define TWO_FIT (1 << 19)

/* How far it is from a set to the next one, if that is worth fetching while this one is written: a
   core reads and writes at the same time, and large sets are read from memory. */
INLINE Int to_next(const ForwardCall *call, Int set, Int size, Int sets) {
    Int bytes = size * size_of((int)call->dtype);
    if (!call->streams || set + 1 == sets || bytes > TWO_FIT || call->residual != NULL) return 0;
    if (innermost(&call->cut).step.of[X] != 1) return 0;
    return place_of(call, set + 1).of[X] - place_of(call, set).of[X];
}

/* Write a set: the last chunk first, which is still in cache if the set is too large for it. */
INLINE void write_set(const ForwardCall *call, const Measured *known, Int size, Int ahead,
                      Stream *stream) {
    for (Int number = quotient_up(size, CHUNK) - 1; number >= 0; number--) {
        Part chunk = chunk_of(call, known->at, size, number);
        chunk.ahead = ahead;
        write_part(&chunk, known->count, known->scaling, stream);
    }
}

/* Measure whole statistics sets and write their output while they are in cache. An item is
   `per_item` sets. */
EXPORT void forward_rows_normalize(const void *given, Items *items) {
    const ForwardCall *call = given;
    const Cut *cut = &call->cut;
    Int sets = sets_of(cut), size = size_of_set(cut), group = size <= SHORT ? GROUP : 1;
    Measured known[GROUP];
    Stream stream;
    open_stream(&stream, call->streams != 0);
    for (Int item; (item = take(items)) >= 0;) {
        Int stop = least((item + 1) * cut->per_item, sets);
        for (Int first = item * cut->per_item; first < stop; first += group) {
            Int count = least(group, stop - first);
            for (Int g = 0; g < count; g++) known[g] = measure_set(call, first + g, size);
            for (Int g = 0; g < count; g++) {
                Int ahead = group == 1 ? to_next(call, first, size, sets) : 0;
                write_set(call, &known[g], size, ahead, &stream);
            }
        }
    }
    close_stream(&stream);
}

/* Measure chunks: their partial statistics. An item is a chunk of a set. */
EXPORT void forward_rows_measure(const void *given, Items *items) {
    const ForwardCall *call = given;
    const Cut *cut = &call->cut;
    Int size = size_of_set(cut), rows = call->partial_rows, columns = call->partial_columns;
    for (Int item; (item = take(items)) >= 0;) {
        Int set = item / cut->chunks, number = item - set * cut->chunks;
        Part chunk = chunk_of(call, place_of(call, set), size, number);
        Statistics found = statistics_of_part(&chunk);
        double *partials = call->partials + number * rows * columns;
        write_partial(partials, rows, columns, chunk.at.of[SET], found);
    }
}

/* Write the output, from statistics that are known. An item is `step` elements of `per_item` sets.
   The same elements of all sets come first: parameters that vary along them are then read once. */
EXPORT void forward_rows_apply(const void *given, Items *items) {
    const ForwardCall *call = given;
    const Cut *cut = &call->cut;
    int dtype = (int)call->dtype;
    Int sets = sets_of(cut), size = size_of_set(cut), groups = quotient_up(sets, cut->per_item);
    Stream stream;
    open_stream(&stream, call->streams != 0);
    for (Int item; (item = take(items)) >= 0;) {
        Int start = item / groups * cut->step, first = item % groups * cut->per_item;
        for (Int set = first; set < least(first + cut->per_item, sets); set++) {
            Part part = {call, place_of(call, set), start, least(start + cut->step, size)};
            Int i = part.at.of[SET];
            write_part(&part, given_count(call, i), given_scaling(call, i, dtype), &stream);
        }
    }
    close_stream(&stream);
}
