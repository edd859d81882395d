/* Sums for the gradients of scale and bias: sum(dy) and sum(dy * (x - mean) * rstd).

   The nest keeps the axes of the parameter and shares all others: nothing is written along it and
   no mask is read, its place SET counts parameters, and MEANS and RSTDS are the statistics. */
#include "lanes.h"
#include "nest.h"

/* Rows that are added at once, for the sums fill more memory than a row. */
#define AT_ONCE 4

EXPORT Kernel parameter_rows, parameter_columns;

/* The sums of dy, and of dy * (x - mean) * rstd. */
typedef struct {
    double plain, along;
} Both;

/* The sums of a run of neighbours, at least LANES, of one statistics set. */
INLINE Both sums_of_neighbours(const ParameterCall *call, Place at, Int n, int dtype) {
    Int e = 0;
    double mean = call->means[at.of[MEANS]];
    Lanes plain = 0.0, along = 0.0;
    for (; e + LANES <= n; e += LANES) {
        Lanes dy = load_lanes(call->dy, at.of[DY] + e, dtype);
        plain += dy;
        along += dy * (load_lanes(call->x, at.of[X] + e, dtype) - mean);
    }
    if (e < n) {
        Chosen chosen = last_lanes(n - e);
        Lanes dy = only(chosen, load_lanes(call->dy, at.of[DY] + n - LANES, dtype));
        plain += dy;
        along += dy * only(chosen, load_lanes(call->x, at.of[X] + n - LANES, dtype) - mean);
    }
    return (Both){sum_of_lanes(plain), sum_of_lanes(along) * call->rstds[at.of[RSTDS]]};
}

/* The sums of a run of any strides. */
INLINE Both sums_of_any_run(const ParameterCall *call, Place from, Place step, Int n, int dtype) {
    SUMS;
    double plain = 0.0, along = 0.0;
    for (Int e = 0; e < n; e++) {
        Place at = moved(from, step, e);
        double dy = load(call->dy, at.of[DY], dtype);
        double d = load(call->x, at.of[X], dtype) - call->means[at.of[MEANS]];
        plain += dy;
        along += dy * d * call->rstds[at.of[RSTDS]];
    }
    return (Both){plain, along};
}

/* The sums of the elements `start` to `stop` of the parameter that begins at a place. */
INLINE void sum_part(const ParameterCall *call, Place begin, Int start, Int stop, Both *sums,
                     int dtype) {
    const Cut *cut = &call->cut;
    Loop last = innermost(cut);
    const Int *step = last.step.of;
    int even = step[X] == 1 && step[DY] == 1 && step[MEANS] == 0 && step[RSTDS] == 0;
    Int e, run = run_at(start, last.size, &e);
    for (Int n; start < stop; start += n, run++, e = 0) {
        n = least(last.size - e, stop - start);
        Place at = moved(begin, offsets(cut->nest, cut->kept, cut->loops - 1, run), 1);
        at = moved(at, last.step, e);
        Both of_run = even && n >= LANES ? sums_of_neighbours(call, at, n, dtype)
                                         : sums_of_any_run(call, at, last.step, n, dtype);
        sums->plain += of_run.plain;
        sums->along += of_run.along;
    }
}

/* An item is one chunk of one parameter. */
void parameter_rows(const void *given, Items *items) {
    const ParameterCall *call = given;
    const Cut *cut = &call->cut;
    Int size = positions_of(cut->nest, cut->kept, cut->loops), chunk;
    for (Int item; (item = take(items)) >= 0;) {
        Place begin = offsets(cut->nest, 0, cut->kept, run_at(item, cut->chunks, &chunk));
        Int start = chunk * CHUNK, stop = least(start + CHUNK, size);
        Both sums = {0.0, 0.0};
        FOR_DTYPE(call->dtype, sum_part, call, begin, start, stop, &sums);
        double *parts = call->parts + 2 * chunk * call->columns + begin.of[SET];
        parts[0] = sums.plain;
        parts[call->columns] = sums.along;
    }
}

/* Neighbouring columns, and scratch memory for their sums. */
typedef struct {
    Place at;
    Int width;
    Int span; /* columns after which the statistics begin anew: those of a set lie apart */
    double plain[WIDEST], along[WIDEST];
} Columns;

