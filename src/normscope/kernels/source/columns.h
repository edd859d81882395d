/* Columns: neighbours that belong to different statistics sets, measured and written side by side.

   The columns of a tile (tile.h) are taken row after row, with one set of sums per column; the rows
   of a set are taken in chunks, merged in order. Columns may be *folded*: with (F, G, E) columns of
   a row, those that differ only in F and E belong to one set, merged at the end. What is known of
   columns is kept in scratch memory, from which the output is written.

   Rows that lie side by side, of which all elements count, are taken as they lie in memory, several
   together: they are *plain*. All other rows are first brought into a row of float64. */
#ifndef NORMSCOPE_COLUMNS_H
#define NORMSCOPE_COLUMNS_H

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

/* ---- plain rows, taken together -------------------------------------------------------------- */

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

#endif
