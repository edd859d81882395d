"""The notation: text -> pattern -> layout of a shape, and `NormSpec`, which says it all."""
