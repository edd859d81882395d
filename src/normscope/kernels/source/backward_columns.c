/* The backward pass of nests whose innermost loop is kept: sums over the rows of a tile of columns,
   and the gradient of the input from these.

   Neighbours belong to different sets, so every column has its own sums, in scratch memory; those
   of columns that are folded into one set are added in the end. */
#include "input_gradient.h"
#include "lanes.h"
#include "stream.h"
#include "tile.h"

/* Rows that are written one after the other. Blocks of them are written from the last to the first,
   for what was measured last may still be in cache; within a block the order is that of memory, in
   which the processor fetches ahead. */
#define BLOCK 64

EXPORT Kernel backward_columns_gradient, backward_columns_measure, backward_columns_apply;

/* Rows of scratch memory: those of input_gradient.h, and what dy is multiplied by. */
enum { FACTOR = GRADIENT_ROWS, SCRATCH_ROWS };

typedef double Columns[WIDEST] __attribute__((aligned(LINE)));

/* A tile that is treated. */
typedef struct {
    const BackwardCall *call;
    Tile tile;
    int fixed;       /* whether parameters are the same for all rows, */
    int even;        /* or for all elements of a row */
    int plain;       /* whether elements of x and dy are neighbours that all count */
    double *learned; /* the sums of the parameters, or NULL */
    Int sets[WIDEST];
    Columns of[SCRATCH_ROWS];
} Work;

/* Rows whose sums are taken together: that saves reading and writing scratch memory. */
#define TOGETHER 4

/* Where arrays stand at column c of a row; columns folded from outside repeat the parameters. */
INLINE Place element_at(Place row, Place step, Int c, Int span) {
    Int p = c < span ? c : c % span;
    Place at = moved(row, step, c);
    at.of[SCALE] = row.of[SCALE] + p * step.of[SCALE];
    at.of[LEARNED] = row.of[LEARNED] + p * step.of[LEARNED];
    return at;
}

/* Rows that are added together, `number` of them; if they are weighted, each has a scale of its
   own, and sums of its own for its parameter. */
typedef struct {
    Place at, step; /* of the first of them, and from there to the next */
    int number, weighted, dtype;
    double factor[TOGETHER];
    Lanes dy[TOGETHER], dy_z[TOGETHER];
} Rows;

/* Adds the chosen of LANES columns, from c on, to the sums of these columns, and of the rows. */
INLINE void add_lanes(Work *work, Rows *rows, Int c, Chosen chosen) {
    SUMS;
    const BackwardCall *call = work->call;
    const Int *at = rows->at.of, *step = rows->step.of;
    Lanes mean = load_lanes(work->of[SET_MEAN], c, FLOAT64);
    Lanes all_d = 0.0, all_g = 0.0, all_g_d = 0.0;
    for (int n = 0; n < rows->number; n++) {
        Lanes dy = only(chosen, load_lanes(call->dy, at[DY] + n * step[DY] + c, rows->dtype));
        Lanes d = only(chosen, load_lanes(call->x, at[X] + n * step[X] + c, rows->dtype) - mean);
        Lanes dy_d = dy * d;
        all_d += d;
        all_g += rows->weighted ? dy * rows->factor[n] : dy;
        all_g_d += (rows->weighted ? dy_d : dy) * (rows->weighted ? rows->factor[n] : d);
        rows->dy[n] += dy;
        rows->dy_z[n] += dy_d * load_lanes(work->of[SET_RSTD], c, FLOAT64);
    }
    add_lanes_to(work->of[SUM_D] + c, all_d);
    add_lanes_to(work->of[rows->weighted ? SUM_G : SUM_DY] + c, all_g);
    add_lanes_to(work->of[rows->weighted ? SUM_G_D : SUM_DY_D] + c, all_g_d);
}

/* Adds rows to the sums of every column; those that are not weighted are so in the end. */
INLINE void add_rows(Work *work, Place at, Place step, int number, int weighted, int dtype) {
    const BackwardCall *call = work->call;
    Int width = work->tile.width, c = 0;
    Rows rows = {at, step, number, weighted, dtype, {0}, {0}, {0}};
    for (int n = 0; n < number; n++)
        rows.factor[n] = weighted ? factor_at(call, moved(at, step, n)) : 1.0;
    for (; c + LANES <= width; c += LANES) add_lanes(work, &rows, c, ALL_LANES);
    if (c < width) add_lanes(work, &rows, width - LANES, last_lanes(width - c));
    if (!weighted || work->learned == NULL) return;
    for (int n = 0; n < number; n++)
        add_to_parameter(call, work->learned + at.of[LEARNED] + n * step.of[LEARNED],
                         sum_of_lanes(rows.dy[n]), sum_of_lanes(rows.dy_z[n]));
}

