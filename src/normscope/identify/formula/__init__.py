"""From known statistics sets to a verified spec: measure, divisor, parameters."""
