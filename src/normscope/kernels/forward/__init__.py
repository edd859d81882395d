"""The forward pass: statistics are measured, merged, and the output is written."""
