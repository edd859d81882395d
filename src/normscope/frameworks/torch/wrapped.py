"""Modules of PyTorch without what is around them: wrappers, and other processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple


class Wrapped(NamedTuple):
    """A module without what is wrapped around it, and what a report says of that."""

    module: Any
    notes: tuple[str, ...]


def unwrapped(module: Any) -> Wrapped:
    """A module without `torch.compile` and `DistributedDataParallel` around it.

    The first runs what hooks do not hear. The second begins a call with collectives, which wait for
    ever for processes that do not call.

    >>> unwrapped(3)
    Wrapped(module=3, notes=())
    """
    notes = []
    while (
        found := _WRAPPERS.get(f"{type(module).__module__}.{type(module).__name__}")
    ) is not None:
        attribute, note = found
        module = getattr(module, attribute)
        notes.append(note)
    return Wrapped(module, tuple(notes))


def is_synchronized(module: Any) -> bool:
    """Whether it is a `Norm` of normscope whose statistics processes share."""
    kinds = (f"{kind.__module__}.{kind.__name__}" for kind in type(module).__mro__)
    return _NORM in kinds and bool(module.synchronized)


@contextmanager
def alone(module: Any) -> Iterator[None]:
    """Within, no layer of a module shares its statistics: the other processes do not call it."""
    layers = [part for part in module.modules() if is_synchronized(part)]
    shared = [layer.synchronized for layer in layers]
    for layer in layers:
        layer.synchronized = None
    try:
        yield
    finally:
        for layer, group in zip(layers, shared, strict=True):
            layer.synchronized = group


_NORM = "normscope.layers.torch.norm.Norm"


def _class_of(module: object) -> str:
    return f"{type(module).__module__}.{type(module).__name__}"


_WRAPPERS = {
    "torch._dynamo.eval_frame.OptimizedModule": (
        "_orig_mod",
        "what torch.compile has compiled was called as it is written",
    ),
    "torch.nn.parallel.distributed.DistributedDataParallel": (
        "module",
        "what DistributedDataParallel wraps was called alone",
    ),
}
