"""`audit`: every normalization of a model, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from normscope.audit.catalogue import selected_rules
from normscope.audit.model_graph import ModelGraph
from normscope.audit.promises import PromisedAxes, wanted_promises
from normscope.audit.readers.asked import Asked
from normscope.audit.result import Audit
from normscope.progress import Progress, tell_nobody


def audit(
    model: Any,
    inputs: Any = None,
    *,
    axes: str | Mapping[str, str] | None = None,
    independent: PromisedAxes | None = None,
    causal: PromisedAxes | None = None,
    against: Any = None,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    release: str | None = None,
    backend: str | None = None,
    verbose: bool = False,
    progress: Progress = tell_nobody,
) -> Audit:
    """Find every normalization of a model, by what it computes, and what is wrong with it.

    A live model is called once in each mode while its operators are recorded. Where they normalize
    is looked up in what they compute, not in the names of classes; what each place computes is
    found by asking it. The model is afterwards as it was, bit for bit. Of a file only data is read:
    no code in it, and none that it names, is run.

    Args:
        model: what `scope` takes: a module of torch, a model of Keras, Flax, Haiku (with its
            parameters) or Equinox, an ONNX model, or any callable; or the path of a model file.
        inputs: with which it is called: an array, or a tuple, list or dict of arrays. They may be
            left out where the model tells its shapes, as those of Keras and ONNX do.
        axes: names of the axes of the inputs, such as `"b t c"`, in which b or n are the samples;
            for several inputs a dict by input name.
        independent: axes along which the model must keep apart what lies along them, by name or
            number: `"b"`, `"b h w"`, a list. Along the axis of the samples no sample may see
            another; along others, such as h and w, no normalization may take a statistic. It must
            hold in both modes, unless it is said of one: `"b@inference"`, `{"inference": "b"}`.
        causal: axes along which no step of an output may depend on a later step of an input.
        against: what it is compared with: another model, of any framework, or the path of a file,
            also one of weights alone (.safetensors, .pt). Some rules need it: what a port, a
            conversion, a surgery or a load has changed.
        select: codes, names or families ("NS1") of the rules to apply; all, if none is given.
        ignore: those not to apply.
        release, backend: the release of Keras 1 ("1.0.0" to "1.2.2") and the backend
            ("tensorflow", "theano" or "theano<0.9") that wrote a file of Keras 1, where it does not
            tell them; what is assumed without them is in `Audit.graph.assumed` and in the report.
        verbose: the report lists, too, what looked like a normalization and is none.
        progress: is told of (what is being done, steps done, steps in all).

    Returns:
        The `Audit`.

    Raises:
        ModelFileError: the file could not be read, or what it holds contradicts itself.
        SpecError: there is no rule of a code or name, no such release or backend; it is no model,
            cannot be called with these inputs, or tells no shapes and `inputs` is left out.
        MissingPackageError: what runs it is not installed.

    Example:
        >>> report = audit("examples/seed_network_full_th.json")
        >>> report.layers[0].train.pattern
        'b c h [w]'
        >>> report.findings[0].name
        'rank-outside-contract'
    """
    from normscope.audit.readers.registry import read_graph  # h5py only when a file is read

    selected_rules(select, ignore)  # a wrong name is said before anything is read
    wanted = wanted_promises(independent, causal)
    asked = Asked(inputs, axes, release, backend, wanted, progress)
    graph = read_graph(model, asked)
    if against is not None:
        from normscope.audit.readers.reference import with_reference

        graph = with_reference(graph, against, replace(asked, promises=()))
    return judged(graph, select, ignore, verbose)


def judged(
    graph: ModelGraph,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    verbose: bool = False,
) -> Audit:
    """What the rules say of a model; the arguments are those of `audit`."""
    rules = selected_rules(select, ignore)
    by_site = tuple(
        tuple(finding for rule in rules for finding in rule.check(site, graph))
        for site in graph.sites
    )
    of_model = tuple(finding for rule in rules for finding in rule.check_model(graph))
    return Audit(graph, (*of_model, *chain.from_iterable(by_site)), verbose, by_site, of_model)
