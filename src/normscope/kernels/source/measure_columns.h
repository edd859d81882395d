/* Columns: their sums, and from these what is known of their statistics sets. */
#ifndef NORMSCOPE_MEASURE_COLUMNS_H
#define NORMSCOPE_MEASURE_COLUMNS_H

#include "columns.h"
#include "lanes.h"

/* ---- sums of a chunk ------------------------------------------------------------------------- */

/* Add n columns of a group to their shifted sums. */
INLINE void add_columns(Columns *on, Group *group, Int c, Int n, int has_residual, int dtype) {
    int columns = LINE / size_of(dtype);
    double x[MOST_COLUMNS], pivot[MOST_COLUMNS], sum[MOST_COLUMNS], square[MOST_COLUMNS];
    take_numbers(pivot, on->pivot + c, columns);
    take_numbers(sum, on->sum + c, columns);
    take_numbers(square, on->square + c, columns);
    for (Int row = 0; row < group->rows; row++) {
        bring(group, row, c, n, x, has_residual, dtype);
        for (int k = 0; k < columns; k++) {
            double d = x[k] - pivot[k];
            sum[k] += d;
            square[k] += d * d;
        }
    }
    take_numbers(on->sum + c, sum, columns);
    take_numbers(on->square + c, square, columns);
}

/* Add n columns of a group of float64 to sums that are pairs. */
INLINE void add_exact_columns(Columns *on, Group *group, Int c, Int n, int has_residual) {
    enum { COLUMNS = LINE / 8 };
    double x[COLUMNS], unit[COLUMNS], pivot[COLUMNS];
    double sum[COLUMNS], sum_rest[COLUMNS], square[COLUMNS], square_rest[COLUMNS];
    take_numbers(unit, on->unit + c, COLUMNS);
    take_numbers(pivot, on->pivot + c, COLUMNS);
    take_numbers(sum, on->sum + c, COLUMNS);
    take_numbers(sum_rest, on->sum_rest + c, COLUMNS);
    take_numbers(square, on->square + c, COLUMNS);
    take_numbers(square_rest, on->square_rest + c, COLUMNS);
    for (Int row = 0; row < group->rows; row++) {
        bring(group, row, c, n, x, has_residual, FLOAT64);
        for (int k = 0; k < COLUMNS; k++)
            add_element(x[k] * unit[k] - pivot[k], sum + k, sum_rest + k, square + k,
                        square_rest + k);
    }
    take_numbers(on->sum + c, sum, COLUMNS);
    take_numbers(on->sum_rest + c, sum_rest, COLUMNS);
    take_numbers(on->square + c, square, COLUMNS);
    take_numbers(on->square_rest + c, square_rest, COLUMNS);
}

INLINE void add_together(Columns *on, Group *group, Int c, Int n, int has_residual, int dtype) {
    if (dtype == FLOAT64) add_exact_columns(on, group, c, n, has_residual);
    else add_columns(on, group, c, n, has_residual, dtype);
}

/* Add plain rows to the shifted sums of every column. */
INLINE void add_rows(Columns *on, Stretch rows, int has_residual, int dtype) {
    Int width = on->tile.width, columns = LINE / size_of(dtype);
    Int full = width / columns * columns;
    for (Int first = 0; first < rows.rows; first += TOGETHER) {
        Group group = group_of(on, &rows, first, dtype);
        for (Int c = 0; c < full; c += columns)
            add_together(on, &group, c, columns, has_residual, dtype);
        if (full < width) add_together(on, &group, full, width - full, has_residual, dtype);
    }
}

INLINE void add_plain_rows(Columns *on, Int start, Int stop, int dtype) {
    while (start < stop) {
        Stretch rows = stretch(on, start, stop);
        if (on->call->residual != NULL) add_rows(on, rows, 1, dtype);
        else add_rows(on, rows, 0, dtype);
        start += rows.rows;
    }
}

/* Add one row, for any measure and mask. */
static void add_any_row(Columns *on, Place at) {
    const double *row = row_at(on, at);
    Int m = at.of[MASK], step = on->step.of[MASK];
    for (Int c = 0; c < on->tile.width; c++) {
        if (!counts(on->call->mask, m + c * step)) continue;
        double d = row[c] * on->unit[c] - on->pivot[c];
        on->seen[c] += 1.0;
        on->sum[c] += d;
        on->square[c] = with_element(on->square[c], d, on->measure);
    }
}

