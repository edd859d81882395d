"""What only an example tells: layers with a forward of their own, and normalizations that are none.

The operators of the model are followed once in each mode, without changing it. A layer that its
settings do not describe is then asked from outside, by `identify`, at the rank at which it is
called; the spec that is found holds for that rank alone, and other inputs are refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import nn

from normscope.errors import NormscopeError, SpecError
from normscope.frameworks.live import Arguments, Live
from normscope.frameworks.registry import live_of
from normscope.graph.operators import CannotTraceError, Graph
from normscope.graph.sites import Site, find_sites
from normscope.identify import identify
from normscope.layers.torch.found import BUFFERS, LAYERS, Found, is_of_torch, of_the_state
from normscope.layers.torch.norm import Norm
from normscope.layers.torch.norm_then import NormThen, order_of_calls, with_children_off
from normscope.layers.torch.transfer import origin_of, take_tensors
from normscope.notation.spec import NormSpec
from normscope.wording import listed, one_line

_REFUSAL = "swap follows the operators of a module of torch; this {kind} is none"
_ROUNDINGS = 32
"""By so many of its roundings may an output differ, measured at the largest."""

_LEAST = 4
"""So many indices of an axis let `identify` tell what happens along it."""


class Answer(NamedTuple):
    """What was found of a layer: its spec, or why it has none, and what a `Norm` does otherwise.

    `memory_format` is that of its output, if this is not always the input's; `then` are the
    children that the normalized values go through.
    """

    spec: NormSpec | None
    reason: str = ""
    notes: tuple[str, ...] = ()
    memory_format: torch.memory_format | None = None
    then: tuple[str, ...] = ()


Answers = dict[tuple[object, ...], Answer]
"""What was found of layers that are alike."""


@dataclass(frozen=True)
class Seen:
    """What an example shows.

    Attributes:
        ranks: of the inputs of each layer, by its identity.
        shapes: the first shape of each layer's input, likewise.
        several: the layers that are given more than one tensor, likewise.
        sites: where the model normalizes, in both modes.
    """

    ranks: dict[int, set[int]] = field(default_factory=dict)
    shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)
    several: set[int] = field(default_factory=set)
    sites: list[Site] = field(default_factory=list)


def seen_in(model: nn.Module, inputs: Any) -> Seen:
    """Follow a model with an example input.

    Raises:
        SpecError: it cannot be called with it, or its operators are hidden.
    """

    def first(live: Live) -> Arguments:
        return live.inputs(inputs).arguments(live.leaf)

    live = live_of(model, first, _REFUSAL)
    given = live.inputs(inputs)
    seen = Seen()
    with live.kept():
        for training in live.modes:
            try:
                graph = live.trace(given, training)
            except CannotTraceError as error:
                raise SpecError(
                    f"the model cannot be followed with these inputs: {error}"
                ) from None
            live.put_back()
            _note(seen, graph)
    return seen


def _note(seen: Seen, graph: Graph) -> None:
    for call in graph.calls:
        if call.layer is not None and call.inputs:
            shape = call.inputs[0].shape
            seen.ranks.setdefault(id(call.layer), set()).add(len(shape))
            seen.shapes.setdefault(id(call.layer), shape)
            if len(call.inputs) > 1:
                seen.several.add(id(call.layer))
    seen.sites.extend(site for site in find_sites(graph) if not site.dismissed)


def of_other_makers(seen: Seen) -> list[nn.Module]:
    """Modules that do nothing but normalize, such as the RMSNorm of a language model."""
    layers = dict.fromkeys(site.call.layer for site in seen.sites if site.call.path)
    return [
        layer
        for layer in layers
        if isinstance(layer, nn.Module)
        and not isinstance(layer, (*LAYERS, Norm))
        and next(layer.children(), None) is None
        and not of_the_state(layer)
    ]


def asked(found: Iterable[Found], seen: Seen) -> list[Found]:
    """The same layers, those with a forward of their own asked; without those that are others'."""
    answers: Answers = {}
    told = [_asked(one, seen, answers) if one.own_forward else one for one in found]
    return [one for one in told if one.spec is not None or is_of_torch(one.layer)]


