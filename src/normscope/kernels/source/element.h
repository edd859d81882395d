/* One element of memory: load, store.

   Values are float64 once loaded, and are rounded once when stored. Going to 16 bits in one
   rounding takes a float32 *rounded to odd* on the way: its last bit remembers whether anything was
   cut off, so the second rounding cannot be misled by the first. `dtype` is always a constant. */
#ifndef NORMSCOPE_ELEMENT_H
#define NORMSCOPE_ELEMENT_H

#include "contract.h"

INLINE Int size_of(int dtype) { return dtype == FLOAT64 ? 8 : dtype == FLOAT32 ? 4 : 2; }

INLINE float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

INLINE uint32_t bits_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

/* Element i of an array, as float64. */
INLINE double load(const void *array, Int i, int dtype) {
    if (dtype == FLOAT64) return ((const double *)array)[i];
    if (dtype == FLOAT32) return (double)((const float *)array)[i];
    if (dtype == FLOAT16) return (double)(float)((const _Float16 *)array)[i];
    return (double)float_of_bits((uint32_t)((const uint16_t *)array)[i] << 16);
}

/* The bits of a float32: the value cut off towards zero, the last bit set if that lost anything. */
INLINE uint32_t odd_bits(double value) {
    float near = (float)value;
    double back = (double)near;
    uint32_t cut = bits_of_float(near) - (uint32_t)(fabs(back) > fabs(value));
    return cut | (uint32_t)(back != value && back == back);
}

/* The bits of a bfloat16. */
INLINE uint16_t bfloat16_bits(double value) {
    uint32_t bits = odd_bits(value);
    uint32_t up = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
    return (uint16_t)(value != value ? 0x7FC0 : up);
}

/* Round a value once and write it to element i of an array. */
INLINE void store(void *array, Int i, double value, int dtype) {
    if (dtype == FLOAT64) ((double *)array)[i] = value;
    else if (dtype == FLOAT32) ((float *)array)[i] = (float)value;
    else if (dtype == FLOAT16) ((_Float16 *)array)[i] = (_Float16)float_of_bits(odd_bits(value));
    else ((uint16_t *)array)[i] = bfloat16_bits(value);
}

/* A value as it would come back after a store. */
INLINE double rounded(double value, int dtype) {
    if (dtype == FLOAT64) return value;
    if (dtype == FLOAT32) return (double)(float)value;
    if (dtype == FLOAT16) return (double)(float)(_Float16)float_of_bits(odd_bits(value));
    return (double)float_of_bits((uint32_t)bfloat16_bits(value) << 16);
}

/* A parameter, of a dtype that is not a constant. */
INLINE double load_parameter(const void *array, Int i, int dtype) {
    return dtype == FLOAT32 ? load(array, i, FLOAT32) : load(array, i, FLOAT64);
}

/* Whether the mask counts an element; without a mask all count. */
INLINE int counts(const uint8_t *mask, Int i) { return mask == NULL || mask[i] != 0; }

/* The address of element i. */
INLINE uintptr_t address_of(const void *array, Int i, int dtype) {
    return (uintptr_t)array + (uintptr_t)(i * size_of(dtype));
}

/* How many elements lie between the beginning of a cache line and element i in it. */
INLINE Int past_line(const void *array, Int i, int dtype) {
    return (Int)(address_of(array, i, dtype) % LINE) / size_of(dtype);
}

/* Calls `function(..., dtype)` with the dtype as a constant: one copy for each. */
#define FOR_DTYPE(dtype, function, ...)                          \
    switch (dtype) {                                             \
    case FLOAT64: function(__VA_ARGS__, FLOAT64); break;         \
    case FLOAT32: function(__VA_ARGS__, FLOAT32); break;         \
    case FLOAT16: function(__VA_ARGS__, FLOAT16); break;         \
    default: function(__VA_ARGS__, BFLOAT16); break;             \
    }

#endif
