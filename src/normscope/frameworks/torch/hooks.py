"""Hooks by which modules of PyTorch tell what goes into and comes out of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from normscope.frameworks.recorder import Recorder


@contextmanager
def hooked(modules: dict[str, torch.nn.Module], recorder: Recorder) -> Iterator[None]:
    """Within, the recorder hears of each call of the modules, but for the one named ""."""
    with ExitStack() as hooks:
        for path, module in modules.items():
            if path and not isinstance(module, torch.jit.ScriptModule):  # these refuse hooks
                for handle in _hooks(path, module, recorder):
                    hooks.callback(handle.remove)
        yield


def _hooks(path: str, module: torch.nn.Module, recorder: Recorder) -> Iterator[Any]:
    def entered(module: Any, arguments: Any, named: Any) -> None:
        recorder.enter(path, type(module).__name__, (arguments, named))

    def left(module: Any, arguments: Any, named: Any, output: Any) -> None:
        recorder.leave(output)

    yield module.register_forward_pre_hook(entered, with_kwargs=True)
    yield module.register_forward_hook(left, with_kwargs=True)
