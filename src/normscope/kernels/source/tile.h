/* A tile: neighbouring columns of a row, which are treated together; and rows of it. */
#ifndef NORMSCOPE_TILE_H
#define NORMSCOPE_TILE_H

#include "nest.h"

typedef struct {
    Place at;        /* of the first column in the first row */
    Int width;       /* how many columns there are, */
    Int outer;       /* and how many of them belong to one set, lying apart */
    Int inner;       /* and side by side */
    Int first_set;   /* the number of the statistics set of the first column, */
    Int set_step;    /* and from there to that of its neighbour */
} Tile;

/* How many tiles a row has. */
INLINE Int tiles_of(const Cut *cut) { return quotient_up(innermost(cut).size, cut->tile); }

/* A tile, by the position of the kept loops and its number in the row; tiles begin earlier by
   `lead` columns. */
INLINE Tile tile_of(const Cut *cut, Int position, Int number, Int lead) {
    Loop columns = innermost(cut);
    Int first = most(number * cut->tile - lead, 0), stop = (number + 1) * cut->tile;
    stop = stop >= columns.size ? columns.size : stop - lead;
    Place row = offsets(cut->nest, 0, cut->kept, position);
    Int set_step = columns.step.of[SET];
    return (Tile){moved(row, columns.step, first), stop - first, cut->outer, cut->inner,
                  row.of[SET] + first / cut->inner * set_step, set_step};
}

/* The number of the statistics set of column c. */
INLINE Int set_of(const Tile *tile, Int c) {
    if (tile->outer * tile->inner == 1) return tile->first_set + c * tile->set_step;
    Int sets = tile->width / (tile->outer * tile->inner);
    return tile->first_set + c / tile->inner % sets * tile->set_step;
}

/* How many columns have parameters of their own; those folded from outside repeat them. */
INLINE Int span_of(const Tile *tile) { return tile->width / tile->outer; }

/* Rows at equal distances. */
typedef struct {
    Place at; /* of the first column in the first row */
    Int rows;
} Stretch;

/* The longest stretch of a tile from row `start` on, that ends before row `stop`. */
INLINE Stretch stretch_at(const Cut *cut, const Tile *tile, Int start, Int stop) {
    Int in_loop = row_loop(cut).size;
    Place from = offsets(cut->nest, cut->kept, cut->loops - 1, start);
    return (Stretch){moved(tile->at, from, 1), least(in_loop - start % in_loop, stop - start)};
}

#endif
