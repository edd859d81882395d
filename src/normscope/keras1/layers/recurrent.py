"""`keras.layers.recurrent` of Keras 1.2.2."""

from normscope.keras1.absent import refusing
from normscope.keras1.live.layers.recurrent import GRU, LSTM, SimpleRNN

__all__ = ["GRU", "LSTM", "SimpleRNN"]

__getattr__ = refusing(
    "layers.recurrent",
    {
        "Recurrent": "derive from Layer and call K.rnn(step, x, states) in its call",
        "time_distributed_dense": "use TimeDistributed(Dense(...))",
    },
)
