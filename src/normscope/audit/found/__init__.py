"""What is normalized at the sites of an operator graph: found, compared, verified."""