/* How far apart rows lie that are taken together, of so many. Each then begins a long run of
   memory, in which the processor fetches ahead: among neighbours it does not, which takes twice as
   long where memory is the limit. The distance is odd, lest all begin at one place of a cache, and
   so short that the last block of rows is still in cache when it is written. */
INLINE Int apart(Int rows) { return (least(rows, TOGETHER * BLOCK) / TOGETHER - 1) | 1; }

/* Adds rows at equal distances, as many as can be taken together at a time. */
INLINE void add_stretch(Work *work, Stretch from, Place step, int weighted, int dtype) {
    Int row = 0;
    while (from.rows - row >= TOGETHER) {
        Int distance = apart(from.rows - row);
        Place far = moved((Place){{0}}, step, distance);
        for (Int n = row; n < row + distance; n++)
            add_rows(work, moved(from.at, step, n), far, TOGETHER, weighted, dtype);
        row += TOGETHER * distance;
    }
    for (; row < from.rows; row++)
        add_rows(work, moved(from.at, step, row), step, 1, weighted, dtype);
}

/* Adds a row to all sums, with any strides, mask and parameters. */
INLINE void add_any_row(Work *work, Place row, int dtype) {
    const BackwardCall *call = work->call;
    Place step = innermost(&call->cut).step;
    Int span = span_of(&work->tile);
    for (Int c = 0; c < work->tile.width; c++) {
        Place at = element_at(row, step, c, span);
        double dy = load(call->dy, at.of[DY], dtype);
        double d = load(call->x, at.of[X], dtype) - work->of[SET_MEAN][c];
        double g = dy * factor_at(call, at);
        work->of[SUM_DY][c] += dy;
        work->of[SUM_DY_D][c] += dy * d;
        work->of[SUM_G][c] += g;
        work->of[SUM_G_D][c] += g * d;
        if (counts(call->mask, at.of[MASK])) {
            work->of[SUM_D][c] += d;
            work->of[SUM_COUNT][c] += 1.0;
        }
        if (work->learned != NULL && !work->fixed)
            add_to_parameter(call, work->learned + at.of[LEARNED], dy,
                             dy * d * work->of[SET_RSTD][c]);
    }
}

/* Adds the rows `start` to `stop`, those at equal distances together where possible. */
INLINE void add_all(Work *work, Int start, Int stop, int dtype) {
    const Cut *cut = &work->call->cut;
    Place next_row = row_loop(cut).step;
    int plain = work->plain && work->tile.width >= LANES;
    while (start < stop) {
        Stretch from = stretch_at(cut, &work->tile, start, stop);
        if (plain && work->fixed)
            add_stretch(work, from, next_row, 0, dtype);
        else if (plain && work->even)
            add_stretch(work, from, next_row, 1, dtype);
        else
            for (Int n = 0; n < from.rows; n++)
                add_any_row(work, moved(from.at, next_row, n), dtype);
        start += from.rows;
    }
}

/* The sums with scale, and those of the parameters, where these are the same for all rows. */
static void weigh_sums(Work *work) {
    Place step = innermost(&work->call->cut).step;
    Int span = span_of(&work->tile);
    for (Int c = 0; c < work->tile.width; c++) {
        Place at = element_at(work->tile.at, step, c, span);
        double factor = factor_at(work->call, at);
        double total = work->of[SUM_DY][c], total_d = work->of[SUM_DY_D][c];
        work->of[SUM_G][c] = total * factor;
        work->of[SUM_G_D][c] = total_d * factor;
        if (work->learned != NULL)
            add_to_parameter(work->call, work->learned + at.of[LEARNED], total,
                             total_d * work->of[SET_RSTD][c]);
    }
}

/* Gives all columns of a set the sums of the whole set. */
static void fold(Work *work) {
    Int outer = work->tile.outer, inner = work->tile.inner;
    if (outer * inner == 1) return;
    Int sets = work->tile.width / (outer * inner), apart = sets * inner;
    for (int row = 0; row < NUM_SUMS; row++)
        for (Int set = 0; set < sets; set++) {
            double *first = work->of[row] + set * inner;
            Lanes sum = 0.0;
            for (Int f = 0; f < outer; f++)
                for (Int e = 0; e < inner; e += LANES)
                    sum += next_lanes(first + f * apart + e, inner - e, 0.0);
            double total = sum_of_lanes(sum);
            for (Int f = 0; f < outer; f++)
                for (Int e = 0; e < inner; e++) first[f * apart + e] = total;
        }
}