def functional_calls(seen: Seen, found: Iterable[Found]) -> list[str]:
    """Normalizations that no layer of the list does: a functional call, or operators in a row."""
    known = {id(one.layer) for one in found}
    lines = [
        f"{site.operator} in {site.call.path or 'the model itself'}"
        + (f", {site.source}" if site.source else "")
        for site in seen.sites
        if id(site.call.layer) not in known and not isinstance(site.call.layer, Norm)
    ]
    return list(dict.fromkeys(lines))


def _asked(one: Found, seen: Seen, answers: Answers) -> Found:
    """The same layer, with the spec that `identify` finds, or the reason why it finds none."""
    ranks = seen.ranks.get(id(one.layer), set())
    if len(ranks) != 1:
        called = f"with {listed([str(rank) for rank in sorted(ranks)])} axes" if ranks else "never"
        return replace(one, reason=f"it has its own forward, and is called {called}")
    if id(one.layer) in seen.several:
        return replace(one, reason="it has its own forward, and is given more than one tensor")
    shape = seen.shapes[id(one.layer)]
    alike = _alike(one.layer, shape)
    if alike not in answers:
        answers[alike] = _answer(one.layer, shape)
    answer = answers[alike]
    if answer.spec is None:
        reason = f"it has its own forward, and asked from outside, {answer.reason}"
        return replace(one, reason=reason)
    note = f"its own forward was asked from outside; it takes {len(shape)} axes now, and no others"
    return replace(
        one,
        spec=answer.spec,
        reason="",
        notes=(*one.notes, note, *answer.notes),
        memory_format=answer.memory_format,
        then=answer.then,
    )


def _example_shape(layer: nn.Module, shape: Sequence[int]) -> tuple[int, ...]:
    """A small shape of the same rank: axes as long as a parameter keep their length."""
    held = [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]
    lengths = {size for tensor in held for size in tensor.shape}
    return tuple(size if size in lengths else _LEAST for size in shape)


def _alike(layer: nn.Module, shape: tuple[int, ...]) -> tuple[object, ...]:
    """What two layers have in common that compute the same: class, settings, shapes, mode."""
    settings = repr(sorted(origin_of(layer).settings.items()))
    tensors = [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]
    forms = tuple((name, tensor.shape, tensor.dtype) for name, tensor in tensors)
    children = tuple((name, type(one), repr(one)) for name, one in layer.named_children())
    return type(layer), settings, forms, children, shape


def _answer(layer: nn.Module, shape: tuple[int, ...]) -> Answer:
    """The spec that `identify` finds on a small input, if it holds for one of this shape too."""
    bare = with_children_off(layer)
    answer = _identified(bare, _example_shape(layer, shape))
    if answer.spec is None:
        return answer
    x = _numbers(layer, shape)
    if not _agrees(bare, answer.spec, x):
        return Answer(None, f"it is not {answer.spec} on an input of the shape {shape}")
    answer = _with_followers(answer, layer, x)
    if answer.spec is None:
        return answer
    memory_format = _memory_format(layer, x)
    if memory_format is not None:
        note = f"its output has the memory format {memory_format}, whatever that of its input"
        answer = answer._replace(memory_format=memory_format, notes=(*answer.notes, note))
    given = _dtype_of_half(layer, x)
    if given not in (None, torch.bfloat16):
        note = f"given bfloat16, it returned {given}; a Norm returns the dtype that it is given"
        answer = answer._replace(notes=(*answer.notes, note.replace("torch.", "")))
    return answer


def _with_followers(answer: Answer, layer: nn.Module, x: torch.Tensor) -> Answer:
    """The answer, if the children of the layer do nothing but follow its normalization in turn."""
    children = [name for name, _ in layer.named_children()]
    if not children:
        return answer
    then = order_of_calls(deepcopy(layer), x)
    if sorted(then) != sorted(children):
        return Answer(None, f"it does not call each of its modules once: {listed(children)}")
    assert answer.spec is not None
    if not _agrees(layer, answer.spec, x, then):
        return Answer(None, f"it is not {answer.spec} followed by {listed(list(then))}")
    note = f"{listed(list(then))} {'follows' if len(then) == 1 else 'follow'} as before"
    return answer._replace(notes=(*answer.notes, note), then=then)


