"""`keras.applications.imagenet_utils` of Keras 1.2.2: what to use in its place."""

from normscope.keras1.absent import refusing

__getattr__ = refusing(
    "applications.imagenet_utils",
    {
        "preprocess_input": "use keras.applications.imagenet_utils.preprocess_input of Keras 3",
        "decode_predictions": "use keras.applications.imagenet_utils.decode_predictions of Keras 3",
    },
)
