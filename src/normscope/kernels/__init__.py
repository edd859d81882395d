"""Numba kernels: loops over memory addresses, sizes and strides, which know nothing of a spec.

    memory      one element: load, store; every storage type computes in float64
    nest        the loop nest: sizes and strides of all arrays, and the offsets of an index
    formula     the numbers of the formula; the divisor that they give
    state       what is known of a statistics set: count, mean, root; how two parts of it merge
    many        means and divisors of many sets at once
    stream      write past the caches
    rows        the contiguous axis is shared: a statistics set is a few long runs
    columns     the contiguous axis is kept: neighbouring elements belong to neighbouring sets
    straight    rows that are one run of memory each
    merging     put the states of chunks together
    gradient_*  the same two shapes for the backward pass, and for the sums of parameter gradients

Importing any of them imports Numba, so `normscope` does so only when a kernel is needed.
"""
