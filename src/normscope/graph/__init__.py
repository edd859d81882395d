"""The operator graph of a model: what it computes, operator by operator, and what follows."""
