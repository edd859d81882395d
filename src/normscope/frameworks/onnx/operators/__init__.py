"""What the operators of ONNX do with their elements; one table, from their names."""
