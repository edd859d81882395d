"""The settings of a layer in a file, turned into such as Keras 3 takes; refused is the unknown."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from normscope.frameworks.keras.saved.allowed import LAYERS, MODELS, OLDER_NAMES, home_of

MOST = 2**40
"""No size in a file is larger."""


class UnknownClassError(Exception):
    """A class that is none of Keras's own, or a setting that Keras 3 does not have; its name."""


_SAY_NOTHING = """
batch_input_shape input_shape input_dim input_length fused implementation ragged sparse
renorm_clipping renorm_momentum quantization_config build_input_shape experimental_autocast
stateful_metrics batch_size num_oov shared_object_id synchronized
"""
"""Settings of other releases that change nothing in what is computed."""

_DTYPES_OF_NUMBERS = frozenset(
    (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("bfloat16", "float16", "float32", "float64", "complex64", "complex128"),
    )
)

_OF_ANY_LAYER = ("name", "trainable", "dtype", "activity_regularizer", "autocast")


def class_of(serialized: Mapping[str, Any]) -> str:
    """The name of the class, as Keras 3 has it, of an object in a file.

    Raises:
        UnknownClassError: it is none of Keras itself.
    """
    name = serialized.get("class_name")
    if not isinstance(name, str):
        raise UnknownClassError("an object without a class")
    module = serialized.get("module", "keras")
    registered = serialized.get("registered_name")
    own = isinstance(module, str) and (module == "keras" or module.startswith("keras."))
    if not own or (isinstance(registered, str) and registered not in (name, "")):
        raise UnknownClassError(name)
    whole = f"{module}.{name}"
    return whole if whole in LAYERS else OLDER_NAMES.get(name, name)


def checked(serialized: Mapping[str, Any]) -> dict[str, Any]:
    """An object in a file, as Keras 3 serializes it: names of Keras alone, everything inside too.

    Raises:
        UnknownClassError: it, or an object inside, is none of Keras itself.
    """
    name = class_of(serialized)
    home = "keras.models" if name in MODELS else home_of(name)
    config = serialized.get("config")
    if home is None or not isinstance(config, Mapping | None):
        raise UnknownClassError(name)
    plain = modern(name, config or {}) if name in LAYERS else _plain(config or {})
    return {"module": home, "class_name": name, "config": plain, "registered_name": None}


def modern(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a layer of Keras in the form of Keras 3.

    Raises:
        UnknownClassError: it holds an object of another class, or a setting that Keras 3 lacks.
    """
    settings = dict(config)
    if name == "InputLayer":
        settings = _of_input(settings)
    axis = settings.get("axis")
    if isinstance(axis, list) and len(axis) == 1 and name != "UnitNormalization":
        settings["axis"] = axis[0]
    policy = settings.get("dtype")
    if isinstance(policy, Mapping) and policy.get("class_name") in ("Policy", "PolicyV1"):
        settings["dtype"] = dict(policy.get("config") or {}).get("name")
    if settings.get(
        "stateful"
    ):  # the state of one call is none of the next, which is not looked at
        settings["stateful"] = False
    taken = _taken(name)
    for key in [key for key in settings if key not in taken]:
        if settings.pop(key) not in (None, False) and key not in _SAY_NOTHING.split():
            raise UnknownClassError(f"{name}({key}=...)")
    if not isinstance(settings.get("name", ""), str | None):
        raise UnknownClassError(f"{name}(name=...)")
    for key, value in settings.items():
        if key.endswith("activation") and isinstance(value, str):
            _check_activation(value)
    found: dict[str, Any] = _plain(settings)
    return found


def _of_input(settings: dict[str, Any]) -> dict[str, Any]:
    shape = settings.pop("batch_input_shape", None)
    if shape is not None:
        settings["batch_shape"] = shape
    return {key: settings[key] for key in ("batch_shape", "dtype", "name") if key in settings}


_IN_KEYWORDS = {"LayerNormalization": {"rms_scaling"}}
"""Settings that a layer takes among its keywords, which its signature does not tell."""


def _taken(name: str) -> set[str]:
    """The settings that a layer of Keras 3 takes."""
    found = set(_OF_ANY_LAYER) | _IN_KEYWORDS.get(name, set())
    for cls in LAYERS[name].__mro__:
        if cls is not object and "__init__" in vars(cls):
            parameters = inspect.signature(cls.__init__).parameters
            found.update(parameters)
            if not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
                break
    return found - {"self", "args", "kwargs"}


def _check_activation(name: str) -> None:
    known = getattr(keras.activations, name, None)
    if not callable(known) or name in ("get", "serialize", "deserialize"):
        raise UnknownClassError(name)


def dtype_of_numbers(config: Mapping[str, Any]) -> str:
    """The dtype of an array that stands in a file number by number.

    A text has as many bytes as its dtype says, whatever the file holds of it.

    Raises:
        UnknownClassError: it is none of numbers.
    """
    dtype = config.get("dtype")
    if not isinstance(dtype, str) or dtype not in _DTYPES_OF_NUMBERS:
        raise UnknownClassError(f"an array of the dtype {dtype!r:.40}")
    return dtype


def _plain(value: Any) -> Any:
    """A value with every object in it checked.

    Raises:
        UnknownClassError: one is not of Keras itself, or a number is too large.
    """
    if isinstance(value, Mapping):
        if "class_name" in value:
            return _object(value)
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) > MOST:
        if value != value or value in (float("inf"), -float("inf")):
            return value
        raise UnknownClassError(f"the number {value:.3g}")
    return value


def _object(value: Mapping[str, Any]) -> Any:
    name = value["class_name"]
    config = value.get("config")
    if name == "__keras_tensor__" and isinstance(config, Mapping):
        inside = {key: config.get(key) for key in ("shape", "dtype", "keras_history")}
        return {"class_name": name, "config": inside}
    if name in ("__tensor__", "__numpy__") and isinstance(config, Mapping):
        inside = {"value": _plain(config.get("value")), "dtype": dtype_of_numbers(config)}
        return {"class_name": name, "config": inside}
    if name == "__slice__" and isinstance(config, Mapping):
        inside = {key: _plain(config.get(key)) for key in ("start", "stop", "step")}
        return {"class_name": name, "config": inside}
    if name == "__ellipsis__":
        return {"class_name": name, "config": {}}
    if name == "function" and isinstance(config, str):  # an activation of Keras, by its name
        class_of({**value, "class_name": config})
        _check_activation(config)
        return config
    return checked(value)
