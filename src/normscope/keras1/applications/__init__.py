"""`keras.applications` of Keras 1.2.2: what to use in its place."""

from normscope.keras1.absent import refusing

__getattr__ = refusing(
    "applications",
    {
        "VGG16": "use keras.applications.VGG16 of Keras 3",
        "VGG19": "use keras.applications.VGG19 of Keras 3",
        "ResNet50": "use keras.applications.ResNet50 of Keras 3",
        "InceptionV3": "use keras.applications.InceptionV3 of Keras 3",
        "Xception": "use keras.applications.Xception of Keras 3",
        "MusicTaggerCRNN": "it has no successor in Keras 3; load its file with load_weights",
    },
)
