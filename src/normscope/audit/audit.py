"""`audit`: every normalization of a model, and what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from normscope.audit.allowances import Allow, Intents
from normscope.audit.baseline import Baseline
from normscope.audit.configuration import policy_of, read_configuration
from normscope.audit.judging import judged_by
from normscope.audit.model_graph import ModelGraph
from normscope.audit.policy import Policy
from normscope.audit.promises import PromisedAxes
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
    optimizer: Any = None,
    data: Any = None,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    allow: Allow | None = None,
    intents: Intents | None = None,
    baseline: str | os.PathLike[str] | None = None,
    config: str | os.PathLike[str] | None = None,
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
        optimizer: that trains the model, of PyTorch or Keras; it is asked which arrays it decays.
            A model of Keras that is compiled tells its own.
        data: some of the data that the model is meant for, in the form of `inputs`, at least 16
            samples: it is called with them at inference, and what each place is given is compared
            with its stored statistics.
        select: codes, names or families ("NS1", "axes") of the rules to apply; all, if none is
            given.
        ignore: those not to apply.
        allow: findings that need no mending, by the path of the layer, in which `*` is any text:
            `{"encoder.*": "batch-statistics-at-inference: test-time adaptation"}`. A reason is
            required. They are in `Audit.allowed`; one that is not needed is a finding itself.
        intents: what layers are meant to do, so that rules which take it for a mistake are silent:
            `{"teacher.*": "train-mode-teacher"}`. The tags are those of `normscope.audit.Intent`.
        baseline: the path of a file with the findings that are known; they are in `Audit.known`.
        config: the path of a `pyproject.toml`, whose `[tool.normscope]` holds what is not said
            here. None is read without it.
        release, backend: the release of Keras 1 ("1.0.0" to "1.2.2") and the backend
            ("tensorflow", "theano" or "theano<0.9") that wrote a file of Keras 1, where it does not
            tell them; what is assumed without them is in `Audit.graph.assumed` and in the report.
        verbose: the report lists, too, what looked like a normalization and is none.
        progress: is told of (what is being done, steps done, steps in all).

    Returns:
        The `Audit`.

    Raises:
        ModelFileError: the file could not be read, or what it holds contradicts itself.
        SpecError: there is no rule of a code or name, no such axis, intent, release or backend; an
            allowance says no reason, or the configuration is wrong; it is no model, cannot be
            called with these inputs, or tells no shapes and `inputs` is left out.
        MissingPackageError: what runs it is not installed.

    Example:
        >>> report = audit("examples/seed_network_full_th.json")
        >>> report.layers[0].train.pattern
        'b c h [w]'
        >>> report.findings[0].name
        'rank-outside-contract'
    """
    policy = policy_of(
        select, ignore, independent, causal, allow=allow, intents=intents, baseline=baseline
    )
    if config is not None:
        found = read_configuration(config)
        if baseline is None and found.baseline is not None:
            policy = replace(policy, baseline=Baseline.read(found.baseline))
        policy = found.policy.overridden(policy)
    return audited(
        model,
        inputs,
        policy,
        axes,
        against,
        optimizer=optimizer,
        data=data,
        release=release,
        backend=backend,
        verbose=verbose,
        progress=progress,
    )


def audited(
    model: Any,
    inputs: Any,
    policy: Policy,
    axes: str | Mapping[str, str] | None = None,
    against: Any = None,
    *,
    optimizer: Any = None,
    data: Any = None,
    release: str | None = None,
    backend: str | None = None,
    verbose: bool = False,
    progress: Progress = tell_nobody,
) -> Audit:
    """An audit by a policy; the other arguments are those of `audit`."""
    from normscope.audit.readers.registry import read_graph  # h5py only when a file is read

    policy.checked()
    asked = Asked(inputs, axes, release, backend, policy.promises, progress, optimizer, data)
    graph = read_graph(model, asked)
    if against is not None:
        from normscope.audit.readers.reference import with_reference

        graph = with_reference(graph, against, replace(asked, promises=(), data=None))
    return judged_by(graph, policy, verbose)


def judged(
    graph: ModelGraph,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    verbose: bool = False,
) -> Audit:
    """What the rules say of a model; the arguments are those of `audit`."""
    return judged_by(graph, Policy(tuple(select), tuple(ignore)), verbose)
