"""The layer under examination: its calls, its arrays, its precision, the numbers that it gives."""
