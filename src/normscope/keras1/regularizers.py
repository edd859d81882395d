"""`keras.regularizers` of Keras 1.2.2."""

from normscope.keras1.live.layers.regularizers import (
    ActivityRegularizer,
    EigenvalueRegularizer,
    L1L2Regularizer,
    Regularizer,
    WeightRegularizer,
    activity_l1,
    activity_l1l2,
    activity_l2,
    get,
    l1,
    l1l2,
    l2,
)

__all__ = [
    "ActivityRegularizer",
    "EigenvalueRegularizer",
    "L1L2Regularizer",
    "Regularizer",
    "WeightRegularizer",
    "activity_l1",
    "activity_l1l2",
    "activity_l2",
    "get",
    "l1",
    "l1l2",
    "l2",
]
