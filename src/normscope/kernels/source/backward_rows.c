/* Backward kernels for nests whose innermost loop is shared.

   Work is numbered by *units*, each one chunk of one set: the first chunk of all sets, then the
   second one. So sets that share their parameters pass by while those of one chunk are in cache. */
#include "backward_runs.h"

/* Scratch memory, a column for each of the sets that are taken together: see input_gradient.h. */
typedef double Work[GRADIENT_ROWS][TOGETHER];

EXPORT Kernel backward_rows_gradient, backward_rows_measure, backward_rows_apply;

INLINE Int sets_of(const Cut *cut) { return positions_of(cut->nest, 0, cut->kept); }
INLINE Int set_size_of(const Cut *cut) { return positions_of(cut->nest, cut->kept, cut->loops); }

/* How many sets are taken together: several where all have the same parameters, one per element. */
static Int together_in(const BackwardCall *call) {
    const Cut *cut = &call->cut;
    Loop last = innermost(cut);
    const Int *step = last.step.of;
    int same = call->mask == NULL && call->parameters > 0 && last.size >= LANES && step[X] == 1 &&
               step[DY] == 1 && step[SCALE] == 1 && step[LEARNED] == 1;
    for (Int n = 0; n < cut->kept; n++)
        same &= cut->nest[n].step.of[SCALE] == 0 && cut->nest[n].step.of[LEARNED] == 0;
    return same ? TOGETHER : 1;
}

/* Puts what is given of a set into a column of scratch memory. */
INLINE void recall_set(const BackwardCall *call, Int set, Work work, Int s) {
    work[SET_MEAN][s] = call->means[set];
    work[SET_RSTD][s] = call->rstds[set];
}

/* Takes the sums of the elements `start` to `stop` of sets, from the first one on, and of their
   parameters. */
static void take_sums(const BackwardCall *call, Int first, Int number, Int start, Int stop,
                      Work work, double *learned) {
    const Cut *cut = &call->cut;
    Loop last = innermost(cut);
    Place begin[TOGETHER];
    for (Int s = 0; s < number; s++) {
        begin[s] = offsets(cut->nest, 0, cut->kept, first + s);
        recall_set(call, begin[s].of[SET], work, s);
        for (int row = 0; row < NUM_SUMS; row++) work[row][s] = 0.0;
    }
    Runs runs = {.number = number, .step = last.step, .work = work, .learned = learned};
    Int e, run = run_at(start, last.size, &e);
    for (Int position = start; position < stop; position += runs.n, run++, e = 0) {
        runs.n = least(last.size - e, stop - position);
        Place further = moved(offsets(cut->nest, cut->kept, cut->loops - 1, run), last.step, e);
        for (Int s = 0; s < number; s++) runs.at[s] = moved(begin[s], further, 1);
        add_runs(call, &runs);
    }
}

/* Writes dx of one run, in pieces if it is streamed. */
INLINE void write_pieces(const BackwardCall *call, Place at, Place step, Int n, InputGradient set,
                         Stream *stream) {
    int dtype = (int)call->dtype;
    Int others, first = first_piece(stream, call->dx, at.of[DX], step.of[DX], n, dtype, &others);
    for (Int e = 0, length; e < n; e += length) {
        length = least(e == 0 ? first : others, n - e);
        Place here = moved(at, step, e);
        Room out = room(stream, call->dx, here.of[DX], step.of[DX], length, dtype);
        write_run(call, here, step, length, set, out);
    }
}

/* Writes dx of the elements `start` to `stop` of a set that begins at a place. */
static void write_part(const BackwardCall *call, Place begin, Int start, Int stop,
                       InputGradient set, Stream *stream) {
    const Cut *cut = &call->cut;
    Loop last = innermost(cut);
    Int e, run = run_at(start, last.size, &e);
    for (Int position = start, n; position < stop; position += n, run++, e = 0) {
        n = least(last.size - e, stop - position);
        Place at = moved(begin, offsets(cut->nest, cut->kept, cut->loops - 1, run), 1);
        write_pieces(call, moved(at, last.step, e), last.step, n, set, stream);
    }
}

/* Writes dx of whole sets, whose sums are known. */
static void write_sets(const BackwardCall *call, Int first, Int number, Work work, Stream *stream) {
    const Cut *cut = &call->cut;
    Int size = set_size_of(cut);
    find_input_gradients(*work, TOGETHER, TOGETHER, call->formula);
    for (Int s = 0; s < number; s++) {
        Place begin = offsets(cut->nest, 0, cut->kept, first + s);
        Int set = begin.of[SET];
        if (call->sums != NULL) {
            call->sums[set] = work[SUM_DY][s];
            call->sums[call->sets + set] = work[SUM_DY_D][s];
        }
        InputGradient gradient = input_gradient_of(*work, TOGETHER, s, call->formula->shift);
        write_part(call, begin, 0, size, gradient, stream);
    }
}

