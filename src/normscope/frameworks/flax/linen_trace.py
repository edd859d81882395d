"""The calls of the modules of Flax Linen, marked."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager
from typing import Any

from flax import linen

from normscope.frameworks.jax.marks import innermost, marked
from normscope.frameworks.mode_telling import mode_keyword


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
        layer=_alone(context.module),
    )


def _alone(module: Any) -> Any:
    """A module outside of its model, which can be told its mode again if it can be told by call."""
    name = mode_keyword(type(module).__call__)
    default = next((f.default for f in dataclasses.fields(module) if f.name == name), True)
    return module.clone(parent=None, **({name: None} if name and default is None else {}))
