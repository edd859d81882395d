"""The layers of Keras 1.2.2 as Keras 3 layers; `normscope.keras1` gives their public names."""