/* The sums of the rows `start` to `stop`: of every column's set, and of the parameters if any. */
static void take_sums(Work *work, Int start, Int stop) {
    const BackwardCall *call = work->call;
    memset(work->of, 0, NUM_SUMS * sizeof(Columns));
    FOR_DTYPE(call->dtype, add_all, work, start, stop)
    for (Int c = 0; call->mask == NULL && c < work->tile.width; c++)
        work->of[SUM_COUNT][c] = (double)(stop - start);
    if (work->fixed) weigh_sums(work);
    fold(work);
}

/* Writes rows at equal distances; each has a scale of its own if they are weighted, a constant. */
INLINE void write_stretch(const Work *work, Stretch from, Place step, int weighted, Stream *stream,
                          int dtype) {
    const BackwardCall *call = work->call;
    const void *x = call->x, *dy = call->dy;
    const double *factors = work->of[FACTOR], *moves = work->of[MOVE];
    const double *curves = work->of[CURVE], *points = work->of[POINT];
    Int width = work->tile.width;
    for (Int row = 0; row < from.rows; row++) {
        Place at = moved(from.at, step, row);
        double factor = weighted ? factor_at(call, at) : 1.0;
        Room to = room(stream, call->dx, at.of[DX], 1, width, dtype);
        VECTORIZE
        for (Int c = 0; c < width; c++) {
            double g = load(dy, at.of[DY] + c, dtype) * (factors[c] * factor);
            double d = load(x, at.of[X] + c, dtype) - points[c];
            store(to.array, to.index + c, g - moves[c] - curves[c] * d, dtype);
        }
    }
}

/* Writes a row, for any strides, mask, parameters and measure. */
INLINE void write_any_row(const Work *work, Place row, int dtype) {
    const BackwardCall *call = work->call;
    int absolute = measure_of(call->formula) == L1;
    Place step = innermost(&call->cut).step;
    Int span = span_of(&work->tile);
    for (Int c = 0; c < work->tile.width; c++) {
        Place at = element_at(row, step, c, span);
        double x = load(call->x, at.of[X], dtype), scale = factor_at(call, at);
        double d = absolute ? derivative_of_size(x) : x - work->of[POINT][c];
        double y = load(call->dy, at.of[DY], dtype) * (scale * work->of[SET_RSTD][c]);
        if (counts(call->mask, at.of[MASK])) y = y - work->of[MOVE][c] - work->of[CURVE][c] * d;
        store(call->dx, at.of[DX], y, dtype);
    }
}

/* Writes the rows `start` to `stop`, the last block first. */
INLINE void write_all(const Work *work, Int start, Int stop, Stream *stream, int dtype) {
    const Cut *cut = &work->call->cut;
    Place next_row = row_loop(cut).step;
    int plain = work->plain && innermost(cut).step.of[DX] == 1;
    if (measure_of(work->call->formula) == L1) plain = 0;
    for (Int begin = start + (stop - start - 1) / BLOCK * BLOCK; begin >= start; begin -= BLOCK) {
        Int row = begin, end = least(begin + BLOCK, stop);
        while (row < end) {
            Stretch from = stretch_at(cut, &work->tile, row, end);
            if (plain && work->fixed)
                write_stretch(work, from, next_row, 0, stream, dtype);
            else if (plain && work->even)
                write_stretch(work, from, next_row, 1, stream, dtype);
            else
                for (Int n = 0; n < from.rows; n++)
                    write_any_row(work, moved(from.at, next_row, n), dtype);
            row += from.rows;
        }
    }
}

/* Writes dx of the rows `start` to `stop`, from the sums of all sets. */
static void write_rows(Work *work, Int start, Int stop, Stream *stream) {
    const BackwardCall *call = work->call;
    Place step = innermost(&call->cut).step;
    Int span = span_of(&work->tile);
    find_input_gradients(work->of[0], WIDEST, work->tile.width, call->formula);
    for (Int c = 0; c < work->tile.width; c++) {
        Place at = element_at(work->tile.at, step, c, span);
        work->of[FACTOR][c] = (work->fixed ? factor_at(call, at) : 1.0) * work->of[SET_RSTD][c];
    }
    FOR_DTYPE(call->dtype, write_all, work, start, stop, stream)
}

