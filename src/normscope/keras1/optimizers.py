"""`keras.optimizers` of Keras 1.2.2."""

from normscope.keras1.absent import refusing
from normscope.keras1.live.training.optimizer import Optimizer
from normscope.keras1.live.training.optimizers import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    Nadam,
    RMSprop,
    get,
)

adadelta = Adadelta
adagrad = Adagrad
adam = Adam
adamax = Adamax
nadam = Nadam
rmsprop = RMSprop
sgd = SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "Adamax",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "adadelta",
    "adagrad",
    "adam",
    "adamax",
    "get",
    "nadam",
    "rmsprop",
    "sgd",
]

__getattr__ = refusing(
    "optimizers",
    {
        "TFOptimizer": "give compile the optimizer of Keras 3 of that name",
    },
)