/* Adds the chosen of LANES columns, from c on, of rows whose columns are neighbours. */
INLINE void add_lanes(const ParameterCall *call, Columns *columns, const Place *at, Int c,
                      Chosen chosen, int rows, int own, int dtype) {
    Lanes plain = 0.0, along = 0.0;
    for (int r = 0; r < rows; r++) {
        Lanes mean = call->means[at[r].of[MEANS]], rstd = call->rstds[at[r].of[RSTDS]];
        if (own) {
            mean = load_lanes(call->means, at[r].of[MEANS] + c, FLOAT64);
            rstd = load_lanes(call->rstds, at[r].of[RSTDS] + c, FLOAT64);
        }
        Lanes dy = only(chosen, load_lanes(call->dy, at[r].of[DY] + c, dtype));
        Lanes d = only(chosen, load_lanes(call->x, at[r].of[X] + c, dtype) - mean);
        plain += dy;
        along += dy * (d * rstd);
    }
    add_lanes_to(columns->plain + c, plain);
    add_lanes_to(columns->along + c, along);
}

/* Adds rows whose columns are neighbours, at least LANES. A row has one mean and rstd, or each of
   its columns has its own. */
INLINE void add_neighbours(const ParameterCall *call, Columns *columns, const Place *at, int rows,
                           int own, int dtype) {
    Int c = 0, width = columns->width;
    for (; c + LANES <= width; c += LANES)
        add_lanes(call, columns, at, c, ALL_LANES, rows, own, dtype);
    if (c < width)
        add_lanes(call, columns, at, width - LANES, last_lanes(width - c), rows, own, dtype);
}

/* Adds a row of any strides. */
INLINE void add_any_row(const ParameterCall *call, Columns *columns, Place at, Place step,
                        int dtype) {
    for (Int c = 0; c < columns->width; c++) {
        Int s = c % columns->span;
        double dy = load(call->dy, at.of[DY] + c * step.of[DY], dtype);
        double d = load(call->x, at.of[X] + c * step.of[X], dtype) -
                   call->means[at.of[MEANS] + s * step.of[MEANS]];
        columns->plain[c] += dy;
        columns->along[c] += dy * d * call->rstds[at.of[RSTDS] + s * step.of[RSTDS]];
    }
}

/* Adds the rows `row` to `stop` to the sums of every column. */
INLINE void add_rows(const ParameterCall *call, Columns *columns, Int row, Int stop, int dtype) {
    const Cut *cut = &call->cut;
    Place step = innermost(cut).step, at[AT_ONCE];
    int neighbours = step.of[X] == 1 && step.of[DY] == 1 && columns->width >= LANES;
    int own = neighbours && step.of[MEANS] == 1 && step.of[RSTDS] == 1 && cut->outer == 1;
    int even = neighbours && step.of[MEANS] == 0 && step.of[RSTDS] == 0;
    for (Int rows; row < stop; row += rows) {
        rows = (own || even) && row + AT_ONCE <= stop ? AT_ONCE : 1;
        for (Int r = 0; r < rows; r++)
            at[r] = moved(columns->at, offsets(cut->nest, cut->kept, cut->loops - 1, row + r), 1);
        if (own && rows > 1) add_neighbours(call, columns, at, AT_ONCE, 1, dtype);
        else if (own) add_neighbours(call, columns, at, 1, 1, dtype);
        else if (even && rows > 1) add_neighbours(call, columns, at, AT_ONCE, 0, dtype);
        else if (even) add_neighbours(call, columns, at, 1, 0, dtype);
        else add_any_row(call, columns, *at, step, dtype);
    }
}

/* An item is one chunk of rows of one tile. */
void parameter_columns(const void *given, Items *items) {
    const ParameterCall *call = given;
    const Cut *cut = &call->cut;
    Loop last = innermost(cut);
    Int rows = positions_of(cut->nest, cut->kept, cut->loops - 1), chunk, tile;
    Columns columns;
    for (Int item; (item = take(items)) >= 0;) {
        Int number = run_at(item, cut->chunks, &chunk);
        Int position = run_at(number, quotient_up(last.size, cut->tile), &tile);
        Int first = tile * cut->tile, start = chunk * cut->chunk;
        columns.at = moved(offsets(cut->nest, 0, cut->kept, position), last.step, first);
        columns.width = least(cut->tile, last.size - first);
        columns.span = columns.width / cut->outer;
        memset(columns.plain, 0, sizeof columns.plain + sizeof columns.along);
        Int stop = least(start + cut->chunk, rows);
        FOR_DTYPE(call->dtype, add_rows, call, &columns, start, stop);
        double *parts = call->parts + 2 * chunk * call->columns + position * last.size + first;
        memcpy(parts, columns.plain, (size_t)columns.width * sizeof *parts);
        memcpy(parts + call->columns, columns.along, (size_t)columns.width * sizeof *parts);
    }
}
