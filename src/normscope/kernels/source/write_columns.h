/* Columns: from what is known of their statistics sets to their output. */
#ifndef NORMSCOPE_WRITE_COLUMNS_H
#define NORMSCOPE_WRITE_COLUMNS_H

#include "measure_columns.h"

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
            store(line, k, way.is_activated ? leaky(y, slope) : y, dtype);
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
    int type = (int)call->parameter_dtype;
    for (Int row = 0; row < group->rows; row++) {
        Place at = moved(group->at, on->row_step, row);
        group->scales[row] = load_parameter(call->scale, at.of[SCALE], type);
        group->biases[row] = load_parameter(call->bias, at.of[BIAS], type);
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
        y[c] = is_activated ? leaky(value, slope) : value;
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

#endif