/* Add one row of float64 to sums that are pairs. */
static void add_exact_row(Columns *on, Place at) {
    const double *row = row_at(on, at);
    Int m = at.of[MASK], step = on->step.of[MASK];
    for (Int c = 0; c < on->tile.width; c++) {
        if (!counts(on->call->mask, m + c * step)) continue;
        add_element(row[c] * on->unit[c] - on->pivot[c], &on->sum[c], &on->sum_rest[c],
                    &on->square[c], &on->square_rest[c]);
        on->seen[c] += 1.0;
    }
}

/* The sums of the rows `start` to `stop` of every column. */
static void take_sums(Columns *on, Int start, Int stop) {
    Int width = on->tile.width;
    for (Int c = 0; c < width + MOST_COLUMNS; c++) {
        on->seen[c] = on->sum[c] = on->square[c] = 0.0;
        on->sum_rest[c] = on->square_rest[c] = 0.0;
    }
    if (on->plain) {
        FOR_DTYPE(on->call->dtype, add_plain_rows, on, start, stop)
        for (Int c = 0; c < width; c++) on->seen[c] = (double)(stop - start);
        return;
    }
    for (Int row = start; row < stop; row++) {
        Place at = stretch(on, row, stop).at;
        if (on->exact) add_exact_row(on, at);
        else add_any_row(on, at);
    }
}

/* ---- the shift of a chunk -------------------------------------------------------------------- */

/* The first element of every column that counts becomes its pivot. */
static void find_pivots(Columns *on, Int start, Int stop) {
    Int width = on->tile.width, missing = width, step = on->step.of[MASK];
    for (Int c = 0; c < width; c++) on->seen[c] = 0.0;
    for (Int r = start; r < stop && missing > 0; r++) {
        Place at = stretch(on, r, stop).at;
        const double *row = row_at(on, at);
        for (Int c = 0; c < width; c++) {
            if (on->seen[c] != 0.0 || !counts(on->call->mask, at.of[MASK] + c * step)) continue;
            on->pivot[c] = pivot_at(row[c]);
            on->seen[c] = 1.0;
            missing--;
        }
    }
}

/* The sums of a column of float64. */
INLINE Sums exact_sums(const Columns *on, Int c) {
    return (Sums){on->seen[c], pair(on->sum[c], on->sum_rest[c]),
                  pair(on->square[c], on->square_rest[c])};
}

/* Choose pivot and unit anew where sums of float64 cancelled or overflowed; whether any did. */
static int shifted_anew(Columns *on) {
    int any = 0;
    for (Int c = 0; c < on->tile.width; c++) {
        Shift shift = {on->unit[c], on->pivot[c]};
        Shift better = better_shift(exact_sums(on, c), shift, on->measure);
        any |= better.unit != shift.unit || better.pivot != shift.pivot;
        on->unit[c] = better.unit;
        on->pivot[c] = better.pivot;
    }
    return any;
}

/* ---- statistics ------------------------------------------------------------------------------ */

INLINE Statistics known_of(const Columns *on, Int c) {
    return (Statistics){on->count[c], {on->mean[c], on->mean_rest[c]},
                        {on->root[c], on->root_rest[c]}};
}

INLINE void set_known(Columns *on, Int c, Statistics found) {
    on->count[c] = found.n;
    on->mean[c] = found.mean.value;
    on->mean_rest[c] = found.mean.rest;
    on->root[c] = found.root.value;
    on->root_rest[c] = found.root.rest;
}

/* The statistics of two parts together. */
INLINE Statistics both(const Columns *on, Statistics one, Statistics other) {
    if (on->call->dtype == FLOAT64) return merged_exactly(one, other, on->measure);
    return merged(one, other, on->measure);
}

/* The statistics of columns after their first n rows of float64; if all are valid. */
static int ordinary_columns(Columns *on, double n) {
    Int odd = 0, width = on->tile.width;
    VECTORIZE
    for (Int c = 0; c < width; c++) {
        int valid;
        Statistics found = ordinary_statistics(exact_sums(on, c), on->measure, &valid);
        found.n = n;
        set_known(on, c, found);
        odd += !valid;
    }
    for (Int c = 0; c < (odd > 0 ? width : 0); c++) set_known(on, c, (Statistics){0});
    return odd == 0;
}

