/* Forward kernels for nests whose innermost loop is kept: neighbours belong to different sets.

   The columns of a tile (tile.h) are measured side by side, row after row, with one set of sums per
   column; the rows of a set are taken in chunks, merged in order. Columns may be *folded*: with
   (F, G, E) columns of a row, those that differ only in F and E belong to one set, merged at the
   end. What is known of columns is kept in scratch memory, from which the output is written.

   Rows that lie side by side, of which all elements count, are taken as they lie in memory: they
   are *plain*. All other rows, and those of float64, are first brought into a row of float64. */
#include "divisors.h"
#include "scaling.h"
#include "stream.h"
#include "tile.h"

/* Columns that are taken together are those of one line of memory; these are the most of any type.
   All that is known of them is in registers, for a few rows. */
#define MOST_COLUMNS (LINE / 2)
#define TOGETHER 8
/* Rows are fetched ahead if they leave room in the nearest cache for those that are at hand. */
#define FETCHED 8192

/* What is known of each column of a tile; the last ones may be taken together with none. */
typedef double Numbers[WIDEST + MOST_COLUMNS];

typedef struct {
    const ForwardCall *call;
    Tile tile;
    Place step;      /* from one column to the next */
    Place row_step;  /* from one row to the next */
    int measure;
    int exact;       /* whether sums are pairs: squares of float64 */
    int plain;       /* whether rows are */
    Int streams;     /* whether the output is written past the caches */
    Stream stream;
    Numbers count, mean, mean_rest, root, root_rest;            /* statistics */
    Numbers unit, pivot, seen, sum, sum_rest, square, square_rest; /* of a chunk */
    Numbers centre, centre_rest, rstd, rstd_rest;               /* what the output needs */
    Numbers factor, offset;                                     /* with the parameters */
    Numbers v, d, row;
} __attribute__((aligned(LINE))) Columns;

/* ---- rows of the input ----------------------------------------------------------------------- */

/* An element of the input: of x, or of x + residual, rounded as that sum would be. */
INLINE double input(const void *array, Int i, const void *residual, Int j, int dtype,
                    int has_residual) {
    double x = load(array, i, dtype);
    return has_residual ? rounded(x + load(residual, j, dtype), dtype) : x;
}

