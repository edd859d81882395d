"""The textbook forms. `channels` says where the channels stand: "last" or "first"."""

from __future__ import annotations

from normscope.frameworks.preset_patterns import LAST, Preset, by_channels
from normscope.notation.spec import Measure, NormSpec, Running, spec


def batch(channels: str = LAST, eps: float = 1e-5, decay: float = 0.9) -> NormSpec:
    """Batch normalization: one statistics set per channel (Ioffe and Szegedy 2015)."""
    pattern = by_channels(channels, last="[b...] c", first="[b] c [s...]")
    return spec(pattern, eps=eps, scale="c", bias="c", running=Running(decay))


def layer(eps: float = 1e-5) -> NormSpec:
    """Layer normalization over the last axis, the features (Ba, Kiros and Hinton 2016)."""
    return spec("... [c]", eps=eps, scale="c", bias="c")


def instance(channels: str = LAST, eps: float = 1e-5) -> NormSpec:
    """Instance normalization: one set per sample and channel (Ulyanov et al. 2016)."""
    pattern = by_channels(channels, last="b [s...] c", first="b c [s...]")
    return spec(pattern, eps=eps, scale="c", bias="c")


def group(num_groups: int = 32, channels: str = LAST, eps: float = 1e-5) -> NormSpec:
    """Group normalization: one set per sample and group of channels (Wu and He 2018)."""
    pattern = by_channels(channels, last="b [s...] (g [c])", first="b (g [c]) [s...]")
    return spec(pattern, g=num_groups, eps=eps, scale="g c", bias="g c")


def rms(eps: float = 1e-6) -> NormSpec:
    """RMS normalization: divided by the root mean square (Zhang and Sennrich 2019)."""
    return spec("... [c]", eps=eps, center=False, measure=Measure.MEAN_SQUARE, scale="c")


def unit(floor: float = 1e-12) -> NormSpec:
    """Unit normalization: each vector along the last axis gets length 1."""
    return spec("... [c]", eps=0, center=False, measure=Measure.L2, floor=floor)


def whole(channels: str = LAST, eps: float = 1e-5) -> NormSpec:
    """Each sample as a whole, over all its features; scale and bias per channel."""
    pattern = by_channels(channels, last="b [s... c]", first="b [c s...]")
    return spec(pattern, eps=eps, scale="c", bias="c")


PRESETS: dict[str, Preset] = {
    "batch": batch,
    "layer": layer,
    "instance": instance,
    "group": group,
    "rms": rms,
    "unit": unit,
    "whole": whole,
}
