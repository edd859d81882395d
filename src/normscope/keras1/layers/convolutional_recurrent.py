"""`keras.layers.convolutional_recurrent` of Keras 1.2.2."""

from normscope.keras1.absent import refusing
from normscope.keras1.live.layers.convlstm import ConvLSTM2D

__all__ = ["ConvLSTM2D"]

__getattr__ = refusing(
    "layers.convolutional_recurrent",
    {
        "ConvRecurrent2D": "derive from Layer and call K.rnn(step, x, states) in its call",
    },
)
