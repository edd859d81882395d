"""`keras.models` of Keras 1.2.2."""

from normscope.keras1.absent import refusing
from normscope.keras1.live.loading import load_model, model_from_config, model_from_json
from normscope.keras1.live.models import Model, Sequential
from normscope.keras1.live.saving import save_model

__all__ = [
    "Model",
    "Sequential",
    "load_model",
    "model_from_config",
    "model_from_json",
    "save_model",
]

__getattr__ = refusing(
    "models",
    {
        "model_from_yaml": "use model_from_json; YAML can hold code, and is not read",
        "Graph": "use Model(input=..., output=...)",
    },
)
