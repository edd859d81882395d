"""What the libraries on top of JAX share: calls, random numbers, and the way to a graph.

trace        the whole way, from a function; `functions`: from one of the user's
marks        in a jaxpr, where a layer is entered and left; `calls` reads them; `classes` sets them
jaxpr        the equations, one after the other, as nodes; `sources`: their lines
operators    the table: a role and a rule for each primitive; `products`, `moves` and `indexing`
             beside it, `meaning` what they give
running      one equation, run again
"""