def _memory_format(layer: nn.Module, x: torch.Tensor) -> torch.memory_format | None:
    """That of a layer's output, if it is the same whatever that of the input; else None.

    What comes after it may depend on that for its speed: convolutions run in that of their input.
    """
    formats = _FORMATS.get(x.dim(), ())
    with torch.no_grad():
        outputs = [deepcopy(layer).forward(x.contiguous(memory_format=own)) for own in formats]
    for one in formats:
        if all(
            y.shape == x.shape and y.stride() == x.contiguous(memory_format=one).stride()
            for y in outputs
        ):
            return one
    return None


_FORMATS = {
    4: (torch.contiguous_format, torch.channels_last),
    5: (torch.contiguous_format, torch.channels_last_3d),
}


def _dtype_of_half(layer: nn.Module, x: torch.Tensor) -> torch.dtype | None:
    """What a layer makes of an input in bfloat16, as autocast gives it; None if it refuses it."""
    try:
        with torch.no_grad():
            y: torch.Tensor = deepcopy(layer).forward(x.to(torch.bfloat16))
    except Exception:  # a layer may refuse its input by any exception
        return None
    return y.dtype


def _numbers(layer: nn.Module, shape: tuple[int, ...]) -> torch.Tensor:
    """Random ones, as the layer's own tensors hold them."""
    tensors = [*layer.parameters(recurse=False), *layer.buffers(recurse=False)]
    kind = next((t for t in tensors if t.is_floating_point()), torch.empty(0))
    numbers = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return numbers.to(device=kind.device, dtype=kind.dtype)


def _agrees(layer: nn.Module, found: NormSpec, x: torch.Tensor, then: tuple[str, ...] = ()) -> bool:
    """Whether a `Norm` with this spec, and these children, gives what a layer gives in both modes.

    The sets of a small input may be wider in a larger one, as windows are not.
    """
    theirs, ours = deepcopy(layer), NormThen(found, then, device="meta")
    take_tensors(ours, deepcopy(layer))
    for training in (True, False):
        y, own = (_drawn(one.train(training), x) for one in (theirs, ours))
        least = _ROUNDINGS * torch.finfo(x.dtype).eps * float(y.abs().max())
        if y.shape != own.shape or not float((y - own).abs().max()) <= least:
            return False
    return True


def _drawn(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The output, with the same random numbers at each call."""
    with torch.no_grad(), torch.random.fork_rng([x.device] if x.is_cuda else []):
        torch.manual_seed(0)
        y: torch.Tensor = layer.forward(x)
    return y


def _identified(layer: nn.Module, shape: tuple[int, ...]) -> Answer:
    """The spec of the training mode, if it says both modes and all that the layer holds."""
    try:
        found = identify(layer, shape)
    except NormscopeError as error:
        return Answer(None, one_line(error))
    train, infer = found.train, found.infer
    if train is None or train.pattern is None:
        return Answer(None, f"it is {found.kind}: no normalization was found")
    if infer is None or (infer != train.inference() and infer != train):
        return Answer(None, "it does otherwise at inference, and no spec says both")
    around = [line for line in found.evidence if " the normalization" in line]
    if around:
        return Answer(None, around[0])
    parts = {"weight": train.scale, "bias": train.bias, BUFFERS[0]: train.running}
    for word, stated in parts.items():
        if (stated is None) != (getattr(layer, word, None) is None):
            return Answer(None, f"its {word} does not act as that of a normalization")
    return Answer(_with_sizes(train, shape))


def _with_sizes(spec: NormSpec, shape: tuple[int, ...]) -> NormSpec:
    """The spec, with the lengths of those axes along which something is learned or remembered."""
    layout = spec.layout(shape)
    axes = {*layout.named(spec.scale or ""), *layout.named(spec.bias or "")}
    if spec.running is not None:
        axes |= set(layout.kept)
    sizes = {layout.axes[i].name: layout.known_sizes[i] for i in sorted(axes)}
    return replace(spec, sizes={**spec.sizes, **sizes})
