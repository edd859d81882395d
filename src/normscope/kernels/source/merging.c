/* Put the statistics of chunks together, in order: the step between measuring and writing. */
#include "divisors.h"
#include "scaling.h"

/* The statistics of two parts together; with rests in float64 input. */
INLINE Statistics both(const MergeCall *call, Statistics one, Statistics other) {
    int measure = measure_of(call->formula);
    if (call->rows == PARTIAL_ROWS_WITH_RESTS) return merged_exactly(one, other, measure);
    return merged(one, other, measure);
}

/* Column i of the statistics of a chunk. */
INLINE Statistics part_of(const MergeCall *call, Int chunk, Int i) {
    const double *partials = call->partials + chunk * call->rows * call->columns;
    return read_partial(partials, call->rows, call->columns, i);
}

/* Merge sets that have equally many elements in each chunk, all at once. */
static void merge_evenly(const MergeCall *call) {
    Int columns = call->columns, size = PARTIAL_ROWS * columns;
    double *count = call->target + PARTIAL_COUNT * columns;
    double *mean = call->target + PARTIAL_MEAN * columns;
    double *root = call->target + PARTIAL_ROOT * columns;
    memcpy(call->target, call->partials, (size_t)size * sizeof(double));
    for (Int chunk = 1; chunk < call->chunks; chunk++) {
        const double *part = call->partials + chunk * size;
        double n = count[0], n2 = part[PARTIAL_COUNT * columns];
        merge_all(columns, n, mean, root, n2, part + PARTIAL_MEAN * columns,
                  part + PARTIAL_ROOT * columns, measure_of(call->formula));
        for (Int i = 0; i < columns; i++) count[i] = n + n2;
    }
}

/* Merge chunks: (chunks, rows, columns) into (rows, columns). It is all one item. */
EXPORT void merge_chunks(const void *given, Items *items) {
    const MergeCall *call = given;
    if (take(items) < 0 || call->columns == 0) return;
    if (call->even && call->rows == PARTIAL_ROWS && is_square(measure_of(call->formula))) {
        merge_evenly(call);
        return;
    }
    for (Int i = 0; i < call->columns; i++) {
        Statistics whole = {0};
        for (Int chunk = 0; chunk < call->chunks; chunk++)
            whole = both(call, whole, part_of(call, chunk, i));
        write_partial(call->target, call->rows, call->columns, i, whole);
    }
}

/* Merge the columns of each set: (rows, columns) into (rows, positions * sets). It is all one
   item. */
EXPORT void fold_columns(const void *given, Items *items) {
    const MergeCall *call = given;
    Int of_set = call->outer * call->inner, found = call->columns / of_set;
    if (take(items) < 0) return;
    for (Int p = 0; p < found / call->sets; p++)
        for (Int g = 0; g < call->sets; g++) {
            Statistics whole = {0};
            for (Int f = 0; f < call->outer; f++)
                for (Int e = 0; e < call->inner; e++) {
                    Int c = ((p * call->outer + f) * call->sets + g) * call->inner + e;
                    whole = both(call, whole, part_of(call, 0, c));
                }
            write_partial(call->target, call->rows, found, p * call->sets + g, whole);
        }
}

/* Fill the statistics with count, mean, v and D, and the rests of mean and D, each set at its place
   in the order. It is all one item. */
EXPORT void find_divisors(const void *given, Items *items) {
    const MergeCall *call = given;
    int has_rests = call->statistics_rows == ROWS_WITH_RESTS;
    Int columns = call->columns;
    if (take(items) < 0) return;
    for (Int i = 0; i < columns; i++) {
        Statistics found = part_of(call, 0, i);
        double v, *at = call->statistics + call->order[i];
        Pair d = divisor_of(found, call->formula, &v, has_rests ? FLOAT64 : FLOAT32);
        at[COUNT * columns] = found.n;
        at[MEAN * columns] = found.mean.value;
        at[VAR * columns] = v;
        at[DIVISOR * columns] = d.value;
        if (!has_rests) continue;
        at[MEAN_REST * columns] = found.mean.rest;
        at[DIVISOR_REST * columns] = d.rest;
    }
}
