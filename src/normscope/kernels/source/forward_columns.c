/* Forward kernels for nests whose innermost loop is kept: neighbours belong to different sets.

   The columns of a tile (tile.h) are measured side by side, row after row, with one set of sums per
   column; the rows of a set are taken in chunks, merged in order. Columns may be *folded*: with
   (F, G, E) columns of a row, those that differ only in F and E belong to one set, and are merged at
   the end. What is known of columns is kept in scratch memory, from which the output is written.

   Rows that lie side by side, of which all elements count, are taken as they lie in memory: they are
   *plain*. All other rows, and those of float64, are first brought into a row of float64. */
#include "divisors.h"
#include "scaling.h"
#include "stream.h"
#include "tile.h"

/* What is known of each column of a tile. */
typedef double Numbers[WIDEST];

typedef struct {
    const ForwardCall *call;
    Tile tile;
    Place step;      /* from one column to the next */
    Place row_step;  /* from one row to the next */
    int measure;
    int exact;       /* whether sums are pairs: squares of float64 */
    int plain;       /* whether rows are; not if they are of float64 */
    Stream stream;
    Numbers count, mean, mean_rest, root, root_rest;            /* statistics */
    Numbers unit, pivot, seen, sum, sum_rest, square, square_rest; /* of a chunk */
    Numbers centre, centre_rest, rstd, rstd_rest;               /* what the output needs */
    Numbers factor, offset;                                     /* with the parameters */
    Numbers v, d, row;
} __attribute__((aligned(LINE))) Columns;

/* ---- rows of the input ----------------------------------------------------------------------- */

/* An element of the input: of x, or of x + residual, rounded as that sum would be. */
INLINE double input(const ForwardCall *call, Int i, Int j, int dtype, int has_residual) {
    double x = load(call->x, i, dtype);
    return has_residual ? rounded(x + load(call->residual, j, dtype), dtype) : x;
}

INLINE void bring_row(Columns *on, Place at, int dtype) {
    const ForwardCall *call = on->call;
    Int i = at.of[X], j = at.of[RESIDUAL], step = on->step.of[X], other = on->step.of[RESIDUAL];
    Int width = on->tile.width;
    if (call->residual != NULL)
        for (Int c = 0; c < width; c++)
            on->row[c] = input(call, i + c * step, j + c * other, dtype, 1);
    else
        for (Int c = 0; c < width; c++) on->row[c] = input(call, i + c * step, 0, dtype, 0);
}

/* The columns of the row at a place, as float64. */
static const double *row_at(Columns *on, Place at) {
    const ForwardCall *call = on->call;
    if (call->dtype == FLOAT64 && call->residual == NULL && on->step.of[X] == 1)
        return (const double *)call->x + at.of[X];
    FOR_DTYPE(call->dtype, bring_row, on, at)
    return on->row;
}

/* The longest stretch of rows from `start` on that ends before `stop`. */
static Stretch stretch(const Columns *on, Int start, Int stop) {
    return stretch_at(&on->call->cut, &on->tile, start, stop);
}

/* ---- sums of a chunk ------------------------------------------------------------------------- */

/* Add plain rows to the shifted sums of every column. The sums are touched once for eight rows. */
INLINE void add_rows(Columns *on, Stretch rows, int dtype, int has_residual) {
    SUMS;
    const ForwardCall *call = on->call;
    Int step = on->row_step.of[X], other = on->row_step.of[RESIDUAL], width = on->tile.width;
    double *sum = on->sum, *square = on->square;
    for (Int row = 0, many; row < rows.rows; row += many) {
        Int i = rows.at.of[X] + row * step, j = rows.at.of[RESIDUAL] + row * other;
        many = rows.rows - row >= 8 ? 8 : 1;
        if (many == 8) {
            for (Int c = 0; c < width; c++) {
                double s = 0.0, q = 0.0;
                for (int k = 0; k < 8; k++) {
                    double x = input(call, i + k * step + c, j + k * other + c, dtype, has_residual);
                    double d = x - on->pivot[c];
                    s += d;
                    q += d * d;
                }
                sum[c] += s;
                square[c] += q;
            }
        } else {
            VECTORIZE
            for (Int c = 0; c < width; c++) {
                double d = input(call, i + c, j + c, dtype, has_residual) - on->pivot[c];
                sum[c] += d;
                square[c] += d * d;
            }
        }
    }
}

