"""`FoundSite` -> `Site`: what was found at a place, in the names that its axes have."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from normscope.audit.axes import Axes
from normscope.audit.flow import Flow
from normscope.audit.found.site import FoundSite
from normscope.audit.model_graph import Kind, Maker, Site
from normscope.audit.readers.probes import probe_of
from normscope.audit.readers.surroundings import surroundings_of
from normscope.errors import NormscopeError
from normscope.frameworks.axis_names import with_axis_names
from normscope.frameworks.condition import Condition
from normscope.frameworks.declaration import Declaration
from normscope.frameworks.registry import condition_at
from normscope.frameworks.settings import declare
from normscope.graph.neighbours import Maker as FoundMaker
from normscope.graph.operators import Node, Role
from normscope.graph.rules import Labels, Window
from normscope.graph.sites import Form, Site as GraphSite
from normscope.notation.spec import NormSpec

_POSITIONS = {1: ("s",), 2: ("h", "w"), 3: ("d", "h", "w")}
"""Names for axes of positions, where the others are samples and channels; of several, only behind
convolutions: those of attention may be heads."""


def site_of(
    found: FoundSite,
    axes: Axes,
    framework: str,
    numbers: Mapping[GraphSite, int],
    answers: dict[Hashable, Any] | None = None,
) -> Site:
    """A site as rules and reports see it.

    Args:
        found: at one place; the model is as it was given again.
        axes: what the axes of its input are.
        framework: the name of that of the model.
        numbers: of the sites of the model, as they are in its graphs.
        answers: what alike sites of the model were measured to do, for its probe.
    """
    makers = tuple(_maker(maker) for maker in found.neighbours.makers)
    names = axis_names(found, axes, makers)
    said = found.declared or _declared_at(found)
    declared = said and _renamed_declaration(said, names)
    placed = found.placed[found.modes[0]]
    return Site(
        path=found.path,
        type=found.type,
        title=_title(found, said),
        train=_renamed(found.train, names),
        infer=_renamed(found.infer, names),
        input_shape=tuple(found.input_shape),
        declared=declared,
        kind=Kind(found.kind),
        dtype=_computed_in(found),
        sample_axes=None if axes.samples is None else tuple(sorted(axes.samples)),
        operator=found.operator,
        source=found.source,
        verified=found.verified,
        max_ulp=found.max_ulp,
        differs=_with_names(found.differs, names),
        words=found.words,
        dismissed=found.dismissed,
        makers=makers,
        more_makers=found.neighbours.more,
        remembered=_renamed(remembered(found), names),
        arrays=found.arrays,
        parameters=found.parameters,
        call_number=found.call.number,
        set_size=found.site.set_size,
        groups=_groups(found),
        composite=found.site.form is Form.COMPOSITE,
        in_training=True in found.modes,
        around=surroundings_of(found, numbers),
        condition=_condition(found, framework),
        probe=probe_of(found, axes, answers),
        flow=Flow(placed.graph, found.site.x, found.site.y, placed.channels),
    )


def _condition(found: FoundSite, framework: str) -> Condition:
    """How the layer stands; what a call at inference told it is asked of that call."""
    nodes = found.site.nodes
    whole = (node for node in nodes if node.role is Role.NORMALIZATION)
    condition = condition_at(next(whole, nodes[0]), found.parameters, framework)
    at_inference = found.placed.get(False)
    if condition.told is not None or at_inference is None:
        return condition
    return replace(condition, told=at_inference.site.call.told)


def remembered(found: FoundSite) -> NormSpec | None:
    """The spec that takes the statistics which a site uses as they are stored.

    They run along the axes along which the arrays that it applies differ; along the others they
    are shared.
    """
    if found.kind is not Kind.STORED:
        return None
    rank = len(found.input_shape)
    kept = _stored_along(found)
    if not 0 < len(kept) < rank:
        return None
    names = [f"d{axis}" if axis in kept else f"[d{axis}]" for axis in range(rank)]
    said = found.infer or found.train
    along = " ".join(f"d{axis}" for axis in sorted(kept))
    return NormSpec(
        " ".join(names).replace("] [", " "),
        eps=said.eps if said is not None else 1e-5,
        scale=along if said is not None and said.scale is not None else None,
        bias=along if said is not None and said.bias is not None else None,
    )


def _stored_along(found: FoundSite) -> set[int]:
    """The axes of a site's input along which what is stored differs."""
    kept: set[int] = set()
    rank = len(found.input_shape)
    for node in found.site.nodes:
        rule = node.rule
        if not isinstance(rule, Labels):
            continue
        places = {label: axis for axis, label in enumerate(rule.results[0]) if label}
        for number, dims in rule.operands.items():
            value = node.operands[number]
            if value.live or len(node.results[0].shape) != rank:
                continue
            for label, length in zip(dims, value.shape, strict=False):
                if label is not None and length > 1:
                    kept.add(places.get(label, rank))
    return {axis for axis in kept if axis < rank}


def _declared_at(found: FoundSite) -> Declaration | None:
    """What a layer declares that is one operator of which no spec was found, as of sets of one."""
    layer, site = found.call.layer, found.site
    if found.kind is not Kind.UNKNOWN or site.form is not Form.COMPOSITE or layer is None:
        return None
    try:
        declared = declare(layer, axes=" ".join(f"d{n}" for n in range(len(found.input_shape))))
        declared.train.layout(found.input_shape)
    except Exception:  # settings of layers of strangers may be refused by any exception
        return None
    return declared


