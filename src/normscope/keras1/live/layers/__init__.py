"""The layers of Keras 1.2.2 as Keras 3 layers, and what they are made with."""
