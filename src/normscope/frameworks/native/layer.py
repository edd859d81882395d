"""`NativeLayer`: a layer of a framework, described; from it come source text and object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class NativeLayer:
    """A layer of a framework, not made yet.

    Attributes:
        name: the layer as code says it, such as `"keras.layers.LayerNormalization"`.
        arguments: its arguments by name.
        call: how it must be called, where its default call does something else.
        difference: in what its formula differs from the spec, if it does.
        caution: where it does not do what it says, if there is such a place.

    Example:
        >>> NativeLayer("torch.nn.GroupNorm", {"num_groups": 1, "num_channels": 8}).code
        'torch.nn.GroupNorm(num_groups=1, num_channels=8)'
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    call: str = ""
    difference: str = ""
    caution: str = ""

    @property
    def code(self) -> str:
        """The layer as source text."""
        given = ", ".join(f"{name}={_literal(value)}" for name, value in self.arguments.items())
        return f"{self.name}({given}){self.call}"

    @property
    def class_name(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]

    def made(self, module: Any, **more: Any) -> Any:
        """The layer itself, made from the module of the framework that holds its class."""
        return getattr(module, self.class_name)(**self.arguments, **more)


def _literal(value: object) -> str:
    """A value as source text; a number as short as it can be without loss."""
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return repr(value)
