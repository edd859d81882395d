"""What layers of several frameworks share: the formula, the statement, the shapes of parameters."""
