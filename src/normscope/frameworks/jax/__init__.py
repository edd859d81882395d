"""What the libraries on top of JAX share."""
