/* Write an output that caches cannot hold, without reading its memory first.

   An ordinary store reads the line of memory that it writes into, so writing costs twice the
   traffic that it needs: where memory is the limit, a normalization then takes three passes instead
   of two. Streaming stores write whole lines past the caches. Elements are collected in a small
   buffer, at the place in its lines that they will have in memory, and leave it line by line.

   There are two such buffers. While one is filled the other waits: what was stored a moment ago
   cannot yet be read quickly in lines. */
#ifndef NORMSCOPE_STREAM_H
#define NORMSCOPE_STREAM_H

#include "element.h"

/* The most elements of a run that are streamed at a time. */
#define PIECE 512
/* Elements of a run for which a few single ones at its beginning are worth while. */
#define LONG_RUN 1024
/* Bytes in a buffer after which it is the turn of the other: few, to stay in the nearest cache. */
#define ENOUGH 2048
/* No row of a tile is longer than the last summand, and no piece of a run. */
#define BUFFER (ENOUGH + LINE + 8 * WIDEST)

typedef double Line __attribute__((vector_size(LINE)));

/* Bytes `begin` to `end` of a buffer, whose first line belongs at `base`. */
typedef struct {
    uintptr_t base;
    Int begin, end;
    char bytes[BUFFER] __attribute__((aligned(LINE)));
} Side;

typedef struct {
    int on; /* whether the output is streamed at all */
    int filling;
    Side sides[2];
} Stream;

/* Where to store, and from which index on. */
typedef struct {
    void *array;
    Int index;
} Room;

INLINE void open_stream(Stream *stream, int on) {
    stream->on = on;
    stream->filling = 0;
    for (int side = 0; side < 2; side++)
        stream->sides[side].base = stream->sides[side].begin = stream->sides[side].end = 0;
}

/* Write the bytes of a buffer: what is not a whole line by ordinary stores. */
static void write_side(Side *side) {
    Int first = least((side->begin + LINE - 1) & -LINE, side->end);
    Int full = most(side->end & -LINE, first);
    char *memory = (char *)side->base;
    memcpy(memory + side->begin, side->bytes + side->begin, (size_t)(first - side->begin));
    for (Int at = first; at < full; at += LINE)
        __builtin_nontemporal_store(*(Line *)(side->bytes + at), (Line *)(memory + at));
    memcpy(memory + full, side->bytes + full, (size_t)(side->end - full));
}

/* Write the buffer that waits, let the other one wait, and fill the first from `address` on. */
static void turn(Stream *stream, uintptr_t address, int goes_on) {
    Side *full = &stream->sides[stream->filling], *next = &stream->sides[1 - stream->filling];
    write_side(next);
    next->base = address & (uintptr_t)-LINE;
    next->begin = next->end = (Int)(address & (LINE - 1));
    if (goes_on) { /* the line that is not full yet goes along */
        Int whole = full->end & -LINE;
        memcpy(next->bytes, full->bytes + whole, (size_t)(full->end - whole));
        full->end = whole;
        next->begin = 0;
    }
    stream->filling = 1 - stream->filling;
}

/* Where to store n elements of `out` from index o on. Only neighbours, `step` 1 apart, are
   streamed. */
INLINE Room room(Stream *stream, void *out, Int o, Int step, Int n, int dtype) {
    if (!stream->on || step != 1) return (Room){out, o};
    uintptr_t address = address_of(out, o, dtype);
    Side *side = &stream->sides[stream->filling];
    int goes_on = address == side->base + (uintptr_t)side->end;
    if (side->end >= ENOUGH || !goes_on) {
        turn(stream, address, goes_on);
        side = &stream->sides[stream->filling];
    }
    Room found = {side->bytes + side->end, 0};
    side->end += n * size_of(dtype);
    return found;
}

/* Into what pieces to cut a run of n elements of `out` from index o on: the first, and all others.
   The others begin where lines of memory do, so that no vector is stored into two of them. A run
   that is not streamed has two pieces at the most. */
INLINE Int first_piece(const Stream *stream, const void *out, Int o, Int step, Int n, int dtype,
                       Int *others) {
    Int past = past_line(out, o, dtype);
    *others = stream->on && step == 1 ? PIECE : n;
    if (step != 1) return n;
    if (stream->on) return PIECE - past;
    return past > 0 && n >= LONG_RUN ? LINE / size_of(dtype) - past : n;
}

/* Write what is left, and wait until other threads will see it. */
INLINE void close_stream(Stream *stream) {
    if (!stream->on) return;
    turn(stream, 0, 0);
    turn(stream, 0, 0);
#if defined(__x86_64__)
    __builtin_ia32_sfence();
#else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

#endif
