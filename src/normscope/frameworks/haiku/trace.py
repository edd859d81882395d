"""The calls of the modules of Haiku, marked."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import haiku

from normscope.frameworks.jax.marks import marked


def marking() -> AbstractContextManager[None]:
    """Within, the calls of all modules are marked."""
    heard: AbstractContextManager[None] = haiku.intercept_methods(_marked)
    return heard


def _marked(method: Any, arguments: Any, named: Any, context: Any) -> Any:
    if context.method_name != "__call__":
        return method(*arguments, **named)
    return marked(
        lambda arguments, named: method(*arguments, **named),
        arguments,
        named,
        path=context.module.module_name,
        type=type(context.module).__name__,
        layer=context.module,
    )
