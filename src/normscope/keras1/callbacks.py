"""`keras.callbacks` of Keras 1.2.2."""

from normscope.keras1.absent import refusing
from normscope.keras1.live.training.callbacks import (
    Callback,
    CallbackList,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ProgbarLogger,
    ReduceLROnPlateau,
    RemoteMonitor,
)

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ProgbarLogger",
    "ReduceLROnPlateau",
    "RemoteMonitor",
]

__getattr__ = refusing(
    "callbacks",
    {
        "TensorBoard": "use keras.callbacks.TensorBoard of Keras 3, which needs TensorFlow",
        "BaseLogger": "the logs of an epoch are means over its batches without it",
    },
)
