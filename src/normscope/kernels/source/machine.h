/* What the language has no words for: how functions are compiled, and a few instructions.

   A function that is written once for several types or cases is INLINE and takes them as constant
   arguments; a switch at the top of a kernel makes the copies. Nothing is compiled with
   -ffast-math: NaNs and infinities stay where they are. What a function may do with its rounding it
   says in its first line:

       (nothing)  a product and a sum of one expression may be rounded once, as one instruction
       EXACT;     every operation is rounded: the same bits anywhere, and errors that are known
       SUMS;      additions may also be taken in another order, which depends on sizes alone
*/
#ifndef NORMSCOPE_MACHINE_H
#define NORMSCOPE_MACHINE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef int64_t Int;

#define INLINE static inline __attribute__((always_inline))
#define EXPORT __attribute__((visibility("default")))
#define EXACT _Pragma("clang fp contract(off) reassociate(off)")
#define SUMS _Pragma("clang fp contract(fast) reassociate(on)")

/* Before a loop over elements: what it stores is never what it loads in another turn. An output may
   be its input, element by element. */
#define VECTORIZE _Pragma("clang loop vectorize(assume_safety)")

/* Before a loop of a constant number of turns whose array is to be kept in registers. */
#define UNROLL _Pragma("clang loop unroll(full)")

INLINE Int least(Int a, Int b) { return a < b ? a : b; }
INLINE Int most(Int a, Int b) { return a > b ? a : b; }
INLINE Int quotient_up(Int a, Int b) { return (a + b - 1) / b; }

#endif
