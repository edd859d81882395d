"""The calls of the modules of Flax Linen, marked."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from flax import linen

from normscope.frameworks.jax.marks import innermost, marked


def marking() -> AbstractContextManager[None]:
    """Within, the calls of all modules are marked, but for the outermost."""
    return linen.intercept_methods(_marked)


def _marked(method: Any, arguments: Any, named: Any, context: Any) -> Any:
    path = ".".join(context.module.path)
    around = innermost()
    again = around is not None and around.path == path  # the same one, lifted by scan or remat
    if context.method_name != "__call__" or not path or again:
        return method(*arguments, **named)
    return marked(
        lambda arguments, named: method(*arguments, **named),
        arguments,
        named,
        path=path,
        type=type(context.module).__name__,
        layer=context.module.clone(parent=None),
    )
