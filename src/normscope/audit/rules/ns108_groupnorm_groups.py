"""NS108 groupnorm-groups: the groups of a group norm do not fit the channels.

What it finds:
    A number of groups that does not divide the channels, which the checker of ONNX accepts and no
    runtime runs. Groups that split another axis than that of the channels: a hand-written
    `x.reshape(b, groups, -1)` on channels last, or a layer that takes the rows of an image for its
    channels. And groups of every n-th channel where neighbours are usual, which comes of reshaping
    to (channels / groups, groups) in the wrong order.

Why it matters:
    A file that does not run is found at deployment. Groups of positions mix all channels of a part
    of the image, and depend on its size. Interleaved groups give other numbers than the group norm
    of every framework.

How it is found:
    From the groups that the operator states, or from the spec that was found at this place, and
    from the axes along which the layers upstream put the channels that they make.

Measured:
    The number of groups, the length of the axis that they split, and the numbers that divide it.

Known limits:
    Frameworks other than ONNX refuse groups that do not divide. Any number that divides is as good
    as another here, also one group, or one for each channel.

Use instead:
    A number of groups that divides the channels, on the axis of the channels.

References:
    pytorch PR 74293, opacus PR 390, mmcv#688, physicsnemo PR 996, onnx PR 8428
"""

from __future__ import annotations

from collections.abc import Iterator

from normscope.audit.finding import Finding, Severity
from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.rule import Rule, Symptom


class GroupNormGroups(Rule):
    code, name, since = "NS108", "groupnorm-groups", "0.1"
    severity = Severity.ERROR
    symptoms = (Symptom.DEPLOYMENT, Symptom.PORT, Symptom.SIZE)

    def check(self, site: Site, graph: ModelGraph) -> Iterator[Finding]:
        if site.input_shape is None or len(site.input_shape) < 2:
            return
        length = site.input_shape[1]
        if site.groups and isinstance(length, int) and length % site.groups:
            divisors = [n for n in range(1, length + 1) if length % n == 0]
            yield self.finding(
                site,
                f"{site.groups} groups do not divide the {length} channels, so no runtime runs it",
                fix=f"use one of {', '.join(map(str, divisors))} groups",
                evidence={
                    "groups": site.groups,
                    "channels": length,
                    "divisors": divisors,
                    "input_shape": list(site.input_shape),
                },
            )
            return
        words = {axis: (site.word(axis) or "").split() for axis in range(len(site.input_shape))}
        for axis, (kind, *number) in ((a, w) for a, w in words.items() if w):
            if kind in ("grouped", "interleaved") and number and number[0].isdigit():
                yield from self._split(site, axis, kind, int(number[0]))

    def _split(self, site: Site, axis: int, kind: str, groups: int) -> Iterator[Finding]:
        channels, shape = site.channel_axis, site.input_shape
        if shape is None or channels is None or site.sample_axes is None:
            return
        evidence = {"groups": groups, "axis": axis, "input_shape": list(shape)}
        convolved = any(maker.convolves for maker in site.makers)
        if axis == channels:
            if kind == "interleaved":
                yield self.finding(
                    site,
                    f"each of the {groups} groups is every {groups}th of the {shape[axis]} "
                    "channels; a group norm takes neighbours",
                    fix=f"reshape the channels to ({groups}, {shape[axis]} // {groups}), and take "
                    "the statistics along the second",
                    evidence=evidence,
                    severity=Severity.WARNING,
                )
            return
        made = site.flow.channel_axes if site.flow is not None else frozenset({channels})
        tokens = len(shape) == 3 and not convolved  # token-layout-batchnorm says it
        if tokens or axis in site.sample_axes or made is None or axis in made:
            return
        makers = ", ".join(maker.path for maker in site.makers)
        yield self.finding(
            site,
            f"{groups} groups split {site.axis_name(axis)}, of length {shape[axis]}, but {makers} "
            f"puts the channels on {site.axis_name(channels)}, of length {shape[channels]}",
            fix=f"split {site.axis_name(channels)} into groups: {_meant(site, channels, groups)}",
            evidence={**evidence, "channel_axis": channels},
        )


def _meant(site: Site, channels: int, groups: int) -> str:
    """The pattern that is meant."""
    names = [site.axis_label(axis) for axis in range(len(site.input_shape or ()))]
    parts = [
        name
        if axis in (site.sample_axes or ())
        else f"(g [{name}])"
        if axis == channels
        else f"[{name}]"
        for axis, name in enumerate(names)
    ]
    pattern = " ".join(parts).replace("] [", " ")
    return f'"{pattern}" with g={groups}'
