"""`keras.utils` of Keras 1.2.2."""
