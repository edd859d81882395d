"""The normalizations of the textbooks, which belong to no framework."""
