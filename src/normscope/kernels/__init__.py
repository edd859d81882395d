"""The kernels: loops over memory addresses, sizes and strides, in C; they know nothing of a spec.

They are compiled when the package is built, once for each level of processors, and called through
ctypes with one structure. What is in which file:

    contract    the border to the engine: how dtypes and measures are numbered, the order of arrays
                in a loop nest, rows of statistics, numbers of the formula
    calls       the structures that kernels are called with, for ctypes; addresses of arrays
    recipe      what the libraries are made of: sources, levels of processors, the compiler's words
    library     which of them suits this processor, and where its kernels are
    built/      the libraries
    source/
      contract.h           contract.py and calls.py, as kernels see them
      machine.h            how functions are compiled, and what the language has no words for
      element.h            one element: load, store; all dtypes are float64 in between
      nest.h               the loop nest, and the offsets of an index
      formula.h            the divisor, from the numbers of the formula; what differs by measure
      statistics.h         what is known of a statistics set: count, mean, root; how parts merge
      double_double.h      numbers of twice the precision of float64
      float64_statistics.h statistics of float64 input, in such numbers
      scaling.h            what the output of a set needs: unit, centre and factor
      lanes.h divisors.h   sums in vectors; means and divisors of many sets at once
      stream.h             write past the caches
      rows.h runs.h forward_rows.c       the contiguous axis is shared: a set is a few long runs
      forward_contiguous_rows.c          sets that are one run each; short ones in groups
      tile.h columns.h measure_columns.h write_columns.h forward_columns.c
                           the contiguous axis is kept: neighbours belong to neighbouring sets
      merging.c            put the statistics of chunks together, and find divisors
      input_gradient.h     the derivative of a normalization, from sums over a set
      backward_runs.h backward_rows.c backward_columns.c     the same, for the backward pass
      parameters.c         gradients of parameters that need a pass of their own
      items.h team.h team.c helper_thread.h waiting.h     the threads that run a kernel
      library.c            what a library says of itself, and of the processor

How they are written:

- A kernel is called with a structure and the items of the job. It takes the numbers of items until
  none is left, so it does not matter how many threads run it, nor when they come.
- What is written once for several dtypes or cases is an INLINE function that takes them as constant
  arguments; a switch at the top of a kernel makes the copies (`FOR_DTYPE`). There are few: only the
  loops over neighbours that all count are compiled for each case. All else (strides, masks, sums of
  no squares) goes through one general loop for each dtype, which asks at run time.
- Elements are float64 once loaded, and rounded once when stored.

How bits stay the same:

- Work is cut by size, never by the number of threads, and pieces are merged in order.
- A function says in its first line what may be done with its rounding: see `machine.h`. Sums are
  taken in an order that depends on sizes alone, not on how wide the vectors of a processor are.
- An output may be its input: no loop stores what it loads in another turn.

To add a measure: give it a number in `contract.py` and `contract.h`, say in `formula.h` what is
summed of an element and how sums go together, and in `input_gradient.h` what its derivative is.
To add a dtype: give it a number in both, and say in `element.h` how it is loaded and stored. After
a change `make`, or `python hatch_build.py`, compiles anew; a library of other sources is refused.
"""
