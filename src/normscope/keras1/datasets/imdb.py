"""`keras.datasets.imdb` of Keras 1.2.2: what to use in its place."""

from normscope.keras1.absent import refusing

__getattr__ = refusing(
    "datasets.imdb",
    {
        "load_data": "keras.datasets.imdb.load_data() of Keras 3 gives the same data; "
        "nb_words is num_words there",
        "get_word_index": "keras.datasets.imdb.get_word_index() of Keras 3 gives the same",
    },
)
