"""One training step of a module: how often it updates running statistics, and from how many inputs.

Activation checkpointing runs layers again in the backward pass, where they update once more.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from types import CodeType, FunctionType
from typing import Any

import torch
import torch.utils.checkpoint

from normscope.frameworks.trees import arrays_by_name

_CHECKPOINT = torch.utils.checkpoint.__file__


def inside_a_checkpoint() -> bool:
    """Whether what runs just now would be run again in a backward pass."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == _CHECKPOINT:
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def names_a_checkpoint(module_type: type) -> bool:
    """Whether a method of a class of modules uses a name with "checkpoint" in it.

    Those of torch itself, which do it for saving and loading, are left out.
    """
    return any(
        "checkpoint" in name
        for owner in module_type.__mro__
        if not owner.__module__.startswith("torch.")
        for method in vars(owner).values()
        if isinstance(method, FunctionType)
        for name in _names(method.__code__)
    )


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    yield from code.co_freevars
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def counts_updates(module: Any) -> bool:
    """Whether a module counts the updates of its running statistics."""
    return isinstance(getattr(module, "num_batches_tracked", None), torch.Tensor)


class TrainingStep:
    """Counts what a forward and a backward pass do to running statistics.

    Args:
        module: in training mode, with tensors that may be written to.
        paths: of the layers that are counted; those that count nothing are left out.
    """

    def __init__(self, module: torch.nn.Module, paths: Iterable[str]) -> None:
        found = {path: module.get_submodule(path) for path in paths}
        self._layers = {path: one for path, one in found.items() if counts_updates(one)}
        self._inputs: dict[str, set[bytes]] = {path: set() for path in self._layers}

    def run(self, forward: Any) -> dict[str, tuple[int, int]]:
        """By path, the number of updates in a step, and of different inputs in its forward pass.

        Args:
            forward: calls the module.
        """
        before = self._counters()
        with torch.enable_grad():
            with ExitStack() as hooks:
                for path, layer in self._layers.items():
                    hooks.callback(layer.register_forward_pre_hook(self._noting(path)).remove)
                output = forward()
            squares = [t.float().square().mean() for t in _learned(output)]
            if squares:
                torch.stack(squares).sum().backward()  # type: ignore[no-untyped-call]
        after = self._counters()
        return {
            path: (after[path] - before[path], len(inputs)) for path, inputs in self._inputs.items()
        }

    def _counters(self) -> dict[str, int]:
        return {path: int(layer.num_batches_tracked) for path, layer in self._layers.items()}  # type: ignore[arg-type]

    def _noting(self, path: str) -> Any:
        def note(layer: Any, arguments: tuple[Any, ...]) -> None:
            x = arguments[0].detach().cpu()
            numbers = x.float() if x.dtype is torch.bfloat16 else x
            self._inputs[path].add(hashlib.sha256(numbers.contiguous().numpy().tobytes()).digest())

        return note


def _learned(output: Any) -> Iterator[torch.Tensor]:
    for _, tensor in arrays_by_name(output, ""):
        if isinstance(tensor, torch.Tensor) and tensor.requires_grad:
            yield tensor.real if tensor.is_complex() else tensor
