"""Layers that are objects: their calls are heard by replacing the `__call__` of their classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from normscope.frameworks.jax.marks import marked

Call = Callable[..., Any]


@contextmanager
def replaced_calls(kinds: Iterable[type], replacement: Callable[[Call], Call]) -> Iterator[None]:
    """Within, classes have another `__call__`: Python asks the class for it, not the object.

    Args:
        kinds: the classes.
        replacement: gives another function for the one that a class has.
    """
    with ExitStack() as undo:
        for kind in dict.fromkeys(kinds):
            if not any("__call__" in vars(base) for base in kind.__mro__):
                continue
            original = kind.__call__
            if "__call__" in vars(kind):
                undo.callback(setattr, kind, "__call__", vars(kind)["__call__"])
            else:
                undo.callback(delattr, kind, "__call__")
            setattr(kind, "__call__", replacement(original))  # noqa: B010
        yield


class Layers:
    """Makes the calls of layers that are inside of a model marked.

    Attributes:
        paths: of those layers that are known, by their `id`; "" is the model itself.
        layers: the layers as the user has them, by path.
    """

    def __init__(
        self,
        held: Callable[[Any], dict[str, Any]],
        paths: Mapping[int, str],
        layers: Mapping[str, Any],
    ) -> None:
        """`held` gives the arrays of a layer, by where they stand in it."""
        self.paths = dict(paths)
        self.layers = layers
        self._held = held

    def marking(self, original: Call) -> Call:
        """What marks the calls that it passes on."""

        def call(layer: Any, *arguments: Any, **named: Any) -> Any:
            path = self.paths.get(id(layer))
            if path == "":
                return original(layer, *arguments, **named)
            return marked(
                lambda arguments, named: original(layer, *arguments, **named),
                arguments,
                named,
                path=path,
                type=type(layer).__name__,
                layer=self.layers.get(path or ""),
                held=self._held(layer) if path is None else None,
            )

        return call
