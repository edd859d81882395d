"""`keras.wrappers.scikit_learn` of Keras 1.2.2: what to use in its place."""

from normscope.keras1.absent import refusing

__getattr__ = refusing(
    "wrappers.scikit_learn",
    {
        "KerasClassifier": "use keras.wrappers.SKLearnClassifier of Keras 3",
        "KerasRegressor": "use keras.wrappers.SKLearnRegressor of Keras 3",
        "BaseWrapper": "use keras.wrappers.SKLearnClassifier or SKLearnRegressor of Keras 3",
    },
)
