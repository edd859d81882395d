/* Forward kernels for nests whose innermost loop is kept: neighbours belong to different sets. */
#include "write_columns.h"

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
EXPORT void forward_columns_normalize(const void *given, Items *items) {
    const ForwardCall *call = given;
    const Cut *cut = &call->cut;
    Int rows = rows_of(cut);
    Columns on;
    open_columns(&on, call, call->streams != 0);
    for (Int item; (item = take(items)) >= 0;) {
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
EXPORT void forward_columns_measure(const void *given, Items *items) {
    const ForwardCall *call = given;
    const Cut *cut = &call->cut;
    Int rows = call->partial_rows, columns = call->partial_columns;
    Columns on;
    open_columns(&on, call, 0);
    for (Int item; (item = take(items)) >= 0;) {
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
EXPORT void forward_columns_apply(const void *given, Items *items) {
    const ForwardCall *call = given;
    const Cut *cut = &call->cut;
    Columns on;
    open_columns(&on, call, call->streams != 0);
    for (Int item; (item = take(items)) >= 0;) {
        Chunk chunk = chunk_of(cut, item, quotient_up(rows_of(cut), cut->chunk));
        on.tile = tile_of(cut, chunk.position, chunk.number, lead_of(call, chunk.position));
        use_given(&on);
        write_columns(&on, chunk.start, chunk.stop);
    }
    close_stream(&on.stream);
}
