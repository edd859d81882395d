"""Files from strangers: what they are, told by their content. Nothing in them is run."""
