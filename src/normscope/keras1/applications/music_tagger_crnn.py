"""`keras.applications.music_tagger_crnn` of Keras 1.2.2: what to use in its place."""

from normscope.keras1.absent import refusing

__getattr__ = refusing(
    "applications.music_tagger_crnn",
    {
        "MusicTaggerCRNN": "it has no successor in Keras 3; load its file with load_weights",
    },
)
