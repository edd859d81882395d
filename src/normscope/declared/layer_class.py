"""Which of a framework's layers an object is, told by the names of its classes alone."""

from __future__ import annotations

from collections.abc import Container

from normscope.errors import SpecError


def framework_class(
    layer: object, *, homes: tuple[str, ...], names: Container[str], method: str
) -> str | None:
    """The framework's class that a layer is, or inherits from.

    Args:
        layer: any object.
        homes: beginnings of the names of the modules that hold the framework's layers.
        names: the classes that are looked for.
        method: the method that computes; a subclass with its own cannot be read from settings.

    Returns:
        The name of the class; None if the layer is none of them.

    Raises:
        SpecError: a subclass overrides `method`.
    """
    for cls in type(layer).__mro__:
        if cls.__name__ in names and cls.__module__.startswith(homes):
            _check_not_overridden(layer, cls, method)
            return cls.__name__
    return None


def _check_not_overridden(layer: object, known: type, method: str) -> None:
    for cls in type(layer).__mro__:
        if cls is known:
            return
        if method in vars(cls):
            raise SpecError(
                f"{cls.__qualname__} computes by its own {method}(), so the settings that it has "
                f"from {known.__qualname__} do not say what it normalizes; state the spec, or ask "
                "the layer itself with identify"
            )
