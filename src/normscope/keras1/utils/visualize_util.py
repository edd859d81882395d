"""`keras.utils.visualize_util` of Keras 1.2.2: what to use in its place."""

from normscope.keras1.absent import refusing

__getattr__ = refusing(
    "utils.visualize_util",
    {
        "plot": "write keras.utils.plot_model(model, to_file='model.png') of Keras 3, or "
        "model.summary()",
        "model_to_dot": "write keras.utils.model_to_dot(model) of Keras 3",
    },
)
