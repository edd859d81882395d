"""`keras.applications.resnet50` of Keras 1.2.2: what to use in its place."""

from normscope.keras1.absent import refusing

__getattr__ = refusing(
    "applications.resnet50",
    {
        "ResNet50": "use keras.applications.ResNet50 of Keras 3",
        "preprocess_input": "use keras.applications.resnet50.preprocess_input of Keras 3",
        "decode_predictions": "use keras.applications.resnet50.decode_predictions of Keras 3",
    },
)
