"""What Python has no words for: instructions, memory, and how kernels are compiled and kept."""