/* Merge the sums of a chunk into the statistics of every column. */
static void merge_sums(Columns *on) {
    for (Int c = 0; c < on->tile.width; c++) {
        Statistics found;
        if (on->call->dtype == FLOAT64)
            found = statistics_of_sums(exact_sums(on, c), (Shift){on->unit[c], on->pivot[c]},
                                       on->measure);
        else
            found = statistics_of(on->seen[c], on->sum[c], on->square[c], on->pivot[c],
                                  on->measure);
        set_known(on, c, both(on, known_of(on, c), found));
    }
}

/* Merge the sums of n2 plain rows into columns that have seen n rows. */
static void merge_plain_sums(Columns *on, double n, double n2) {
    Int width = on->tile.width;
    double *means = n == 0.0 ? on->mean : on->v, *roots = n == 0.0 ? on->root : on->d;
    means_and_roots(width, n2, on->sum, on->square, on->pivot, means, roots, on->measure);
    if (n > 0.0) merge_all(width, n, on->mean, on->root, n2, means, roots, on->measure);
    for (Int c = 0; c < width; c++) on->count[c] = n + n2;
}

/* Add the rows `start` to `stop` of sets that begin at row `begin` to what is known of columns. */
static void add_chunk(Columns *on, Int begin, Int start, Int stop) {
    for (Int c = 0; c < on->tile.width; c++) {
        on->unit[c] = 1.0;
        on->pivot[c] = 0.0;
    }
    int is_float64 = on->call->dtype == FLOAT64;
    if (is_around_mean(on->measure) && !is_float64) find_pivots(on, start, stop);
    take_sums(on, start, stop);
    if (on->plain && !on->exact) {
        merge_plain_sums(on, (double)(start - begin), (double)(stop - start));
        return;
    }
    if (on->exact && on->call->mask == NULL && start == begin &&
        ordinary_columns(on, (double)(stop - start)))
        return;
    while (is_float64 && shifted_anew(on)) take_sums(on, start, stop);
    merge_sums(on);
}

/* The statistics of the columns of set g together, where all have seen equally many rows of any
   input but float64: no square of it leaves the range of float64. */
static Statistics whole_of_even(const Columns *on, Int g, Int sets) {
    Int outer = on->tile.outer, inner = on->tile.inner;
    double columns = (double)(outer * inner);
    Lanes sum = 0.0, square = 0.0;
    for (Int f = 0; f < outer; f++)
        for (Int e = 0, first = (f * sets + g) * inner; e < inner; e += LANES)
            sum += next_lanes(on->mean + first + e, inner - e, 0.0);
    double mean = sum_of_lanes(sum) / columns;
    for (Int f = 0; f < outer; f++)
        for (Int e = 0, first = (f * sets + g) * inner; e < inner; e += LANES) {
            Lanes root = next_lanes(on->root + first + e, inner - e, 0.0);
            square += root * root;
            if (!is_around_mean(on->measure)) continue;
            Lanes apart = next_lanes(on->mean + first + e, inner - e, mean) - mean;
            square += apart * apart;
        }
    double n = on->count[g * inner] * columns;
    return (Statistics){n, exactly(mean), exactly(sqrt(sum_of_lanes(square) / columns))};
}

/* The statistics of the columns of set g together. */
static Statistics whole_of(const Columns *on, Int g, Int sets) {
    Statistics whole = {0};
    for (Int f = 0; f < on->tile.outer; f++)
        for (Int e = 0; e < on->tile.inner; e++)
            whole = both(on, whole, known_of(on, (f * sets + g) * on->tile.inner + e));
    return whole;
}

/* Give all columns of a set the statistics of the whole set. */
static void fold(Columns *on) {
    Int outer = on->tile.outer, inner = on->tile.inner;
    if (outer * inner == 1) return;
    Int sets = on->tile.width / (outer * inner);
    int even = on->plain && !on->exact;
    for (Int g = 0; g < sets; g++) {
        Statistics whole = even ? whole_of_even(on, g, sets) : whole_of(on, g, sets);
        for (Int f = 0; f < outer; f++)
            for (Int e = 0; e < inner; e++) set_known(on, (f * sets + g) * inner + e, whole);
    }
}

#endif
