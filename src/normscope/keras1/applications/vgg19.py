"""`keras.applications.vgg19` of Keras 1.2.2: what to use in its place."""

from normscope.keras1.absent import refusing

__getattr__ = refusing(
    "applications.vgg19",
    {
        "VGG19": "use keras.applications.VGG19 of Keras 3",
        "preprocess_input": "use keras.applications.vgg19.preprocess_input of Keras 3",
        "decode_predictions": "use keras.applications.vgg19.decode_predictions of Keras 3",
    },
)
