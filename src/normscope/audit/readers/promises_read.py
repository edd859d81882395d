"""What was promised of a model that was read and not run: what the settings of its layers say."""

from __future__ import annotations

from collections.abc import Sequence

from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.promises import MODES, About, Kind, Promise, Standing, Wanted
from normscope.notation.axis_roles import Role, role_of
from normscope.notation.axis_words import axis_word
from normscope.sight.verdict import Through

_NOT_RUN = "the model was read, and not run, so nothing is proved of its other layers"


def promises_read(graph: ModelGraph, wanted: Sequence[Wanted]) -> tuple[Promise, ...]:
    """A promise that a layer breaks by its settings is broken; of others nothing is known."""
    return tuple(_judged(graph, one, mode) for one in wanted for mode in MODES if mode in one.modes)


def _judged(graph: ModelGraph, wanted: Wanted, mode: str) -> Promise:
    samples = wanted.axis == 0 or (
        isinstance(wanted.axis, str) and role_of([wanted.axis]) is Role.SAMPLE
    )
    about = About.SAMPLES if samples else About.POSITIONS
    if wanted.kind is Kind.CAUSAL:
        about = About.STEPS
    breaking = tuple(
        number
        for number, site in enumerate(graph.sites)
        if _breaks(site, wanted.axis, samples and wanted.kind is Kind.INDEPENDENT, mode)
    )
    if not breaking:
        return Promise(wanted, about, mode, Standing.UNKNOWN, why=_NOT_RUN)
    first = graph.sites[breaking[0]]
    through = Through(first.path, first.type, first.operator, first.source)
    said = "so the settings of the layer say"
    return Promise(wanted, about, mode, Standing.BROKEN, "", through, said, breaking)


def _breaks(site: Site, axis: str | int, samples: bool, mode: str) -> bool:
    """Whether the statistics of a layer run along an axis by its settings."""
    spec = site.train if mode == "training" else site.infer
    if samples:
        return bool(site.couples_samples(spec))
    if spec is None or spec.pattern is None or site.input_shape is None:
        return False
    layout = spec.layout(site.input_shape)
    named = [dim for dim in range(len(layout.shape)) if axis in _names(site, dim)]
    return any(axis_word(layout, dim) != "independent" for dim in named)


def _names(site: Site, dim: int) -> list[str]:
    return [] if site.layout is None else [part.base for part in site.layout.parts(dim)]
