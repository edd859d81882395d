/* What a library says of itself, and of the processor that it is to run on. */
#include "machine.h"

/* The digest of the sources that it was made from: see normscope/kernels/recipe.py. */
EXPORT const char kernels_digest[] = KERNELS_DIGEST;

EXPORT Int highest_level(void);

#if defined(__x86_64__)
#include <cpuid.h>

typedef struct {
    unsigned leaf;     /* where the processor tells of it: */
    int place;         /* in EAX, EBX, ECX or EDX, */
    unsigned bits;     /* in these bits, which all have to be set */
    Int below;         /* the highest level without them */
} Need;

enum { EBX = 1, ECX };

static const Need NEEDS[] = {
    /* x86-64-v2: SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT */
    {1, ECX, 1u | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 23, 1},
    /* x86-64-v3: FMA, MOVBE, AVX, F16C; BMI1, AVX2, BMI2; LZCNT */
    {1, ECX, 1u << 12 | 1u << 22 | 1u << 28 | 1u << 29, 2},
    {7, EBX, 1u << 3 | 1u << 5 | 1u << 8, 2},
    {0x80000001, ECX, 1u << 5, 2},
    /* x86-64-v4: AVX512F, DQ, CD, BW, VL; and AVX512_VBMI2 */
    {7, EBX, 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31, 3},
    {7, ECX, 1u << 6, 3},
};

/* Whether the processor has what is needed. */
static int is_there(const Need *need) {
    unsigned found[4] = {0};
    __get_cpuid_count(need->leaf, 0, found, found + 1, found + 2, found + 3);
    return (found[need->place] & need->bits) == need->bits;
}

/* The highest level whose registers the system saves when it runs another process: those of AVX
   are bits 1 and 2 of what XGETBV tells, those of AVX-512 are bits 5 to 7. */
static Int highest_saved(void) {
    static const Need OSXSAVE = {1, ECX, 1u << 27, 2};
    if (!is_there(&OSXSAVE)) return OSXSAVE.below;
    unsigned saved, high;
    __asm__ volatile("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
    return (saved & 0x06) != 0x06 ? 2 : (saved & 0xE0) != 0xE0 ? 3 : 4;
}

/* The highest level of the processor, from 1 to 4. It is asked of the library of the lowest level:
   this file is compiled for any processor. */
Int highest_level(void) {
    Int level = highest_saved();
    for (size_t i = 0; i < sizeof NEEDS / sizeof *NEEDS; i++)
        if (!is_there(NEEDS + i)) level = least(level, NEEDS[i].below);
    return level;
}

#else

/* There is one level only. */
Int highest_level(void) { return 0; }

#endif
