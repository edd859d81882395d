/* The border to the engine, as kernels see it: normscope/kernels/contract.py is its other side.

   All members are eight bytes, in one order; a test compares both files. Addresses are those of the
   first element of arrays that the engine keeps alive. */
#ifndef NORMSCOPE_CONTRACT_H
#define NORMSCOPE_CONTRACT_H

#include "items.h"

/* How elements are stored. */
enum { FLOAT64, FLOAT32, FLOAT16, BFLOAT16 };

/* What is measured of a statistics set; measures of squares come first. */
enum { VARIANCE, MEAN_SQUARE, L2, L1, MAX };

/* The numbers of a spec. A divisor up to `unit_up_to` becomes 1: it is negative where none does, 0
   where only 0 does, and infinite where nothing is divided. */
typedef struct {
    double measure, center, ddof, eps, eps_outside, floor, shift, is_float64, unit_up_to;
} Formula;

/* Places in a loop of the nest, of a forward call, a backward call and a call for parameters. */
enum { X, OUT, RESIDUAL, MASK, SCALE, BIAS, SET, ARRAYS };
enum { DX = 1, DY = 2, LEARNED = 5 };
enum { MEANS = 4, RSTDS = 5 };

/* For each array a number of elements: how far into it, or from one element to the next. */
typedef struct {
    Int of[ARRAYS];
} Place;

/* A loop of the nest: its length, and the steps of all arrays along it. Loops over kept axes come
   first, then those over shared axes; the last one is the innermost. */
typedef struct {
    Int size;
    Place step;
} Loop;

/* Rows of partial statistics, of statistics, and of the sums of a backward pass. Rests are what
   float64 cannot hold of a number; only float64 input has them. */
enum { PARTIAL_COUNT, PARTIAL_MEAN, PARTIAL_ROOT, PARTIAL_ROWS, PARTIAL_MEAN_REST = 3,
       PARTIAL_ROOT_REST, PARTIAL_ROWS_WITH_RESTS };
enum { COUNT, MEAN, VAR, DIVISOR, ROWS, MEAN_REST = 4, DIVISOR_REST, ROWS_WITH_RESTS };
enum { SUM_G, SUM_G_D, SUM_D, SUM_COUNT, SUM_DY, SUM_DY_D, NUM_SUMS };

/* How work is cut, as a plan says; what its mode does not use is 0. */
typedef struct {
    const Loop *nest;
    Int loops;     /* how many there are, */
    Int kept;      /* how many of them are over kept axes, the innermost of columns not counted */
    Int items;     /* pieces of work */
    Int per_item;  /* sets of an item (rows), or tiles and chunks (backward columns) */
    Int step;      /* elements of a set that are written together (rows, apply) */
    Int chunk;     /* rows of a tile, or elements of a set, whose sums are taken together */
    Int chunks;    /* of a set */
    Int tile;      /* the most columns that are taken at a time */
    Int outer;     /* columns of a set that lie apart, */
    Int inner;     /* and side by side */
} Cut;

typedef struct {
    Cut cut;
    const Formula *formula;
    const void *x;
    void *out;
    const void *residual;    /* or NULL */
    const uint8_t *mask;     /* or NULL: all elements count */
    const void *scale;       /* a neutral parameter is a single number */
    const void *bias;
    double slope;            /* of the LeakyReLU after the normalization, */
    Int activated;           /* if there is one */
    Int dtype;               /* of x, out and residual */
    Int parameter_dtype;     /* FLOAT64 or FLOAT32 */
    Int streams;             /* whether to write past the caches */
    double *statistics;      /* (rows, sets), NULL: not wanted */
    Int statistics_rows;
    Int sets;
    double *partials;        /* (chunks, rows, columns) */
    Int partial_rows;
    Int partial_columns;
} ForwardCall;

typedef struct {
    Cut cut;
    const Formula *formula;
    const void *x;
    const void *dy;
    const uint8_t *mask;
    void *dx;
    const void *scale;       /* what dy is multiplied by, less the shift of the formula */
    Int dtype;
    Int parameter_dtype;
    Int streams;
    const double *means;     /* of each set */
    const double *rstds;
    double *sums;            /* of sets: (2, sets), (chunks, NUM_SUMS, sets); NULL: not wanted */
    const double *totals;    /* (NUM_SUMS, sets), of all chunks together */
    Int sets;
    double *learned;         /* (blocks, 2, parameters): sums for the gradients of bias and scale */
    Int blocks;              /* one for each item, or one for all */
    Int parameters;          /* 0: none are taken along */
} BackwardCall;

typedef struct {
    Cut cut;
    const void *x;
    const void *dy;
    const double *means;
    const double *rstds;
    Int dtype;
    double *parts;           /* (chunks, 2, columns): sum(dy) and sum(dy * (x - mean) * rstd) */
    Int columns;
} ParameterCall;

/* Statistics of chunks are put together, or those of folded columns, or divisors are found. */
typedef struct {
    const Formula *formula;
    const double *partials;  /* (chunks, rows, columns) */
    Int chunks;
    Int rows;
    Int columns;
    double *target;          /* (rows, columns); (rows, positions * sets) of folded columns */
    Int even;                /* whether all sets have equally many elements in each chunk */
    Int outer;               /* of folded columns, as in Cut, */
    Int inner;
    Int sets;                /* and the sets of a position */
    const Int *order;        /* the column of each set in the statistics */
    double *statistics;      /* (ROWS or ROWS_WITH_RESTS, columns) */
    Int statistics_rows;
} MergeCall;

/* Elements of a set, lying in rows, whose sums are taken together. */
#define CHUNK 65536

/* Bytes of a cache line. */
#define LINE 64

/* No tile has more columns; it is the distance of the rows of its scratch memory: an odd number of
   cache lines, for rows whole pages apart would compete for the same places in a cache. */
#define WIDEST 872

#endif
