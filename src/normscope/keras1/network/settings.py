"""The settings of one Keras 1 layer, read through checks, and what is known of one output."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from normscope.errors import ModelFileError
from normscope.wording import counted

Size: TypeAlias = int | None
Shape: TypeAlias = tuple[Size, ...]
Axes: TypeAlias = tuple[str, ...]

MAX_INTEGER = 2**31 - 1
MAX_RANK = 16


@dataclass(frozen=True)
class Tensor:
    """The shape and the axis names of one output; a tensor with names has a shape of that rank."""

    shape: Shape | None = None
    axes: Axes | None = None


UNKNOWN = Tensor()


@dataclass(frozen=True)
class Settings:
    """The config of one layer, read through checks: a wrong value is an error that names it.

    `ordering` is the dim_ordering to assume where the config of a layer does not hold its own.
    A null in the config counts as absent, as Keras writes its own None so.

    >>> Settings("m.json", "conv_1", "Convolution2D", {"nb_filter": -3}).integer("nb_filter")
    Traceback (most recent call last):
    normscope.errors.ModelFileError: m.json: layer 'conv_1' (Convolution2D): nb_filter is -3, \
expected an integer from 1 to 2147483647
    """

    file: str
    path: str
    layer_class: str
    config: Mapping[str, object]
    ordering: str | None = None

    def error(self, reason: str) -> ModelFileError:
        """The error that names this layer."""
        return ModelFileError(self.file, f"layer {self.path!r} ({self.layer_class}): {reason}")

    def wrong(self, key: str, value: object, expected: str) -> ModelFileError:
        """The error of a setting: which, what came, what was expected."""
        return self.error(f"{key} is {reprlib.repr(value)}, expected {expected}")

    def value(self, key: str, default: object = None) -> object:
        """Any setting, unchecked."""
        value = self.config.get(key)
        return default if value is None else value

    def integer(self, key: str, default: int | None = None) -> int:
        """A positive integer."""
        return self.as_integer(key, self.value(key, default))

    def per_axis(self, key: str, count: int, default: Sequence[int]) -> tuple[int, ...]:
        """One integer for each axis of the space; Keras writes a bare integer for a single one."""
        if count == 1:
            return (self.integer(key, default[0]),)
        return self.as_integers(key, self.value(key, list(default)), count)

    def choice(self, key: str, choices: Sequence[str], default: str | None = None) -> str:
        """One of some texts."""
        value = self.value(key, default)
        if not isinstance(value, str) or value not in choices:
            raise self.wrong(key, value, f"one of {', '.join(choices)}")
        return value

    def flag(self, key: str) -> bool:
        """True or false; false if absent."""
        value = self.value(key, False)
        if not isinstance(value, bool):
            raise self.wrong(key, value, "true or false")
        return value

    def shape(self, key: str) -> Shape:
        """A list of sizes, null for an unknown one."""
        sizes = self.value(key)
        if not isinstance(sizes, list) or not 1 <= len(sizes) <= MAX_RANK:
            raise self.wrong(key, sizes, f"a list of 1 to {MAX_RANK} sizes")
        return tuple(None if size is None else self.as_integer(key, size) for size in sizes)

    def wrapped(self) -> Settings:
        """The settings of the layer inside a wrapper."""
        layer = self.value("layer")
        if not isinstance(layer, dict):
            raise self.wrong("layer", layer, "an object")
        layer_class, config = layer.get("class_name"), layer.get("config")
        if not isinstance(layer_class, str) or not isinstance(config, dict):
            raise self.wrong("layer", layer, "an object with class_name and config")
        return Settings(self.file, self.path, layer_class, config, self.ordering)

    def sizes_of(self, x: Tensor, rank: int) -> Shape:
        """The shape of an input that must have `rank` axes; all None where nothing is known."""
        if x.shape is None:
            return (None,) * rank
        if len(x.shape) != rank:
            raise self.error(
                f"expected an input of {counted(rank, 'axis')}, got the shape {x.shape}"
            )
        return x.shape

    def as_integer(self, key: str, value: object, low: int = 1) -> int:
        """Check a `value` that was found in the setting `key`."""
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= MAX_INTEGER:
            raise self.wrong(key, value, f"an integer from {low} to {MAX_INTEGER}")
        return value

    def as_integers(self, key: str, values: object, count: int, low: int = 1) -> tuple[int, ...]:
        """Check a list of `count` integers that was found in the setting `key`."""
        if not isinstance(values, list) or len(values) != count:
            raise self.wrong(key, values, f"a list of {count} integers")
        return tuple(self.as_integer(key, value, low) for value in values)
