"""The scratch memory of a tile of columns: one flat array of float64, and what its rows hold."""

WIDEST = 872
"""No tile has more columns; it is the distance of the rows of scratch memory.

An odd number of cache lines: rows whole pages apart would compete for the same places in a cache.
"""

# Rows of the scratch memory, which is one flat array of float64. Rests: see `wide`.
COUNT, MEAN, ROOT = 0, WIDEST, 2 * WIDEST  # the state of each column
PIVOT, UNIT, SEEN = 3 * WIDEST, 4 * WIDEST, 5 * WIDEST
SUM, SUM_REST, SQUARE, SQUARE_REST = 6 * WIDEST, 7 * WIDEST, 8 * WIDEST, 9 * WIDEST
CENTRE, RSTD, FACTOR, OFFSET = 10 * WIDEST, 11 * WIDEST, 12 * WIDEST, 13 * WIDEST
MEAN_REST, ROOT_REST = 14 * WIDEST, 15 * WIDEST
CENTRE_REST, RSTD_REST, FACTOR_REST = 16 * WIDEST, 17 * WIDEST, 18 * WIDEST
SCRATCH = 19 * WIDEST
