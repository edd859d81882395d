"""New layers asked what they compute, and a model whether its samples see each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from normscope.errors import SpecError
from normscope.identify import identify
from normscope.identify.compare import differences
from normscope.layers.torch.norm import Norm
from normscope.layers.torch.norm_then import NormThen
from normscope.notation.pattern import Repeat
from normscope.notation.spec import NormSpec
from normscope.scope import scope
from normscope.wording import counted

_LENGTH = 4
"""Of axes whose length the spec leaves open."""


def checked_layers(norms: Iterable[nn.Module]) -> list[str]:
    """What `identify` found of layers, in words; those that are alike are asked once.

    Raises:
        SpecError: one of them does not compute its spec, as far as `identify` can tell.
    """
    alike: dict[tuple[NormSpec, torch.dtype | None], list[Norm]] = {}
    for norm in norms:
        if isinstance(norm, Norm):
            dtypes = [parameter.dtype for parameter in norm.parameters(recurse=False)]
            alone = norm.alone() if isinstance(norm, NormThen) else norm
            alike.setdefault((norm.spec, dtypes[0] if dtypes else None), []).append(alone)
    for same in alike.values():
        _check(same[0])
    number = sum(map(len, alike.values()))
    each = f", asked of one layer for each of {len(alike)}" if len(alike) < number else ""
    return [f"identify finds the specs of {counted(number, 'layer')}{each}"]


def _check(norm: Norm) -> None:
    shape = example_shape(norm.spec)
    processes, norm.synchronized = norm.synchronized, None  # one process is asked on its own
    try:
        found = identify(norm, shape)
    finally:
        norm.synchronized = processes
    wrong: list[str] = []
    for said, seen in ((norm.spec, found.train), (norm.spec.inference(), found.infer)):
        wrong += ["no formula was found"] if seen is None else list(differences(said, seen, shape))
    if wrong:
        raise SpecError(
            f"asked from outside, {norm} of the shape {shape} does not compute its spec: "
            f"{'; '.join(wrong)}; nothing was changed, and please report this"
        )


def example_shape(spec: NormSpec) -> tuple[int, ...]:
    """A small shape that meets a spec; axes under dots that may lie before others are two.

    >>> example_shape(NormSpec("... [c]", sizes={"c": 8}))
    (4, 4, 8)
    >>> example_shape(NormSpec("b (g [c]) [s...]", sizes={"g": 2, "c": 3}))
    (4, 6, 4)
    """
    items = spec.parsed.items
    rank = sum(1 + (number == 0 and isinstance(item, Repeat)) for number, item in enumerate(items))
    layout = spec.layout([None] * rank)
    return tuple(_length(layout.parts(dim)) for dim in range(rank))


def _length(parts: Iterable[Any]) -> int:
    length = 1
    for axis in parts:
        length *= _LENGTH if axis.size is None else axis.size
    return length


def scope_of(model: nn.Module, inputs: Any) -> dict[str, bool | None]:
    """Whether samples are independent in a model, in each mode."""
    return scope(model, inputs).samples_independent


def said_of(independent: dict[str, bool | None]) -> str:
    """The same in words.

    >>> said_of({"training": False, "inference": True})
    'samples meet in training, and are independent in inference'
    """
    words = {True: "are independent", False: "meet", None: "may meet"}
    return "samples " + ", and ".join(
        f"{words[told]} in {mode}" for mode, told in independent.items()
    )
