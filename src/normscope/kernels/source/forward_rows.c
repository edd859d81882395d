/* Forward kernels for nests whose innermost loop is shared: a statistics set is a few long runs. */
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

INLINE Measured measure_set(const ForwardCall *call, Int set, Int size, int dtype) {
    Place at = place_of(call, set);
    Statistics found = statistics_of_set(call, at, size, dtype);
    double v;
    Pair d = divisor_of(found, call->formula, &v, dtype);
    write_statistics(call, at.of[SET], found.n, found.mean.value, v, d.value);
    return (Measured){at, found.n, scaling_of(found.mean, d, call->formula, dtype)};
}

/* Write a set: the last chunk first, which is still in cache if the set is too large for it. */
INLINE void write_set(const ForwardCall *call, const Measured *known, Int size, Stream *stream,
                      int dtype) {
    for (Int number = quotient_up(size, CHUNK) - 1; number >= 0; number--) {
        Part chunk = chunk_of(call, known->at, size, number);
        write_part(&chunk, known->count, known->scaling, stream, dtype);
    }
}

/* An item is `per_item` sets. */
INLINE void normalize(const ForwardCall *call, Int *counter, int dtype) {
    const Cut *cut = &call->cut;
    Int sets = sets_of(cut), size = size_of_set(cut), group = size <= SHORT ? GROUP : 1;
    Measured known[GROUP];
    Stream stream;
    open_stream(&stream, call->streams != 0);
    for (Int item = take(counter); item < cut->items; item = take(counter)) {
        Int stop = least((item + 1) * cut->per_item, sets);
        for (Int first = item * cut->per_item; first < stop; first += group) {
            Int count = least(group, stop - first);
            for (Int g = 0; g < count; g++) known[g] = measure_set(call, first + g, size, dtype);
            for (Int g = 0; g < count; g++) write_set(call, &known[g], size, &stream, dtype);
        }
    }
    close_stream(&stream);
}

/* An item is a chunk of a set. */
INLINE void measure(const ForwardCall *call, Int *counter, int dtype) {
    const Cut *cut = &call->cut;
    Int size = size_of_set(cut), rows = call->partial_rows, columns = call->partial_columns;
    for (Int item = take(counter); item < cut->items; item = take(counter)) {
        Int set = item / cut->chunks, number = item - set * cut->chunks;
        Part chunk = chunk_of(call, place_of(call, set), size, number);
        Statistics found = statistics_of_part(&chunk, dtype);
        double *partials = call->partials + number * rows * columns;
        write_partial(partials, rows, columns, chunk.at.of[SET], found);
    }
}

/* An item is `step` elements of `per_item` sets. The same elements of all sets come first:
   parameters that vary along them are then read once. */
INLINE void apply(const ForwardCall *call, Int *counter, int dtype) {
    const Cut *cut = &call->cut;
    Int sets = sets_of(cut), size = size_of_set(cut), groups = quotient_up(sets, cut->per_item);
    Stream stream;
    open_stream(&stream, call->streams != 0);
    for (Int item = take(counter); item < cut->items; item = take(counter)) {
        Int start = item / groups * cut->step, first = item % groups * cut->per_item;
        for (Int set = first; set < least(first + cut->per_item, sets); set++) {
            Part part = {call, place_of(call, set), start, least(start + cut->step, size)};
            Int i = part.at.of[SET];
            write_part(&part, given_count(call, i), given_scaling(call, i, dtype), &stream, dtype);
        }
    }
    close_stream(&stream);
}

/* Measure whole statistics sets and write their output while they are in cache. */
EXPORT void forward_rows_normalize(const void *call, Int *counter) {
    FOR_DTYPE(((const ForwardCall *)call)->dtype, normalize, call, counter);
}

/* Measure chunks: their partial statistics. */
EXPORT void forward_rows_measure(const void *call, Int *counter) {
    FOR_DTYPE(((const ForwardCall *)call)->dtype, measure, call, counter);
}

/* Write the output, from statistics that are known. */
EXPORT void forward_rows_apply(const void *call, Int *counter) {
    FOR_DTYPE(((const ForwardCall *)call)->dtype, apply, call, counter);
}
