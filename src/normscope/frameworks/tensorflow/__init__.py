"""TensorFlow, which comes with Keras: its arrays, and its graphs as operator graphs.

trace        the whole way, from a function
builder      operations, one after the other, as nodes; `session`: what is known meanwhile
applied      one operation; `items`: what stands for its tensors
operators    the table: a role and a rule for each type; `products` and `movements` beside it
flow         functions, branches and loops; `loops`: those of counted rounds; `rounds`: run again
"""
