"""Modules of PyTorch; forward hooks tell what goes into and comes out of each submodule."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

from normscope.frameworks.layer import Array, class_title
from normscope.frameworks.model import Model
from normscope.frameworks.steps import Recorder
from normscope.frameworks.torch.state import TorchState


class TorchModel(Model):
    """A module, called as its user would call it."""

    def __init__(self, module: torch.nn.Module, given: Any) -> None:
        # torch.compile makes a module around another one, inside of which hooks are not heard
        compiled = getattr(module, "_orig_mod", None)
        module = compiled if isinstance(compiled, torch.nn.Module) else module
        self.module = module
        floating = [p for p in module.parameters() if p.is_floating_point()]
        self.dtype = floating[0].dtype if floating else torch.float32
        self.device = floating[0].device if floating else torch.device("cpu")
        if any(torch.nn.parameter.is_lazy(p) for p in [*module.parameters(), *module.buffers()]):
            self._initialize(given)
        super().__init__(
            class_title(module),
            type(module).__name__,
            (True, False),
            [TorchState(self.module)],
            module.forward,
        )
        if compiled is not None:
            self.notes.append("what torch.compile has compiled was called as it is written")

    def _initialize(self, given: Any) -> None:
        """A first call fixes the shapes of a lazy module for good, so a copy is examined."""
        self.module = pickle.loads(pickle.dumps(self.module))
        super().__init__("", "", (), [], self.module.forward)
        with self.kept(), torch.no_grad():
            arguments, named = self.inputs(given).arguments(self.leaf)
            self.module(*arguments, **named)

    def leaf(self, original: Any, value: Array) -> Any:
        """New values; what is no tensor becomes one, of the module's own dtype and device."""
        if isinstance(original, torch.Tensor):
            return super().leaf(original, value)
        tensor = torch.from_numpy(np.array(value)).to(self.device)
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

    def call(self, arguments: tuple[Any, ...], named: dict[str, Any], training: bool) -> Any:
        """One call in a mode."""
        self.module.train(training)
        return self.module(*arguments, **named)

    @contextmanager
    def watched(self, recorder: Recorder) -> Iterator[None]:
        """Hooks on each submodule."""
        with hooked(dict(self.module.named_modules()), recorder):
            yield


@contextmanager
def hooked(modules: dict[str, torch.nn.Module], recorder: Recorder) -> Iterator[None]:
    """Within, the recorder hears of each call of the modules, but for the one named ""."""
    with ExitStack() as hooks:
        for path, module in modules.items():
            if path:
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
