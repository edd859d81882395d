"""TensorFlow, of which only the arrays are known here: they come with Keras."""
