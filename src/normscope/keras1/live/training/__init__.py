"""Training as in Keras 1.2.2: losses, optimizers, data, callbacks, and the methods of a model."""
