"""`keras.applications.inception_v3` of Keras 1.2.2: what to use in its place."""

from normscope.keras1.absent import refusing

__getattr__ = refusing(
    "applications.inception_v3",
    {
        "InceptionV3": "use keras.applications.InceptionV3 of Keras 3",
        "preprocess_input": "use keras.applications.inception_v3.preprocess_input of Keras 3",
        "decode_predictions": "use keras.applications.inception_v3.decode_predictions of Keras 3",
    },
)
