"""ONNX, run by onnxruntime; followed operator by operator by its own graph.

file, wire, tensors    a file, whose large arrays stay in it until they are asked for
structure, names       the order of its nodes, and the layers that exporters name in it
trace                  the whole way, from a model
applying, shapes       one operator as a node, and what it makes before it is run
operators/table        a role and a rule for each operator
functions, control,    what is not one operator: functions of the file, graphs that a node runs,
sequences              lists of values
evaluation             one operator, run again
"""