INLINE void add_plain_rows(Columns *on, Int start, Int stop, int dtype) {
    while (start < stop) {
        Stretch rows = stretch(on, start, stop);
        if (on->call->residual != NULL) add_rows(on, rows, dtype, 1);
        else add_rows(on, rows, dtype, 0);
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
    const uint8_t *mask = on->call->mask;
    Int m = at.of[MASK], step = on->step.of[MASK];
    if (mask == NULL) {
        VECTORIZE
        for (Int c = 0; c < on->tile.width; c++) {
            add_element(row[c] * on->unit[c] - on->pivot[c], &on->sum[c], &on->sum_rest[c],
                        &on->square[c], &on->square_rest[c]);
            on->seen[c] += 1.0;
        }
        return;
    }
    for (Int c = 0; c < on->tile.width; c++) {
        if (!counts(mask, m + c * step)) continue;
        add_element(row[c] * on->unit[c] - on->pivot[c], &on->sum[c], &on->sum_rest[c],
                    &on->square[c], &on->square_rest[c]);
        on->seen[c] += 1.0;
    }
}

/* The sums of the rows `start` to `stop` of every column. */
static void take_sums(Columns *on, Int start, Int stop) {
    Int width = on->tile.width;
    for (Int c = 0; c < width; c++) {
        on->seen[c] = on->sum[c] = on->square[c] = 0.0;
        on->sum_rest[c] = on->square_rest[c] = 0.0;
    }
    if (on->plain) {
        FOR_DTYPE(on->call->dtype, add_plain_rows, on, start, stop)
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
    if (on->plain) {
        merge_plain_sums(on, (double)(start - begin), (double)(stop - start));
        return;
    }
    if (on->exact && on->call->mask == NULL && start == begin &&
        ordinary_columns(on, (double)(stop - start)))
        return;
    while (is_float64 && shifted_anew(on)) take_sums(on, start, stop);
    merge_sums(on);
}

/* Give all columns of a set the statistics of the whole set. */
static void fold(Columns *on) {
    Int outer = on->tile.outer, inner = on->tile.inner;
    if (outer * inner == 1) return;
    Int sets = on->tile.width / (outer * inner);
    for (Int g = 0; g < sets; g++) {
        Statistics whole = {0};
        for (Int f = 0; f < outer; f++)
            for (Int e = 0; e < inner; e++)
                whole = both(on, whole, known_of(on, (f * sets + g) * inner + e));
        for (Int f = 0; f < outer; f++)
            for (Int e = 0; e < inner; e++) set_known(on, (f * sets + g) * inner + e, whole);
    }
}

/* ---- what the output needs ------------------------------------------------------------------- */

static void set_scaling(Columns *on, Int c, double count, Scaling scaling) {
    on->seen[c] = count;
    on->unit[c] = scaling.unit;
    on->centre[c] = scaling.centre.value;
    on->centre_rest[c] = scaling.centre.rest;
    on->rstd[c] = scaling.factor.value;
    on->rstd_rest[c] = scaling.factor.rest;
}

/* Find v, D and the scaling of ordinary columns of float64; if all are valid. */
static int exact_scalings(Columns *on, double n) {
    const Formula *formula = on->call->formula;
    Pair share = exact_share_of(n, formula);
    Int odd = 0;
    VECTORIZE
    for (Int c = 0; c < on->tile.width; c++) {
        int valid;
        Pair root = {on->root[c], on->root_rest[c]};
        Pair d = ordinary_divisor(root, share, formula, &on->v[c], &valid);
        Pair rstd = inverse_of(d);
        on->d[c] = d.value;
        on->centre[c] = formula->center != 0.0 ? on->mean[c] : 0.0;
        on->centre_rest[c] = formula->center != 0.0 ? on->mean_rest[c] : 0.0;
        on->rstd[c] = rstd.value;
        on->rstd_rest[c] = rstd.rest;
        odd += !(valid & (root.value >= 1e-140) & (root.value <= 1e140));
    }
    return odd == 0;
}

/* Find v, D and the scaling of all columns at once; if they can be. */
static int all_scalings(Columns *on) {
    Int width = on->tile.width;
    if (on->call->mask != NULL || !is_square(on->measure)) return 0;
    if (on->call->dtype != FLOAT64)
        find_all_divisors(width, on->count[0], on->mean, on->root, on->call->formula,
                          (Divisors){on->v, on->d, on->centre, on->rstd});
    else if (!exact_scalings(on, on->count[0]))
        return 0;
    for (Int c = 0; c < width; c++) {
        on->unit[c] = 1.0;
        on->seen[c] = on->count[0];
    }
    return 1;
}

/* Find v, D and the scaling of columns one by one. */
static void each_scaling(Columns *on, int dtype) {
    const Formula *formula = on->call->formula;
    for (Int c = 0; c < on->tile.width; c++) {
        Statistics found = known_of(on, c);
        Pair d = divisor_of(found, formula, &on->v[c], dtype);
        on->d[c] = d.value;
        set_scaling(on, c, found.n, scaling_of(found.mean, d, formula, dtype));
    }
}

/* From the statistics of columns: what their output needs, and the statistics that are wanted. */
static void use_statistics(Columns *on) {
    if (!all_scalings(on)) {
        if (on->call->dtype == FLOAT64) each_scaling(on, FLOAT64);
        else each_scaling(on, FLOAT32);
    }
    if (on->call->statistics == NULL) return;
    for (Int c = 0; c < on->tile.width; c++)
        write_statistics(on->call, set_of(&on->tile, c), on->seen[c], on->mean[c], on->v[c],
                         on->d[c]);
}

/* From statistics that are given: what the output of columns needs. */
static void use_given(Columns *on) {
    int dtype = on->call->dtype == FLOAT64 ? FLOAT64 : FLOAT32;
    for (Int c = 0; c < on->tile.width; c++) {
        Int set = set_of(&on->tile, c);
        set_scaling(on, c, given_count(on->call, set), given_scaling(on->call, set, dtype));
    }
}

/* ---- parameters ------------------------------------------------------------------------------ */

INLINE void spread(double *to, const void *from, Int first, Int step, Int span, Int width,
                   int dtype) {
    for (Int c = 0; c < width; c += span)
        for (Int k = 0; k < span; k++) to[c + k] = load(from, first + k * step, dtype);
}

/* A parameter along a row, from the place of the first column on. */
static void parameter_along(const Columns *on, const void *from, Place at, int which, double *to) {
    Int first = at.of[which], step = on->step.of[which];
    if (on->call->parameter_dtype == FLOAT64)
        spread(to, from, first, step, span_of(&on->tile), on->tile.width, FLOAT64);
    else
        spread(to, from, first, step, span_of(&on->tile), on->tile.width, FLOAT32);
}

/* What the columns of a row are multiplied by, and what is added. Factors of float64, of which rstd
   is a pair, are the scale alone. */
static void set_factors(Columns *on, Place at) {
    parameter_along(on, on->call->scale, at, SCALE, on->factor);
    parameter_along(on, on->call->bias, at, BIAS, on->offset);
    if (on->call->dtype == FLOAT64) return;
    for (Int c = 0; c < on->tile.width; c++) on->factor[c] *= on->rstd[c];
}

/* ---- rows of the output ---------------------------------------------------------------------- */

/* LeakyReLU. ReLU cuts first: 0 * -inf would be NaN. */
INLINE double activated(double y, double slope, int is_activated) {
    double least = slope == 0.0 ? 0.0 : -INFINITY;
    return !is_activated || y > 0.0 ? y : (y < least ? least : y) * slope;
}

/* The number of a parameter at a place. */
static double parameter_at(const ForwardCall *call, const void *from, Int place) {
    if (call->parameter_dtype == FLOAT64) return load(from, place, FLOAT64);
    return load(from, place, FLOAT32);
}

/* Write plain rows: by factors and offsets, or, if `even`, each by one scale and one bias. */
INLINE void write_rows(Columns *on, Stretch rows, int even, int has_residual, int is_activated,
                       int dtype) {
    const ForwardCall *call = on->call;
    Int width = on->tile.width;
    double slope = call->slope;
    for (Int row = 0; row < rows.rows; row++) {
        Place at = moved(rows.at, on->row_step, row);
        double scale = even ? parameter_at(call, call->scale, at.of[SCALE]) : 1.0;
        double bias = even ? parameter_at(call, call->bias, at.of[BIAS]) : 0.0;
        Room to = room(&on->stream, call->out, at.of[OUT], 1, width, dtype);
        VECTORIZE
        for (Int c = 0; c < width; c++) {
            double d = input(call, at.of[X] + c, at.of[RESIDUAL] + c, dtype, has_residual);
            d -= on->centre[c];
            double y = even ? d * (on->rstd[c] * scale) + bias : d * on->factor[c] + on->offset[c];
            store(to.array, to.index + c, activated(y, slope, is_activated), dtype);
        }
    }
}

INLINE void write_plain_rows(Columns *on, Stretch rows, int even, int dtype) {
    int has_residual = on->call->residual != NULL, is_activated = on->call->activated != 0;
    if (even && has_residual && is_activated) write_rows(on, rows, 1, 1, 1, dtype);
    else if (even && has_residual) write_rows(on, rows, 1, 1, 0, dtype);
    else if (even && is_activated) write_rows(on, rows, 1, 0, 1, dtype);
    else if (even) write_rows(on, rows, 1, 0, 0, dtype);
    else if (has_residual && is_activated) write_rows(on, rows, 0, 1, 1, dtype);
    else if (has_residual) write_rows(on, rows, 0, 1, 0, dtype);
    else if (is_activated) write_rows(on, rows, 0, 0, 1, dtype);
    else write_rows(on, rows, 0, 0, 0, dtype);
}

/* What the output is before it is rounded, of a row at a place. */
INLINE void normalize_row(Columns *on, const double *row, double *y, int is_float64) {
    const ForwardCall *call = on->call;
    int is_activated = call->activated != 0;
    double slope = call->slope;
    VECTORIZE
    for (Int c = 0; c < on->tile.width; c++) {
        double x = row[c] * on->unit[c], offset = on->offset[c], value;
        if (is_float64)
            value = normalized_along(x, (Pair){on->centre[c], on->centre_rest[c]},
                                     (Pair){on->rstd[c], on->rstd_rest[c]}, on->factor[c], offset);
        else
            value = (x - on->centre[c]) * on->factor[c] + offset;
        value = on->seen[c] > 0.0 ? value : offset;
        y[c] = activated(value, slope, is_activated);
    }
}

INLINE void store_row(Columns *on, Place at, int dtype) {
    Int step = on->step.of[OUT], width = on->tile.width;
    Room to = room(&on->stream, on->call->out, at.of[OUT], step, width, dtype);
    VECTORIZE
    for (Int c = 0; c < width; c++) store(to.array, to.index + c * step, on->row[c], dtype);
}

/* Write one row, which may be of any kind. */
static void write_any_row(Columns *on, Place at) {
    const double *row = row_at(on, at);
    if (on->call->dtype == FLOAT64) normalize_row(on, row, on->row, 1);
    else normalize_row(on, row, on->row, 0);
    FOR_DTYPE(on->call->dtype, store_row, on, at)
}

/* Write the output of the rows `start` to `stop`: see BLOCK. */
static void write_columns(Columns *on, Int start, Int stop) {
    const Cut *cut = &on->call->cut;
    int fixed = has_fixed_parameters(cut), plain = on->plain && on->step.of[OUT] == 1;
    int even = !fixed && on->step.of[SCALE] == 0 && on->step.of[BIAS] == 0;
    for (Int c = 0; c < on->tile.width; c++) plain &= on->seen[c] > 0.0;
    if (fixed) set_factors(on, on->tile.at);
    for (Int block = start + (stop - start - 1) / BLOCK * BLOCK; block >= start; block -= BLOCK) {
        Int end = least(block + BLOCK, stop);
        for (Int row = block; row < end;) {
            Stretch rows = stretch(on, row, end);
            if (!plain || !(fixed || even)) rows.rows = 1;
            if (!fixed && !(plain && even)) set_factors(on, rows.at);
            if (plain) FOR_DTYPE(on->call->dtype, write_plain_rows, on, rows, even)
            else write_any_row(on, rows.at);
            row += rows.rows;
        }
    }
}

/* ---- kernels --------------------------------------------------------------------------------- */

static void open_columns(Columns *on, const ForwardCall *call, int streams) {
    on->call = call;
    on->step = innermost(&call->cut).step;
    on->row_step = row_loop(&call->cut).step;
    on->measure = measure_of(call->formula);
    on->exact = call->dtype == FLOAT64 && is_square(on->measure);
    on->plain = call->mask == NULL && is_square(on->measure) && call->dtype != FLOAT64 &&
                on->step.of[X] == 1 && (call->residual == NULL || on->step.of[RESIDUAL] == 1);
    open_stream(&on->stream, streams);
}

/* By how many columns tiles must begin earlier, to begin cache lines of the output's first row. A
   line that two tiles share is written twice, each time in part, for which it has to be read; rows
   that are whole lines long then share none. */
static Int lead_of(const ForwardCall *call, Int position) {
    const Cut *cut = &call->cut;
    if (innermost(cut).step.of[OUT] != 1 || cut->outer * cut->inner > 1) return 0;
    Int first = offsets(cut->nest, 0, cut->kept, position).of[OUT];
    Int size = size_of((int)call->dtype);
    return (Int)(((uintptr_t)call->out + (uintptr_t)(first * size)) % LINE) / size;
}

/* How many rows a tile has. */
static Int rows_of(const Cut *cut) { return positions_of(cut->nest, cut->kept, cut->loops - 1); }

/* Measure all rows of a tile and write its output, while it is in cache. An item is one tile. */
EXPORT void forward_columns_normalize(const void *given, Int *counter) {
    const ForwardCall *call = given;
    const Cut *cut = &call->cut;
    Int positions = positions_of(cut->nest, 0, cut->kept), rows = rows_of(cut);
    Columns on;
    open_columns(&on, call, call->streams != 0);
    for (Int item = take(counter); item < cut->items; item = take(counter)) {
        Int position; /* neighbouring tiles share cache lines: they are not written at once */
        Int number = run_at(item, positions, &position);
        on.tile = tile_of(cut, position, number, lead_of(call, position));
        for (Int c = 0; c < on.tile.width; c++) set_known(&on, c, (Statistics){0});
        for (Int start = 0; start < rows; start += cut->chunk)
            add_chunk(&on, 0, start, least(start + cut->chunk, rows));
        fold(&on);
        use_statistics(&on);
        write_columns(&on, 0, rows);
    }
    close_stream(&on.stream);
}

/* A chunk of rows of a tile. */
typedef struct {
    Int position, number, chunk, start, stop;
} Chunk;

static Chunk chunk_of(const Cut *cut, Int item, Int chunks) {
    Chunk found;
    Int tile = run_at(item, chunks, &found.chunk);
    found.position = run_at(tile, tiles_of(cut), &found.number);
    found.start = found.chunk * cut->chunk;
    found.stop = least(found.start + cut->chunk, rows_of(cut));
    return found;
}

/* Measure the columns of chunks of rows, not yet folded. An item is one chunk of one tile. */
EXPORT void forward_columns_measure(const void *given, Int *counter) {
    const ForwardCall *call = given;
    const Cut *cut = &call->cut;
    Int rows = call->partial_rows, columns = call->partial_columns;
    Columns on;
    open_columns(&on, call, 0);
    for (Int item = take(counter); item < cut->items; item = take(counter)) {
        Chunk chunk = chunk_of(cut, item, cut->chunks);
        on.tile = tile_of(cut, chunk.position, chunk.number, 0);
        for (Int c = 0; c < on.tile.width; c++) set_known(&on, c, (Statistics){0});
        add_chunk(&on, chunk.start, chunk.start, chunk.stop);
        Int first = chunk.position * innermost(cut).size + chunk.number * cut->tile;
        for (Int c = 0; c < on.tile.width; c++)
            write_partial(call->partials + chunk.chunk * rows * columns, rows, columns, first + c,
                          known_of(&on, c));
    }
}

/* Write the output, from statistics. An item is one chunk of rows of one tile. */
EXPORT void forward_columns_apply(const void *given, Int *counter) {
    const ForwardCall *call = given;
    const Cut *cut = &call->cut;
    Columns on;
    open_columns(&on, call, call->streams != 0);
    for (Int item = take(counter); item < cut->items; item = take(counter)) {
        Chunk chunk = chunk_of(cut, item, quotient_up(rows_of(cut), cut->chunk));
        on.tile = tile_of(cut, chunk.position, chunk.number, lead_of(call, chunk.position));
        use_given(&on);
        write_columns(&on, chunk.start, chunk.stop);
    }
    close_stream(&on.stream);
}
