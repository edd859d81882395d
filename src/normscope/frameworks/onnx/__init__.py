"""ONNX, run by onnxruntime."""
