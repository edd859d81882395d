"""The usual normalizations of the same input, one of which the user may have wanted."""

from __future__ import annotations

from dataclasses import dataclass

from normscope.explain.facts import Facts
from normscope.frameworks.keras.native import keras_layer
from normscope.frameworks.native import NativeLayer
from normscope.frameworks.preset_patterns import bracketed
from normscope.notation.axis_roles import Role
from normscope.notation.layout import Layout
from normscope.notation.spec import Measure, NormSpec, Running


@dataclass(frozen=True)
class Alternative:
    """Another normalization of the same input. `keras`: the Keras 3 layer to write today."""

    name: str
    spec: NormSpec
    keras: NativeLayer | None


def alternatives(spec: NormSpec, layout: Layout, facts: Facts) -> tuple[Alternative, ...]:
    """The usual normalizations of an input with samples and channels, without the one in hand.

    Empty where it is not known which axis holds the samples and which one the channels.

    >>> from normscope.explain.facts import facts_of
    >>> s = NormSpec("b c h [w]", eps=1e-3)
    >>> layout = s.layout((8, 128, 56, 56))
    >>> for other in alternatives(s, layout, facts_of(s, layout, ("b", "c", "h", "w"))):
    ...     print(f"{other.spec.pattern:13} {other.name}")
    b [c h w]     each sample as a whole
    b c [h w]     each sample and channel on its own (instance norm)
    b [c] h w     each position over its channels (layer norm)
    [b] c [h w]   each channel over the whole batch (batch norm)
    """
    samples = [dim for dim, axis in enumerate(facts.axes) if axis.role is Role.SAMPLE]
    channels = [dim for dim, axis in enumerate(facts.axes) if axis.role is Role.CHANNEL]
    if len(samples) != 1 or len(channels) != 1:
        return ()
    names = _names(facts, samples[0], channels[0])
    b, c = names[samples[0]], names[channels[0]]
    space = [name for name in names if name not in (b, c)]
    wanted = {
        "each sample as a whole": [c, *space],
        "each sample and channel on its own (instance norm)": space,
        "each position over its channels (layer norm)": [c],
        "each channel over the whole batch (batch norm)": [b, *space],
    }
    if not space:
        wanted = {
            "each sample over its features (layer norm)": [c],
            "each feature over the whole batch (batch norm)": [b],
        }
    guarded = spec.measure is Measure.NONE or spec.unit_below is not None
    found = []
    for name, shared in wanted.items():
        other = NormSpec(
            bracketed(names, shared),
            eps=spec.eps or spec.eps_outside or (1e-5 if guarded else 0.0),
            scale=c,
            bias=c,
            running=(spec.running or Running(0.99)) if b in shared else None,
        )
        its_layout = other.layout(layout.shape)
        if its_layout.set_size != 1 and its_layout.shared != _whole_axes(layout):
            found.append(Alternative(name, other, keras_layer(other, its_layout)))
    return tuple(found)


def _names(facts: Facts, samples: int, channels: int) -> list[str]:
    """A name for each axis that can stand in a pattern."""
    usual = {samples: "b", channels: "c"}
    labels = [axis.label for axis in facts.axes]
    if all(label.isidentifier() for label in labels) and len(set(labels)) == len(labels):
        return labels
    return [usual.get(dim, f"s{dim}") for dim in range(len(labels))]


def _whole_axes(layout: Layout) -> tuple[int, ...] | None:
    """The axes of the array that are shared; None where one is shared in part."""
    if len(layout.axes) != len(layout.shape):
        return None
    return layout.shared
