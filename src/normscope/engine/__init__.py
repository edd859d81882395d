"""Arrays in, arrays out: the checks, the plan and the threads around the kernels."""
