"""Exported programs of PyTorch, as objects and as files: read, run step by step, recorded."""
