/* Neighbouring elements as one vector of float64: sums of a run are taken in so many lanes.

   The order of summation then depends on the length of the run alone, neither on what else is done
   in the loop nor on how wide the vectors of the processor are. */
#ifndef NORMSCOPE_LANES_H
#define NORMSCOPE_LANES_H

#include "element.h"

#define LANES 8

typedef double Lanes __attribute__((ext_vector_type(LANES)));
typedef int64_t Chosen __attribute__((ext_vector_type(LANES)));

/* All lanes. */
#define ALL_LANES ((Chosen)-1)

/* The last lanes. */
INLINE Chosen last_lanes(Int number) {
    static const int64_t SEEN[2 * LANES] = {0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1};
    Chosen chosen;
    memcpy(&chosen, SEEN + number, sizeof chosen);
    return chosen;
}

/* The lanes that are chosen, and 0 in the place of the others. */
INLINE Lanes only(Chosen chosen, Lanes lanes) { return (Lanes)((Chosen)lanes & chosen); }

/* Elements i to i + LANES of an array. */
INLINE Lanes load_lanes(const void *array, Int i, int dtype) {
    typedef float Floats __attribute__((ext_vector_type(LANES)));
    const void *at = (const void *)address_of(array, i, dtype);
    Lanes lanes;
    Floats floats;
    if (dtype == FLOAT64) {
        memcpy(&lanes, at, sizeof lanes);
        return lanes;
    }
    if (dtype == FLOAT32) {
        memcpy(&floats, at, sizeof floats);
    } else if (dtype == FLOAT16) {
        _Float16 __attribute__((ext_vector_type(LANES))) halves;
        memcpy(&halves, at, sizeof halves);
        floats = __builtin_convertvector(halves, Floats);
    } else {
        uint16_t __attribute__((ext_vector_type(LANES))) halves;
        uint32_t __attribute__((ext_vector_type(LANES))) bits;
        memcpy(&halves, at, sizeof halves);
        bits = __builtin_convertvector(halves, __typeof__(bits)) << 16;
        memcpy(&floats, &bits, sizeof floats);
    }
    return __builtin_convertvector(floats, Lanes);
}

/* The next of n numbers, and another one in the place of those that are missing. */
INLINE Lanes next_lanes(const double *numbers, Int n, double other) {
    Lanes lanes = other;
    if (n >= LANES) memcpy(&lanes, numbers, sizeof lanes);
    else memcpy(&lanes, numbers, (size_t)n * sizeof other);
    return lanes;
}

/* Add to LANES neighbours in memory. */
INLINE void add_lanes_to(double *memory, Lanes added) {
    Lanes lanes;
    memcpy(&lanes, memory, sizeof lanes);
    lanes += added;
    memcpy(memory, &lanes, sizeof lanes);
}

/* The sum of all lanes. */
INLINE double sum_of_lanes(Lanes v) {
    EXACT;
    return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

#endif
