"""`replace`: normalizations of single samples in the place of those over the batch."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy

from normscope.errors import SpecError
from normscope.layers.torch.changes import Change, Changes
from normscope.layers.torch.found import Found
from normscope.layers.torch.norm import Norm
from normscope.layers.torch.norm_then import NormThen
from normscope.layers.torch.swap import (
    carried_out,
    check_module,
    examined,
    left,
    new_norm,
    norms_of,
)
from normscope.layers.torch.transfer import take_tensors
from normscope.notation.spec import NormSpec
from normscope.notation.values import integer, shown
from normscope.wording import counted

_BatchNorm = nn.modules.batchnorm._BatchNorm


def replace(
    model: nn.Module,
    by: str,
    *,
    groups: int = 32,
    inputs: Any = None,
    dry_run: bool = False,
    verify: bool = False,
) -> Changes:
    """Leave batch normalization: put a group normalization in the place of every such layer.

        y = (x - m) / sqrt(v + eps) * weight + bias

    with m and v of one sample and one group of channels, so that samples no longer see each other:
    for gradients of single samples, as privacy needs them, and for tiny batches. The model is
    changed in place. Each new layer keeps eps, hooks and mode, and the learned weight and bias (the
    same parameters). It computes something else than before: the model has to be trained on.

    Args:
        model: with layers `BatchNorm1d`, `2d`, `3d` or `SyncBatchNorm`, or a `Norm` like these.
        by: `"group"`.
        groups: how many, at most. A layer gets the largest number that divides its channels and
            leaves at least two of them to a group: the mean of a single channel would be lost.
        inputs: what the model is called with: then layers with a forward of their own are asked by
            `identify` what they compute, and else left. Also for `verify`.
        dry_run: print what would be done, and change nothing.
        verify: ask every new layer what it computes, by `identify`, and with `inputs` by `scope`
            whether samples see each other before and after.

    Returns:
        The `Changes`, which say for each layer how many groups it has, and what was lost.

    Raises:
        SpecError: the model is no module or cannot be called with `inputs`, `by` or `groups` has
            another value, or a check failed.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(3, 48, 3), nn.BatchNorm2d(48))
        >>> print(replace(model, "group"))
        1 of 1 layer of batch normalization replaced
          1: torch.nn.BatchNorm2d -> 24 groups of 2 channels
            48 channels cannot be divided into 32 groups
        lost: the running statistics, 97 numbers that state_dict holds no more
        lost: what weight and bias were learned with; train the model on before you use it
        >>> model[1].spec.pattern
        'b (g [c]) [s...]'
    """
    check_module(model, "replace")
    if by != "group":
        raise SpecError(f'replace knows one other normalization: by="group", not {shown(by)}')
    most = integer("groups", groups)
    if most < 1:
        raise SpecError(f"groups is the number of groups, at least 1; it is {most}")
    layers, _ = examined(model, inputs, memory=False)
    found = [one for one in layers if isinstance(one.layer, _BatchNorm)]
    found += [_of_ours(norm, places) for norm, places in norms_of(model).items()]
    order = {layer: number for number, layer in enumerate(model.modules())}
    found.sort(key=lambda one: order[one.layer])
    found = [one for one in found if one.spec is None or _is_batch(one.spec)]
    new = {one.layer: _grouped(one.spec, most) for one in found if one.spec is not None}
    changes = Changes(
        "replaced",
        model,
        tuple(_change(one, new[one.layer], most) for one in found if one.layer in new),
        tuple(left(one) for one in found if one.layer not in new),
        dry_run=dry_run,
        remarks=tuple(_lost(new)),
        noun="layer of batch normalization",
    )
    if dry_run:
        print(changes)
        return changes
    norms = {one.layer: _norm_for(one, new[one.layer]) for one in found if one.layer in new}
    return carried_out(changes, norms, verify=verify, inputs=inputs)


def _of_ours(norm: Norm, places: tuple[str, ...]) -> Found:
    if any(is_lazy(tensor) for tensor in norm.parameters()) or None in _lengths(norm.spec):
        return Found(norm, places, "Norm", reason="its channels have no number yet: call it once")
    then = norm.then if isinstance(norm, NormThen) else ()
    return Found(norm, places, "Norm", norm.spec, memory_format=norm.memory_format, then=then)


def _lengths(spec: NormSpec) -> tuple[int | None, ...]:
    """The lengths of what lies outside brackets."""
    layout = spec.layout([None] * len(spec.parsed.items))
    return tuple(layout.axes[i].size for i in layout.kept) if _is_batch(spec) else ()


def _is_batch(spec: NormSpec) -> bool:
    """Whether it normalizes channels on axis 1 over the batch and all positions.

    >>> [_is_batch(NormSpec(text)) for text in ("[b] c [h w]", "b [c] h", "[b s...] c")]
    [True, False, False]
    """
    layout = spec.layout([None] * len(spec.parsed.items))
    return len(spec.parsed.items) > 1 and layout.kept == (1,) and layout.axes[1].dim == 1


def _grouped(spec: NormSpec, most: int) -> NormSpec:
    """The same formula over groups of the channels of single samples."""
    [channels] = _lengths(spec)
    assert channels is not None
    groups = number_of_groups(channels, most)
    return dataclasses.replace(
        spec,
        pattern="b (g [c]) [s...]",
        sizes={"g": groups, "c": channels // groups},
        scale=spec.scale and "g c",
        bias=spec.bias and "g c",
        running=None,
    )


def number_of_groups(channels: int, most: int) -> int:
    """The largest number up to `most` that divides the channels, with two or more to a group.

    >>> number_of_groups(48, 32), number_of_groups(32, 32), number_of_groups(7, 4)
    (24, 16, 1)
    """
    largest = min(most, max(1, channels // 2))
    return next(number for number in range(largest, 0, -1) if channels % number == 0)


def _change(one: Found, spec: NormSpec, most: int) -> Change:
    groups, each = (spec.sizes[name] for name in ("g", "c"))
    assert isinstance(groups, int)
    assert isinstance(each, int)
    notes = [] if groups == most else [_why_fewer(groups * each, most)]
    if isinstance(one.layer, nn.SyncBatchNorm) or getattr(one.layer, "synchronized", None):
        notes.append("processes need share nothing any more")
    new = f"{counted(groups, 'group')} of {counted(each, 'channel')}"
    return Change(one.paths, one.title, new, tuple(notes))


def _why_fewer(channels: int, most: int) -> str:
    if channels % most or channels < most:
        return f"{counted(channels, 'channel')} cannot be divided into {counted(most, 'group')}"
    return f"{counted(most, 'group')} of one channel each would lose the means of the channels"


def _lost(layers: Collection[nn.Module]) -> Iterator[str]:
    """What the new layers do not take over, in words."""
    buffers = [tensor for layer in layers for tensor in layer.buffers(recurse=False)]
    if buffers:
        numbers = counted(sum(tensor.numel() for tensor in buffers), "number")
        yield f"lost: the running statistics, {numbers} that state_dict holds no more"
    if any(True for layer in layers for _ in layer.parameters(recurse=False)):
        yield "lost: what weight and bias were learned with; train the model on before you use it"


def _norm_for(one: Found, spec: NormSpec) -> Norm:
    norm = new_norm(spec, one.then, memory_format=one.memory_format, device="meta")
    take_tensors(norm, one.layer, buffers=False)
    return norm
