"""`keras.applications.xception` of Keras 1.2.2: what to use in its place."""

from normscope.keras1.absent import refusing

__getattr__ = refusing(
    "applications.xception",
    {
        "Xception": "use keras.applications.Xception of Keras 3",
        "preprocess_input": "use keras.applications.xception.preprocess_input of Keras 3",
        "decode_predictions": "use keras.applications.xception.decode_predictions of Keras 3",
    },
)
