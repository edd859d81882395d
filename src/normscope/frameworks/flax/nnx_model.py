"""Modules of Flax NNX. A copy is examined, so the module itself is never touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import jax.numpy as jnp
from flax import nnx

from normscope.frameworks.flax.nnx_layer import told
from normscope.frameworks.flax.nnx_state import NnxState
from normscope.frameworks.layer import Array, mode_keyword
from normscope.frameworks.model import Model
from normscope.frameworks.steps import Recorder
from normscope.frameworks.telling import Telling


class NnxModel(Model):
    """A module, told its mode by `train()` and `eval()`."""

    def __init__(self, module: Any, given: Any) -> None:
        self.module = nnx.clone(module)
        super().__init__(
            f"{type(module).__module__.partition('.')[0]}.{type(module).__name__}",
            type(module).__name__,
            (True, False),
            [NnxState(self.module)],
            self.module.__call__,
        )
        arguments, named = self.inputs(given).arguments(self.leaf)
        try:
            self.telling, notes = told(module, arguments, named)
        except Exception:  # whatever it is, the calls will raise it again
            self.telling, notes = Telling(mode_keyword(type(module).__call__)), []
        self.notes += notes
        self.parts = {
            ".".join(map(str, path)): part for path, part in nnx.iter_modules(self.module) if path
        }

    def leaf(self, original: Any, value: Array) -> Any:
        """New values as an array of JAX."""
        return jnp.asarray(super().leaf(original, value))

    def call(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Any:
        """One call in a mode."""
        if training:
            self.module.train()
        else:
            self.module.eval()
        arguments, named = self.telling.arguments(arguments, named, training)
        return self.module(*arguments, **named)

    @contextmanager
    def watched(self, recorder: Recorder) -> Iterator[None]:
        """The `__call__` of each class in the model, replaced: Python asks the class for it."""
        paths = {id(part): path for path, part in self.parts.items()}
        with ExitStack() as undo:
            for kind in {type(part) for part in self.parts.values() if callable(part)}:
                original = kind.__call__
                if "__call__" in vars(kind):
                    undo.callback(setattr, kind, "__call__", original)
                else:
                    undo.callback(delattr, kind, "__call__")
                setattr(kind, "__call__", _reporting(original, paths, recorder))  # noqa: B010
            yield


def _reporting(
    original: Callable[..., Any], paths: dict[int, str], recorder: Recorder
) -> Callable[..., Any]:
    def call(module: Any, *arguments: Any, **named: Any) -> Any:
        path = paths.get(id(module))
        if path is None:  # of another model
            return original(module, *arguments, **named)
        recorder.enter(path, type(module).__name__, (arguments, named))
        output = original(module, *arguments, **named)
        recorder.leave(output)
        return output

    return call
