"""Which elements see each other, and the pattern of the statistics sets that they form."""
