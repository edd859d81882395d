"""`keras.datasets.cifar100` of Keras 1.2.2: what to use in its place."""

from normscope.keras1.absent import refusing

__getattr__ = refusing(
    "datasets.cifar100",
    {
        "load_data": "keras.datasets.cifar100.load_data() of Keras 3 gives the same data",
    },
)
