"""Models in files of Keras 2 and 3, rebuilt from their settings, running no code of the file."""
