"""Live models, and files that open as such -> `ModelGraph`, by the operators that they compute."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.readers.asked import Asked
from normscope.audit.surroundings import Residuals
from normscope.errors import SpecError, printable
from normscope.files.readable import Readable
from normscope.frameworks.inputs import Inputs
from normscope.frameworks.live import Arguments, Live
from normscope.frameworks.opened import opened
from normscope.frameworks.opening import opener
from normscope.frameworks.registry import advice_of, kind_of, live_of
from normscope.graph.dropouts import Dropouts
from normscope.graph.operators import CannotTraceError, Graph, OutOfSightError
from normscope.notation.axis_roles import sample_axis
from normscope.wording import one_line

if TYPE_CHECKING:
    from normscope.audit.found.site import FoundSite
    from normscope.graph.sites import Site as GraphSite

TAKES = (
    "a live model (of PyTorch, Keras, JAX or ONNX, or a function), the path of one in a file "
    "(.onnx, .keras, .h5, .json, .pt2)"
)
READS: tuple[Readable, ...] = (
    Readable("models of ONNX", (".onnx",), {}),
    Readable("exported programs of PyTorch", (".pt2",), {}),
    Readable("models of Keras 2 and 3", (".keras, .h5, .json",), {}),
)

_REFUSAL = (
    "audit calls a model, and this {kind} cannot be called; give a function that runs it, such as "
    "lambda x: transformed.apply(parameters, None, x)"
)


def recognises(source: object) -> bool:
    """Whether it is an object that can be called, or the path of a file that opens as one.

    Raises:
        ModelFileError: it is a path that cannot be opened.
    """
    if isinstance(source, str | os.PathLike):
        return source != "" and opener(os.fsdecode(source)) is not None
    if source is None or isinstance(source, bytes | type):
        return False
    return kind_of(source) is not None or (callable(source) and not hasattr(source, "dtype"))


def read(source: Any, asked: Asked) -> ModelGraph:
    """Trace a model in each of its modes, and ask each place where it normalizes.

    Args:
        source: the model, or the path of a file that opens as one.
        asked: the inputs, and the names of their axes.

    Raises:
        SpecError: it cannot be called with these inputs, or tells no shapes and none are given.
        ModelFileError: the file cannot be read.
        MissingPackageError: what runs it is not installed.
    """
    # what asks places and proves is loaded only for a model that is followed
    from normscope.audit.axes import places_of
    from normscope.audit.found.found import found_sites
    from normscope.audit.readers.entries import entries_of
    from normscope.audit.readers.found_sites import site_of
    from normscope.audit.readers.observed import with_observed
    from normscope.audit.readers.padding import padding_of
    from normscope.audit.readers.promises import Promised, resolved
    from normscope.audit.readers.steps import with_steps
    from normscope.audit.readers.unused import unused_norms
    from normscope.audit.readers.verdicts import samples_of
    from normscope.scope.scope import input_axes

    asked.progress("opening the model", 0, 4)
    model = _model(source)
    live = live_of(model, lambda live: _arguments(live, asked), _REFUSAL)
    unfit = live.unfit()
    if unfit:
        raise SpecError(unfit)
    given = live.inputs(_given(live, asked))
    names = input_axes(given, asked.axes)
    decays = live.decays(asked.optimizer)
    promised = resolved(asked.promises, given, names)
    with live.kept():
        asked.progress("following its operators", 1, 4)
        traced = _traced(live, given)
        asked.progress("asking what it normalizes", 2, 4)
        found = found_sites(traced.graphs, given.arrays)
        asked.progress("looking who sees whom", 3, 4)
        samples = samples_of(live, given, names, traced.graphs)
        sites = [one for one in found if not one.dismissed]
        padding = padding_of(traced.graphs, given.arrays)
        promises = Promised(live, given, names, traced.graphs, sites, samples).judged(promised)
    sample_axes = [sample_axis(own) if own else None for own in names]
    used = {one.modes[0] for one in found}
    graphs = {mode: graph for mode, graph in traced.graphs.items() if mode in used}
    places = places_of(graphs, _said_names(given, names, asked), sample_axes)

    answers: dict[Hashable, Any] = {}
    numbers = {placed.site: n for n, one in enumerate(sites) for placed in one.placed.values()}
    framework = _framework(model)

    def site(one: FoundSite) -> Site:
        return site_of(one, places[one.modes[0]].of(one.site.x), framework, numbers, answers)

    shown = list(map(site, sites))
    shown = with_steps(live, given, sites, shown)
    if asked.data is not None:
        shown = with_observed(live, asked.data, sites, shown)
    return ModelGraph(
        file=_file(source),
        name=live.model_title,
        format=_format(source),
        framework=framework,
        provenance=_provenance(given, names, traced.graphs),
        advice=advice_of(framework),
        sites=tuple(shown),
        dismissed=tuple(site(one) for one in found if one.dismissed),
        samples=samples,
        unknown_operators=_unknown_operators(traced.graphs),
        promises=promises,
        details=live.details,
        notes=tuple(dict.fromkeys([*live.notes, *traced.notes(), *_untold(asked, decays)])),
        drops_at_inference=_drops(traced.graphs),
        one_mode=len(live.modes) == 1,
        entries=entries_of(traced.graphs[min(traced.graphs)]),
        unread=live.learned - _read_by(traced.graphs),
        decays=decays or {},
        residuals=_residuals(sites, numbers),
        padding=padding,
        unused=() if traced.problems else tuple(unused_norms(live.layers(), traced.graphs)),
    )


def _residuals(found: Sequence[FoundSite], numbers: Mapping[GraphSite, int]) -> Residuals:
    """The residual additions of the model, in training where anything is normalized there."""
    from normscope.audit.readers.surroundings import residuals_of

    by_mode = {mode: one.residuals for site in found for mode, one in site.placed.items()}
    return residuals_of(by_mode[max(by_mode)], numbers) if by_mode else Residuals()


def _model(source: Any) -> Any:
    """The model; a file is opened as what its content is, whatever its name."""
    if isinstance(source, str | os.PathLike):
        path = os.fsdecode(source)
        opens = opener(path)
        if opens is not None:
            return opens(Path(path))
    return opened(source, "audit")


def _given(live: Live, asked: Asked) -> Any:
    """The inputs, or those that the model tells of.

    Raises:
        SpecError: there are none.
    """
    given = live.example() if asked.inputs is None else asked.inputs
    given = asked.data if given is None else given
    if given is None:
        raise SpecError(
            f"{live.model_title} does not tell the shapes of its inputs; give inputs of at least "
            "two samples, audit(model, inputs), or on the command line --shape 4,3,224,224"
        )
    return given


def _arguments(live: Live, asked: Asked) -> Arguments:
    return live.inputs(_given(live, asked)).arguments(live.leaf)


@dataclass(frozen=True)
class _Traced:
    """The graphs of the modes, and why there is none of a mode."""

    graphs: dict[bool, Graph] = field(default_factory=dict)
    problems: dict[bool, str] = field(default_factory=dict)

    def notes(self) -> Iterator[str]:
        """What the reader of a report should know."""
        for training, problem in self.problems.items():
            mode = "training" if training else "inference"
            yield f"nothing is known of {mode}: {problem}"
        for graph in self.graphs.values():
            yield from graph.notes


def _traced(live: Live, given: Inputs) -> _Traced:
    """The graph of each mode.

    Raises:
        SpecError: there is none of any.
    """
    traced = _Traced()
    for training in live.modes:
        live.put_back()
        try:
            traced.graphs[training] = live.trace(given, training)
        except OutOfSightError as error:
            if live.misfit(given):
                traced.problems[training] = str(error)
                continue
            raise SpecError(
                f"{live.model_title} cannot be audited: {error}; scope(model, inputs) finds out by "
                "calls whether samples see each other, identify(layer, shape) what a layer computes"
            ) from error
        except CannotTraceError as error:
            traced.problems[training] = str(error)
        except Exception as error:  # a model may refuse its inputs by any exception
            said = one_line(error)
            traced.problems[training] = f"the model raised {type(error).__name__}: {said}"
    live.put_back()
    if not traced.graphs:
        why = next(iter(traced.problems.values()))
        misfit = live.misfit(given)
        said = f"{misfit} ({why})" if misfit else why
        raise SpecError(f"{live.model_title} cannot be audited with these inputs: {said}")
    return traced


def _said_names(
    given: Inputs, names: list[tuple[str, ...]], asked: Asked
) -> list[tuple[str | None, ...]]:
    """The names that the caller gave to the axes of each input; None where there are none."""
    said = asked.axes
    if isinstance(said, str):
        return list(names)
    named = said or {}
    return [
        own if name in named else (None,) * len(own)
        for name, own in zip(given.names, names, strict=True)
    ]


def _untold(asked: Asked, decays: Mapping[str, float] | None) -> Iterator[str]:
    """That an optimizer was given, and what it decays is not known."""
    if asked.optimizer is not None and decays is None:
        kind = f"{type(asked.optimizer).__module__}.{type(asked.optimizer).__qualname__}"
        yield (
            f"what the optimizer ({kind}) decays is not known: it has no groups of parameters of "
            "this model, as those of PyTorch and Keras have"
        )


def _read_by(graphs: Mapping[bool, Graph]) -> frozenset[str]:
    """The names of the arrays of the model that any operator reads."""
    bodies = [body for graph in graphs.values() for body in (graph, *graph.bodies())]
    operands = (value for body in bodies for node in body.nodes for value in node.operands)
    return frozenset(value.name for value in operands if value.is_parameter)


def _framework(model: Any) -> str:
    found = kind_of(model)
    return "function" if found is None else found[0].name


def _file(source: object) -> str:
    """The name of the file without its folder; "" of an object."""
    if not isinstance(source, str | os.PathLike):
        return ""
    return os.path.basename(os.fsdecode(source))


def _format(source: object) -> str:
    """The ending of a file; "live" of an object."""
    return os.path.splitext(_file(source))[1].removeprefix(".").lower() or "live"


def _provenance(given: Inputs, names: list[tuple[str, ...]], graphs: dict[bool, Graph]) -> str:
    """With what it was called, in words: "called with x (b=4, c=3)"."""
    said = [
        f"{printable(name)} ("
        + ", ".join(f"{a}={n}" for a, n in zip(own, array.shape, strict=True))
        + ")"
        for name, array, own in zip(given.names, given.arrays, names, strict=True)
    ]
    operators = max(sum(node.live for node in graph.nodes) for graph in graphs.values())
    return f"called with {', '.join(said)}, {operators:,} operators"


def _drops(graphs: dict[bool, Graph]) -> tuple[str, ...]:
    """Where random masks are applied at inference."""
    if False not in graphs:
        return ()
    graph = graphs[False]
    dropouts = Dropouts(graph)
    nodes = (node for one in (graph, *graph.bodies()) for node in one.nodes)
    return tuple(node.path for node in nodes if dropouts.may_drop(node))


def _unknown_operators(graphs: dict[bool, Graph]) -> dict[str, int]:
    found: dict[str, int] = {}
    for graph in graphs.values():
        for part in (graph, *graph.bodies()):
            for name, number in part.unknown_operators.items():
                found[name] = max(found.get(name, 0), number)
    return found