/* Begin to bring sets into the cache, if they are single runs of some lines: the processor fetches
   ahead by itself, but only after it has seen a few lines of a sequence. */
static void fetch_sets(const BackwardCall *call, Int first, Int stop) {
    const Cut *cut = &call->cut;
    int dtype = (int)call->dtype;
    Loop last = innermost(cut);
    Int bytes = last.size * size_of(dtype);
    if (cut->loops > cut->kept + 1 || bytes < 2 * LINE || bytes > 2048) return;
    if (last.step.of[X] != 1 || last.step.of[DY] != 1) return;
    for (Int set = first; set < stop; set++) {
        Place at = offsets(cut->nest, 0, cut->kept, set);
        const char *x = (const char *)address_of(call->x, at.of[X], dtype);
        const char *dy = (const char *)address_of(call->dy, at.of[DY], dtype);
        for (Int byte = 0; byte < bytes; byte += LINE) {
            __builtin_prefetch(x + byte);
            __builtin_prefetch(dy + byte);
        }
    }
}

/* Dx and the sums of whole sets. An item is `per_item` sets. */
void backward_rows_gradient(const void *given, Items *items) {
    const BackwardCall *call = given;
    const Cut *cut = &call->cut;
    Int size = set_size_of(cut), sets = sets_of(cut), together = together_in(call);
    Work work = {{0.0}};
    Stream stream;
    open_stream(&stream, (int)call->streams);
    for (Int item; (item = take(items)) >= 0;) {
        Int first = item * cut->per_item, stop = least(first + cut->per_item, sets);
        for (Int number; first < stop; first += number) {
            number = stop - first < together ? 1 : together;
            take_sums(call, first, number, 0, size, work, learned_of(call, item));
            fetch_sets(call, first + number, least(first + number + together, stop));
            write_sets(call, first, number, work, &stream);
        }
    }
    close_stream(&stream);
}

/* The sums of one chunk of sets, which are written. */
static void measure_chunk(const BackwardCall *call, Int chunk, Int first, Int number,
                          double *learned) {
    const Cut *cut = &call->cut;
    Work work;
    Int start = chunk * cut->chunk, stop = least(start + cut->chunk, set_size_of(cut));
    if (call->blocks < cut->items && call->parameters > 0 && first == 0)
        for (int row = 0; row < 2; row++)
            memset(learned + row * call->parameters + start, 0, (size_t)(stop - start) * 8);
    take_sums(call, first, number, start, stop, work, learned);
    double *sums = call->sums + chunk * NUM_SUMS * call->sets;
    for (Int s = 0; s < number; s++) {
        Int set = offsets(cut->nest, 0, cut->kept, first + s).of[SET];
        for (int row = 0; row < NUM_SUMS; row++) sums[row * call->sets + set] = work[row][s];
    }
}

/* The sums of chunks. An item is `per_item` units.

   There may be one block of sums of parameters for all items, to be filled, if an item is one chunk
   of all sets, whose parameters are the elements of that chunk. */
void backward_rows_measure(const void *given, Items *items) {
    const BackwardCall *call = given;
    const Cut *cut = &call->cut;
    Int sets = sets_of(cut), together = together_in(call), first;
    for (Int item; (item = take(items)) >= 0;) {
        Int unit = item * cut->per_item, stop = least(unit + cut->per_item, sets * cut->chunks);
        for (Int number; unit < stop; unit += number) {
            Int chunk = run_at(unit, sets, &first);
            number = least(stop - unit, sets - first) < together ? 1 : together;
            measure_chunk(call, chunk, first, number, learned_of(call, item));
        }
    }
}

/* Dx, from the sums of all sets. An item is one unit; the last comes first, as it is cached. */
void backward_rows_apply(const void *given, Items *items) {
    const BackwardCall *call = given;
    const Cut *cut = &call->cut;
    Int size = set_size_of(cut), sets = sets_of(cut), first;
    Work work = {{0.0}};
    Stream stream;
    open_stream(&stream, (int)call->streams);
    for (Int item; (item = take_backwards(items)) >= 0;) {
        Int start = run_at(item, sets, &first) * cut->chunk;
        Place begin = offsets(cut->nest, 0, cut->kept, first);
        Int set = begin.of[SET];
        recall_set(call, set, work, 0);
        for (int row = 0; row < NUM_SUMS; row++)
            work[row][0] = call->totals[row * call->sets + set];
        find_input_gradients(*work, TOGETHER, TOGETHER, call->formula);
        InputGradient gradient = input_gradient_of(*work, TOGETHER, 0, call->formula->shift);
        write_part(call, begin, start, least(start + cut->chunk, size), gradient, &stream);
    }
    close_stream(&stream);
}
