"""The kind of a layer in a word and a letter, for the map of a model."""

from __future__ import annotations

from dataclasses import dataclass

from normscope.audit.model_graph import Kind, Site
from normscope.audit.site_explanation import explanation_of
from normscope.notation.axis_roles import Role
from normscope.notation.spec import Measure


@dataclass(frozen=True)
class Family:
    """Layers that do the same kind of thing.

    Attributes:
        key: a word without spaces.
        letter: stands for it on the map.
        name: in words.
    """

    key: str
    letter: str
    name: str


BATCH = Family("batch", "B", "batch norm")
LAYER = Family("layer", "L", "layer norm")
INSTANCE = Family("instance", "I", "instance norm")
GROUP = Family("group", "G", "group norm")
ROOT_MEAN_SQUARE = Family("rms", "R", "RMS norm")
LENGTH = Family("length", "V", "vector length")
STORED = Family("stored", "S", "stored statistics")
OTHER = Family("other", "N", "other normalization")
MIXING = Family("mixing", "M", "mixing by no pattern")
UNKNOWN = Family("unknown", "?", "unknown")

FAMILIES = (
    BATCH,
    LAYER,
    ROOT_MEAN_SQUARE,
    INSTANCE,
    GROUP,
    LENGTH,
    STORED,
    OTHER,
    MIXING,
    UNKNOWN,
)


def family_of(site: Site) -> Family:
    """What kind of normalization a site is, by what it computes and not by its name."""
    if site.kind is Kind.MIXING:
        return MIXING
    if site.kind is Kind.STORED:
        return STORED
    if site.kind is Kind.UNKNOWN or site.spec is None:
        return UNKNOWN
    if site.couples_samples(site.spec):
        return BATCH
    if site.spec.measure is Measure.MEAN_SQUARE and not site.spec.center:
        return ROOT_MEAN_SQUARE
    if site.spec.measure not in (Measure.VARIANCE, Measure.MEAN_SQUARE):
        return LENGTH if not site.spec.center else OTHER
    return _by_axes(site)


def _by_axes(site: Site) -> Family:
    """Instance, group, layer or other norm: by what lies in one statistics set."""
    explanation = explanation_of(site)
    if explanation is None:
        return OTHER
    axes = [axis for axis in explanation.facts.axes if axis.size != 1]
    if any(axis.word not in ("shared", "independent") for axis in axes):
        return GROUP
    channels = [axis for axis in axes if axis.role is Role.CHANNEL]
    places = [axis for axis in axes if axis.role in (Role.POSITION, Role.OTHER)]
    shared = [axis for axis in places if not axis.independent]
    if not channels or any(axis.independent for axis in channels):
        return INSTANCE if channels and places and shared == places else OTHER
    return LAYER if shared in ([], places) else OTHER
