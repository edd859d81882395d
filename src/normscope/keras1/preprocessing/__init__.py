"""`keras.preprocessing` of Keras 1.2.2."""