INLINE void bring_row(Columns *on, Place at, int dtype) {
    const ForwardCall *call = on->call;
    Int i = at.of[X], j = at.of[RESIDUAL], step = on->step.of[X], other = on->step.of[RESIDUAL];
    Int width = on->tile.width;
    if (call->residual != NULL)
        for (Int c = 0; c < width; c++)
            on->row[c] = input(call->x, i + c * step, call->residual, j + c * other, dtype, 1);
    else
        for (Int c = 0; c < width; c++) on->row[c] = load(call->x, i + c * step, dtype);
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

/* Lines of memory that will be read next, row after row. They are fetched in the order of memory,
   of which the processor itself fetches still more. */
typedef struct {
    uintptr_t line;
    Int lines, left; /* of a row; none if nothing is fetched */
    Int gap;         /* bytes from the end of a row to the next */
} Ahead;

/* The lines of the tile in rows from the element `first` on, which are `step` elements apart. */
INLINE Ahead ahead_of(const Columns *on, const void *array, Int first, Int step, int dtype) {
    Int lines = quotient_up(on->tile.width * size_of(dtype), LINE);
    if (lines * LINE * TOGETHER > FETCHED) lines = 0;
    Int gap = step * size_of(dtype) - lines * LINE;
    return (Ahead){address_of(array, first, dtype), lines, lines, gap};
}

INLINE void fetch_line(Ahead *ahead) {
    if (ahead->lines == 0) return;
    __builtin_prefetch((const void *)ahead->line);
    ahead->line += LINE;
    if (--ahead->left > 0) return;
    ahead->line += (uintptr_t)ahead->gap;
    ahead->left = ahead->lines;
}

/* Plain rows that are taken together, and those that follow. The arrays and steps are those of the
   call, which a compiler would otherwise read again after each store. */
typedef struct {
    const void *x, *residual;
    void *out;
    Place at, step;
    Int rows;
    Int followed; /* how many rows others follow, of this group or the next */
    Ahead next, next_residual;
    double scales[TOGETHER], biases[TOGETHER]; /* of each row, if they have their own */
} Group;

/* Rows of a stretch from row `first` on. */
INLINE Group group_of(const Columns *on, const Stretch *rows, Int first, int dtype) {
    const ForwardCall *call = on->call;
    Int step = on->row_step.of[X], other = on->row_step.of[RESIDUAL], left = rows->rows - first;
    Place at = moved(rows->at, on->row_step, first), next = moved(at, on->row_step, TOGETHER);
    return (Group){call->x, call->residual, call->out, at, on->row_step,
                   least(TOGETHER, left), left - 1,
                   ahead_of(on, call->x, next.of[X], step, dtype),
                   ahead_of(on, call->residual, next.of[RESIDUAL], other, dtype), {0}, {0}};
}

/* The last rows of a group, from a row of it on. */
INLINE Group last_rows(const Columns *on, Group group, Int row) {
    group.at = moved(group.at, on->row_step, row);
    group.rows -= row;
    group.followed -= row;
    return group;
}

/* The neighbours of a row of a group from column c on: n of them, those of a line at the most;
   meanwhile a line is fetched. Others that follow in memory may come along: all but the last row
   are followed by another. */
INLINE void bring(Group *group, Int row, Int c, Int n, double *values,
                  int has_residual, int dtype) {
    Int step = group->step.of[X], other = group->step.of[RESIDUAL];
    Int columns = LINE / size_of(dtype);
    Int i = group->at.of[X] + row * step + c, j = group->at.of[RESIDUAL] + row * other + c;
    fetch_line(&group->next);
    if (has_residual) fetch_line(&group->next_residual);
    int followed = row < group->followed && step >= columns && (!has_residual || other >= columns);
    if (n == columns || followed)
        for (int k = 0; k < columns; k++)
            values[k] = input(group->x, i + k, group->residual, j + k, dtype, has_residual);
    else
        for (int k = 0; k < columns; k++)
            values[k] = k < n ? input(group->x, i + k, group->residual, j + k, dtype, has_residual)
                              : 0.0;
}

/* Copy the numbers of some columns, into registers or back. */
INLINE void take_numbers(double *numbers, const double *from, int columns) {
    for (int k = 0; k < columns; k++) numbers[k] = from[k];
}

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

/* How plain rows are written: by factors and offsets of columns or, if `even`, each by one scale
   and one bias; all of this is constant. */
typedef struct {
    int even, has_residual, is_activated;
} Way;

/* Store n neighbours, which are a whole line of memory, or a part of one. */
INLINE void store_line(const char *line, void *out, Int o, Int n, Int streams, int dtype) {
    char *to = (char *)address_of(out, o, dtype);
    Int bytes = n * size_of(dtype), done = 0;
    if (bytes == LINE && streams) __builtin_nontemporal_store(*(const Line *)line, (Line *)to);
    else if (bytes == LINE) memcpy(to, line, LINE);
    else
        for (int part = LINE / 2; part >= size_of(dtype); part /= 2)
            if (bytes & part) {
                memcpy(to + done, line + done, (size_t)part);
                done += part;
            }
}

/* What the output of columns needs. */
typedef struct {
    double unit[MOST_COLUMNS], centre[MOST_COLUMNS], centre_rest[MOST_COLUMNS];
    double rstd[MOST_COLUMNS], rstd_rest[MOST_COLUMNS];
    double factor[MOST_COLUMNS], offset[MOST_COLUMNS];
} Needed;

/* Column k of a row, whose scale and bias are given if it has its own; without the activation. */
INLINE double output(const Needed *by, int k, double x, double scale, double bias, int even,
                     int dtype) {
    if (!even) bias = by->offset[k];
    if (dtype != FLOAT64) {
        double d = x - by->centre[k];
        return even ? d * (by->rstd[k] * scale) + bias : d * by->factor[k] + bias;
    }
    Pair centre = {by->centre[k], by->centre_rest[k]}, rstd = {by->rstd[k], by->rstd_rest[k]};
    return normalized_along(x * by->unit[k], centre, rstd, even ? scale : by->factor[k], bias);
}

/* Write n columns of a group. */
INLINE void write_together(Columns *on, Group *group, Int c, Int n, Way way, int dtype) {
    int columns = LINE / size_of(dtype);
    double x[MOST_COLUMNS], slope = on->call->slope;
    Int streams = on->streams;
    Needed by;
    take_numbers(by.unit, on->unit + c, columns);
    take_numbers(by.centre, on->centre + c, columns);
    take_numbers(by.centre_rest, on->centre_rest + c, columns);
    take_numbers(by.rstd, on->rstd + c, columns);
    take_numbers(by.rstd_rest, on->rstd_rest + c, columns);
    take_numbers(by.factor, on->factor + c, columns);
    take_numbers(by.offset, on->offset + c, columns);
    for (Int row = 0; row < group->rows; row++) {
        char line[LINE] __attribute__((aligned(LINE)));
        Int o = group->at.of[OUT] + row * group->step.of[OUT] + c;
        double scale = way.even ? group->scales[row] : 1.0;
        double bias = way.even ? group->biases[row] : 0.0;
        bring(group, row, c, n, x, way.has_residual, dtype);
        for (int k = 0; k < columns; k++) {
            double y = output(&by, k, x[k], scale, bias, way.even, dtype);
            store(line, k, activated(y, slope, way.is_activated), dtype);
        }
        store_line(line, group->out, o, n, streams, dtype);
    }
}

/* Whether rows are one run of memory, in which whole lines may go on into the next row: what is
   known of its first columns is noted beyond the last ones too. */
INLINE int run_on(Columns *on, Way way, int dtype) {
    const Int *step = on->row_step.of;
    Int width = on->tile.width;
    if (way.even || step[X] != width || step[OUT] != width || width * size_of(dtype) % LINE != 0 ||
        (way.has_residual && step[RESIDUAL] != width))
        return 0;
    double *numbers[] = {on->unit, on->centre, on->centre_rest, on->rstd,
                         on->rstd_rest, on->factor, on->offset};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        take_numbers(numbers[i] + width, numbers[i], LINE / size_of(dtype));
    return 1;
}

/* The parameters of rows that have their own. */
INLINE void find_parameters(const Columns *on, Group *group) {
    const ForwardCall *call = on->call;
    for (Int row = 0; row < group->rows; row++) {
        Place at = moved(group->at, on->row_step, row);
        group->scales[row] = parameter_at(call, call->scale, at.of[SCALE]);
        group->biases[row] = parameter_at(call, call->bias, at.of[BIAS]);
    }
}

/* Write plain rows, in whole lines of the output but where these begin and end. */
INLINE void write_rows(Columns *on, Stretch rows, Way way, int dtype) {
    Int width = on->tile.width, columns = LINE / size_of(dtype);
    Int past = past_line(on->call->out, rows.at.of[OUT], dtype);
    Int start = past > 0 ? least(columns - past, width) : 0;
    Int stop = start + (width - start) / columns * columns;
    int runs_on = run_on(on, way, dtype);
    for (Int first = 0; first < rows.rows; first += TOGETHER) {
        Group group = group_of(on, &rows, first, dtype);
        if (way.even) find_parameters(on, &group);
        Group begin = group;
        if (runs_on) begin.rows = first == 0;
        if (start > 0 && begin.rows > 0) write_together(on, &begin, 0, start, way, dtype);
        for (Int c = start; c < stop; c += columns)
            write_together(on, &group, c, columns, way, dtype);
        if (stop == width) continue;
        if (runs_on) {
            Group whole = group;
            whole.rows = least(group.rows, group.followed);
            write_together(on, &whole, stop, columns, way, dtype);
            group = last_rows(on, group, whole.rows);
        }
        write_together(on, &group, stop, width - stop, way, dtype);
    }
}

INLINE void write_plain_rows(Columns *on, Stretch rows, int even, int dtype) {
    int has_residual = on->call->residual != NULL, is_activated = on->call->activated != 0;
    if (even && has_residual && is_activated) write_rows(on, rows, (Way){1, 1, 1}, dtype);
    else if (even && has_residual) write_rows(on, rows, (Way){1, 1, 0}, dtype);
    else if (even && is_activated) write_rows(on, rows, (Way){1, 0, 1}, dtype);
    else if (even) write_rows(on, rows, (Way){1, 0, 0}, dtype);
    else if (has_residual && is_activated) write_rows(on, rows, (Way){0, 1, 1}, dtype);
    else if (has_residual) write_rows(on, rows, (Way){0, 1, 0}, dtype);
    else if (is_activated) write_rows(on, rows, (Way){0, 0, 1}, dtype);
    else write_rows(on, rows, (Way){0, 0, 0}, dtype);
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

/* Whether rows can be written line by line: they are plain, all columns have elements that count,
   and streamed rows have their lines in the same places. */
static int is_written_by_lines(const Columns *on) {
    Int bytes = on->row_step.of[OUT] * size_of((int)on->call->dtype);
    if (!on->plain || on->step.of[OUT] != 1 || (on->streams && bytes % LINE != 0)) return 0;
    for (Int c = 0; c < on->tile.width; c++)
        if (on->seen[c] == 0.0) return 0;
    return 1;
}

/* Write the output of the rows `start` to `stop`. */
static void write_columns(Columns *on, Int start, Int stop) {
    int fixed = has_fixed_parameters(&on->call->cut), by_lines = is_written_by_lines(on);
    int even = !fixed && by_lines && on->step.of[SCALE] == 0 && on->step.of[BIAS] == 0;
    if (fixed) set_factors(on, on->tile.at);
    while (start < stop) {
        Stretch rows = stretch(on, start, stop);
        if (!by_lines || !(fixed || even)) rows.rows = 1;
        if (!fixed && !even) set_factors(on, rows.at);
        if (by_lines) FOR_DTYPE(on->call->dtype, write_plain_rows, on, rows, even)
        else write_any_row(on, rows.at);
        start += rows.rows;
    }
}

/* ---- kernels --------------------------------------------------------------------------------- */

static void open_columns(Columns *on, const ForwardCall *call, int streams) {
    on->call = call;
    on->step = innermost(&call->cut).step;
    on->row_step = row_loop(&call->cut).step;
    on->measure = measure_of(call->formula);
    on->exact = call->dtype == FLOAT64 && is_square(on->measure);
    on->plain = call->mask == NULL && is_square(on->measure) && on->step.of[X] == 1 &&
                (call->residual == NULL || on->step.of[RESIDUAL] == 1);
    on->streams = streams;
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
    Int rows = rows_of(cut);
    Columns on;
    open_columns(&on, call, call->streams != 0);
    for (Int item = take(counter); item < cut->items; item = take(counter)) {
        Int number, position = run_at(item, tiles_of(cut), &number);
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
