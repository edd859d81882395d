"""Numba kernels: loops over memory addresses, sizes and strides, which know nothing of a spec.

    contract    the border to the engine, free of Numba: the order of arrays in a nest, rows of
                statistics, numbers of measures and of the formula, the arrays of a call
    measures    what differs by measure, compiled
    nest        the loop nest: sizes and strides of all arrays, and the offsets of an index
    formula     the divisor, from the numbers of the formula
    tile        some columns, and their scratch memory
    machine/
      compiling              how kernels are compiled
      disk_cache             their machine code on disk
      instructions           of the processor, for which Python has no words
      memory                 one element: load, store; all dtypes are float64 in between
      fetching               bring memory into the cache before it is needed
      streaming_stores       write past the caches
      double_double          numbers of twice the precision of float64
    forward/
      nest                   the functions for the order of arrays in a forward call
      partial_statistics     what is known of a statistics set: count, mean, root; how parts merge
      float64_statistics     statistics of float64 input, in numbers of twice its precision
      vectorized_divisors    means and divisors of many sets at once
      scaling                what the output of a set needs: centre and factor
      runs                   loops over one run of memory
      rows                   the contiguous axis is shared: a statistics set is a few long runs
      contiguous_rows        rows that are one run of memory each; short ones are measured in groups
      columns                the contiguous axis is kept: neighbours belong to neighbouring sets
      measure_*, write_*     the two halves of each: statistics of sets, and output
      merging                put the statistics of chunks together
    backward/
      nest            the functions for the order of arrays in a backward call
      input_gradient         the derivative of a normalization, from sums over a set
      rows columns runs tiles  as in forward/, for the backward pass
      parameters             gradients of parameters that need a pass of their own

Importing any other imports Numba, so `normscope` does so only when a kernel is needed.

How they are written:

- A loop over elements stands once, in a `part` that takes tuples (`arrays`) and the distances
  between elements; it begins with `use_widest_vectors`. With None for the distances, elements are
  neighbours, and it becomes vector instructions; with those of the nest it serves the rest.
- What differs by type costs nothing: the tag of a dtype, or None for an array that is not there. A
  branch on it need not compile for the other types if it tests an argument of the function, which
  Numba drops before it looks at types; a field of a tuple it does not drop. What only float64 input
  needs, much of the code, hangs on such an argument: `double_double`, or `lanes`.
- A parameter that is one for all is given as its value, not as a distance of 0: with those LLVM did
  not vectorize.
- Bits do not depend on the number of threads: work is cut by size, and pieces are merged in order.
"""