/* What holds for all tiles of a call. */
static void prepare(Work *work, const BackwardCall *call) {
    Place step = innermost(&call->cut).step;
    work->call = call;
    work->fixed = has_fixed_parameters(&call->cut);
    work->even = step.of[SCALE] == 0 && step.of[LEARNED] == 0;
    work->plain = call->mask == NULL && step.of[X] == 1 && step.of[DY] == 1;
    work->learned = NULL;
}

/* Begins an item, which has sums of its own for the parameters, if any. */
static void begin_item(Work *work, Int item) {
    work->learned = learned_of(work->call, item);
}

/* Goes to a tile; those of one row come first. */
static void begin_tile(Work *work, Int number) {
    const BackwardCall *call = work->call;
    Int in_row, position = run_at(number, tiles_of(&call->cut), &in_row);
    work->tile = tile_of(&call->cut, position, in_row, 0); /* no lead: parameters run along */
    for (Int c = 0; c < work->tile.width; c++) {
        Int set = work->sets[c] = set_of(&work->tile, c);
        work->of[SET_MEAN][c] = call->means[set];
        work->of[SET_RSTD][c] = call->rstds[set];
    }
}

/* How many tiles there are, and rows of each. */
INLINE Int all_tiles(const Cut *cut) {
    return positions_of(cut->nest, 0, cut->kept) * tiles_of(cut);
}
INLINE Int all_rows(const Cut *cut) { return positions_of(cut->nest, cut->kept, cut->loops - 1); }

/* Dx and the sums of whole sets, (2, sets) for sum(dy) and sum(dy * (x - mean)). An item is
   `per_item` tiles. */
EXPORT void backward_columns_gradient(const void *given, Items *items) {
    const BackwardCall *call = given;
    const Cut *cut = &call->cut;
    Int tiles = all_tiles(cut), rows = all_rows(cut);
    Work work;
    Stream stream;
    prepare(&work, call);
    open_stream(&stream, call->streams != 0);
    for (Int item; (item = take(items)) >= 0;) {
        begin_item(&work, item);
        Int first = item * cut->per_item, stop = least(first + cut->per_item, tiles);
        for (Int number = first; number < stop; number++) {
            begin_tile(&work, number);
            take_sums(&work, 0, rows);
            for (Int c = 0; call->sums != NULL && c < work.tile.width; c++) {
                call->sums[work.sets[c]] = work.of[SUM_DY][c];
                call->sums[call->sets + work.sets[c]] = work.of[SUM_DY_D][c];
            }
            write_rows(&work, 0, rows, &stream);
        }
    }
    close_stream(&stream);
}

/* The sums of chunks of rows, (chunks, NUM_SUMS, sets). An item is `per_item` chunks. */
EXPORT void backward_columns_measure(const void *given, Items *items) {
    const BackwardCall *call = given;
    const Cut *cut = &call->cut;
    Int units = all_tiles(cut) * cut->chunks, rows = all_rows(cut);
    Work work;
    prepare(&work, call);
    for (Int item; (item = take(items)) >= 0;) {
        begin_item(&work, item);
        Int first = item * cut->per_item, stop = least(first + cut->per_item, units);
        for (Int unit = first; unit < stop; unit++) {
            Int chunk, number = run_at(unit, cut->chunks, &chunk), start = chunk * cut->chunk;
            begin_tile(&work, number);
            take_sums(&work, start, least(start + cut->chunk, rows));
            double *sums = call->sums + chunk * NUM_SUMS * call->sets;
            for (int row = 0; row < NUM_SUMS; row++)
                for (Int c = 0; c < work.tile.width; c++)
                    sums[row * call->sets + work.sets[c]] = work.of[row][c];
        }
    }
}

/* Dx, from the sums of all sets. An item is one chunk of rows of one tile; the last first. */
EXPORT void backward_columns_apply(const void *given, Items *items) {
    const BackwardCall *call = given;
    const Cut *cut = &call->cut;
    Int rows = all_rows(cut);
    Work work;
    Stream stream;
    prepare(&work, call);
    open_stream(&stream, call->streams != 0);
    for (Int item; (item = take_backwards(items)) >= 0;) {
        Int chunk, number = run_at(item, cut->chunks, &chunk);
        Int start = chunk * cut->chunk;
        begin_tile(&work, number);
        for (int row = 0; row < NUM_SUMS; row++)
            for (Int c = 0; c < work.tile.width; c++)
                work.of[row][c] = call->totals[row * call->sets + work.sets[c]];
        write_rows(&work, start, least(start + cut->chunk, rows), &stream);
    }
    close_stream(&stream);
}