def _groups(found: FoundSite) -> int | None:
    """How many groups an operator says that there are."""
    said = (node.settings.get("num_groups") for node in found.site.statistics)
    return next((number for number in said if isinstance(number, int)), None)


def _title(found: FoundSite, declared: Declaration | None) -> str:
    """The layer as its user knows it, or the operator in it."""
    if declared is not None:
        return declared.title
    if found.type.startswith("normscope.layers."):  # which file or program tells, but not its spec
        return found.type
    return f"{found.operator} in {found.type}" if found.type else found.operator


def _with_names(text: str, names: Sequence[str]) -> str:
    """A sentence in which axes are called by their numbers, d1, d2, ..., with their names."""

    def name(match: re.Match[str]) -> str:
        number = int(match[1])
        return names[number] if number < len(names) else match[0]

    return re.sub(r"\bd(\d+)\b", name, text)


def _computed_in(found: FoundSite) -> str:
    """The dtype of the statistics; operators that normalize as a whole widen half precisions."""
    site = found.site
    if site.form is Form.COMPOSITE and found.dtype in ("float16", "bfloat16"):
        return "float32"
    operands = site.statistics[0].operands if site.statistics else ()
    return next((value.dtype for value in operands if value.is_float), found.dtype)


def _maker(maker: FoundMaker) -> Maker:
    return Maker(
        path=maker.path or maker.node.operator,
        channel_axis=maker.channel_axis,
        adds_bias=maker.adds_bias,
        direct=maker.direct,
        sole=maker.sole,
        convolves=_convolves(maker.node),
    )


def _convolves(node: Node) -> bool:
    rule = node.rule
    windows = isinstance(rule, Labels) and any(
        isinstance(relation, Window) for relation in rule.relations.values()
    )
    return node.role is Role.PRODUCT and windows


def axis_names(found: FoundSite, axes: Axes, makers: Sequence[Maker]) -> tuple[str, ...]:
    """A name for each axis of a site's input.

    Those that the caller gave come first; then b for the samples, c for the channels, and, where
    all other axes are positions, names for these; else d and a number.
    """
    rank = len(found.input_shape)
    names: list[str | None] = list(axes.names) if len(axes.names) == rank else [None] * rank
    samples = sorted(axes.samples or ())
    if len(samples) == 1 and names[samples[0]] is None and "b" not in names:
        names[samples[0]] = "b"
    channels = _channel_axis(found, axes, makers)
    if channels is not None and names[channels] is None and "c" not in names:
        names[channels] = "c"
    left = [axis for axis, name in enumerate(names) if name is None]
    convolved = len(left) == 1 or any(maker.convolves for maker in makers)
    if "b" in names and "c" in names and convolved and len(left) in _POSITIONS:
        for axis, name in zip(left, _POSITIONS[len(left)], strict=True):
            if name not in names:
                names[axis] = name
    return tuple(name or f"d{axis}" for axis, name in enumerate(names))


def _channel_axis(found: FoundSite, axes: Axes, makers: Sequence[Maker]) -> int | None:
    """The axis of the channels.

    A convolution tells it; then, of a normalization within a sample, the one axis along which its
    scale runs; then another product; of two axes it is that which is not the samples.
    """
    along = {maker.channel_axis for maker in makers if maker.channel_axis is not None}
    made = next(iter(along)) if len(along) == 1 else None
    if made is not None and all(maker.convolves for maker in makers):
        return made
    scaled = _scaled_axis(found)
    if scaled is not None and (made is None or _within_samples(found, axes)):
        return scaled
    if made is None and not along and len(found.input_shape) == 2 and axes.samples:
        return 1 - min(axes.samples) if len(axes.samples) == 1 else None
    return made


def _scaled_axis(found: FoundSite) -> int | None:
    """The one axis along which the scale runs; None if there is none, or several."""
    spec = next((s for s in (found.train, found.infer) if s is not None and s.pattern), None)
    if spec is None or spec.scale is None:
        return None
    layout = spec.layout(found.input_shape)
    dims = {layout.axes[number].dim for number in layout.named(spec.scale)}
    return dims.pop() if len(dims) == 1 else None


def _within_samples(found: FoundSite, axes: Axes) -> bool:
    """Whether its statistics are of one sample each."""
    spec = next((s for s in (found.train, found.infer) if s is not None and s.pattern), None)
    if spec is None or axes.samples is None:
        return False
    shared = {axis.dim for axis in spec.layout(found.input_shape).axes if axis.shared}
    return not shared & axes.samples


def _renamed(spec: NormSpec | None, names: Sequence[str]) -> NormSpec | None:
    """A spec with these names; as it is where they do not fit it.

    One without a pattern names axes in what it scales along alone, by their numbers.
    """
    if spec is None:
        return None
    if spec.pattern is None:
        return replace(spec, scale=_along(spec.scale, names), bias=_along(spec.bias, names))
    try:
        return with_axis_names(spec, " ".join(names))
    except NormscopeError:
        return spec


def _along(numbered: str | None, names: Sequence[str]) -> str | None:
    """Names of axes in the place of b, d1, d2, ...; as they are where they are others."""
    if numbered is None:
        return None
    own = {f"d{number}" if number else "b": name for number, name in enumerate(names)}
    return " ".join(own.get(word, word) for word in numbered.split())


def _renamed_declaration(declared: Declaration, names: Sequence[str]) -> Declaration:
    train = _renamed(declared.train, names) or declared.train
    infer = _renamed(declared.infer, names) or declared.infer
    if infer.pattern is None:
        infer = replace(infer, scale=train.scale, bias=train.bias)
    return replace(declared, train=train, infer=infer)
