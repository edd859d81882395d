"""`keras.datasets` of Keras 1.2.2: each module says what to use in its place."""
