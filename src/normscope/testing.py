"""Assertions on models, for any test runner.

They say what is proved, on the operators of the model, and what only calls have shown; where they
fail, they name the layer, its operator and the line of the program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields as fields_of, replace
from typing import Any

from normscope.errors import SpecError
from normscope.identify import identify
from normscope.identify.compare import differences
from normscope.notation.spec import NormSpec, spec
from normscope.scope import Word, scope
from normscope.scope.causality import Causality, causality
from normscope.scope.report import sentence

__all__ = [
    "assert_causal",
    "assert_identified",
    "assert_normalizes",
    "assert_samples_independent",
]

_MODES = ("training", "inference")


def assert_samples_independent(
    model: Any,
    inputs: Any,
    *,
    mode: str | None = None,
    axes: str | Mapping[str, str] | None = None,
    proved: bool = False,
) -> None:
    """Assert that no sample's output depends on another sample.

    Args:
        model: as `normscope.scope` takes it.
        inputs: as `normscope.scope` takes them: at least two samples, of different values.
        mode: "training" or "inference"; both if None.
        axes: names of the axes, such as `"t b c"`, if the samples are not on the first.
        proved: only a proof will do, no probing.

    Raises:
        AssertionError: samples see each other, or that is not known.
        SpecError: `mode` is unknown; and as `normscope.scope` does.

    Example:
        >>> import numpy as np
        >>> from normscope.testing import assert_samples_independent
        >>> x = np.random.default_rng(0).normal(size=(4, 6))
        >>> assert_samples_independent(lambda x: x - x.mean(1, keepdims=True), x)
        >>> assert_samples_independent(lambda x: x - x.mean(0), x, mode="inference")
        Traceback (most recent call last):
        AssertionError: in inference, sample 0 sees sample 1.
    """
    modes = _modes(mode)
    found = scope(model, inputs, axes=axes)
    wrong = {}
    for name in modes:
        report = getattr(found, name)
        if not report.samples_independent:
            wrong[name] = sentence(report)
        elif proved and report.samples.verdict is not Word.PROVED:
            wrong[name] = f"it is not proved: {report.samples.why}"
    _fail(wrong)


def assert_causal(
    model: Any,
    inputs: Any,
    axis: int | str = 1,
    *,
    mode: str | None = None,
    axes: str | Mapping[str, str] | None = None,
    proved: bool = False,
) -> None:
    """Assert that no step of an output depends on a later step of an input.

    Args:
        model: as `normscope.scope` takes it.
        inputs: as `normscope.scope` takes them.
        axis: of time: its number, or one of the names in `axes`.
        mode: "training" or "inference"; both if None.
        axes: names of the axes, such as `"b t c"`.
        proved: only a proof will do, no probing.

    Raises:
        AssertionError: a step sees a later one, or that is not known.
        SpecError: `mode` or the axis is unknown; and as `normscope.scope` does.

    Example:
        >>> import numpy as np
        >>> from normscope.testing import assert_causal
        >>> x = np.random.default_rng(0).normal(size=(2, 5))
        >>> assert_causal(lambda x: x.cumsum(1), x)
        >>> assert_causal(lambda x: x - x.mean(1, keepdims=True), x, "t", axes="b t")
        Traceback (most recent call last):
        AssertionError: in training and in inference, step 0 of output changes with step 4 of input
    """
    modes = _modes(mode)
    found = causality(model, inputs, axis, axes)
    wrong = {}
    for name in modes:
        verdict = found[name]
        if not verdict.causal:
            wrong[name] = _said(verdict)
        elif proved and not verdict.proved:
            wrong[name] = f"it is not proved: {verdict.why}"
    _fail(wrong)


def assert_normalizes(
    layer: Any,
    pattern: str | NormSpec,
    shape: Sequence[int],
    *,
    mode: str = "training",
    axes: str | None = None,
    **fields: Any,
) -> None:
    """Assert that a layer normalizes over what a pattern says, whatever its name is.

    Args:
        layer: as `normscope.identify` takes it.
        pattern: such as `"b [c]"`, of which only the statistics are compared; or a whole
            `NormSpec`, of which all is.
        shape: of the input.
        mode: "training" or "inference".
        axes: names of the axes, such as `"b c h w"`.
        fields: of a `NormSpec`, or sizes of the pattern, that are compared too: `eps=1e-3`.

    Raises:
        AssertionError: it is no normalization, or another one.
        SpecError: `mode` or a field is unknown; and as `normscope.identify` does.

    Example:
        >>> from normscope.testing import assert_normalizes
        >>> def layer(x):
        ...     return (x - x.mean(0)) / (x.var(0) + 1e-5) ** 0.5
        >>> assert_normalizes(layer, "[b] c", (8, 4))
        >>> assert_normalizes(layer, "b [c]", (8, 4))
        Traceback (most recent call last):
        AssertionError: in training, layer: statistics over "[b] d1" instead of "b [c]"
    """
    (name,) = _modes(mode)
    found = identify(layer, shape, axes)
    made = found.train if name == "training" else found.infer
    if made is None:
        raise AssertionError(
            f"in {name}, {found.title} is no normalization that was found: {found}"
        )
    if isinstance(pattern, NormSpec):
        wanted = replace(pattern, **fields) if fields else pattern
    else:
        wanted = spec(pattern, **fields)
        # parameters name the axes of the pattern that was found: compared only if they are given
        plain: dict[str, Any] = {"scale": None, "bias": None, "scale_shift": 0}
        made = replace(made, **{n: v for n, v in plain.items() if n not in fields})
        same = {f.name: getattr(made, f.name) for f in fields_of(made)}
        asked = {"pattern", "sizes", *fields}
        wanted = replace(wanted, **{n: v for n, v in same.items() if n not in asked})
    wrong = "; ".join(differences(wanted, made, tuple(shape)))
    _fail({name: f"{found.title}: {wrong}"} if wrong else {})


def assert_identified(
    layer: Any, shape: Sequence[int], *, mode: str | None = None, axes: str | None = None
) -> None:
    """Assert that a layer computes the normalization that its own settings declare.

    Args:
        layer: as `normscope.identify` takes it.
        shape: of the input.
        mode: "training" or "inference"; both if None.
        axes: names of the axes, such as `"b c h w"`.

    Raises:
        AssertionError: no spec reproduces it, or another one than it declares.
        SpecError: `mode` is unknown; and as `normscope.identify` does.

    Example:
        >>> from normscope.testing import assert_identified
        >>> assert_identified(lambda x: x / x.std(-1, keepdims=True), (4, 8))
        >>> assert_identified(abs, (4, 8))
        Traceback (most recent call last):
        AssertionError: in training and in inference, abs is no normalization that was found
    """
    found = identify(layer, shape, axes)
    wrong = {
        name: f"{found.title} is no normalization that was found"
        for name in _modes(mode)
        if (found.train if name == "training" else found.infer) is None
    }
    _fail(wrong)
    if found.headline:
        raise AssertionError(found.headline)


def _modes(mode: str | None) -> tuple[str, ...]:
    if mode is not None and mode not in _MODES:
        raise SpecError(f'mode="{mode}" is none of "training" and "inference"')
    return _MODES if mode is None else (mode,)


def _said(verdict: Causality) -> str:
    if verdict.causal is False:
        return verdict.why
    where = f" ({verdict.through})" if verdict.through is not None else ""
    return f"it is not known whether a step sees a later one: {verdict.why}{where}"


def _fail(wrong: Mapping[str, str]) -> None:
    """Say what is wrong in which modes; what is the same in both is said once."""
    modes: dict[str, list[str]] = {}
    for mode, text in wrong.items():
        modes.setdefault(text, []).append(f"in {mode}")
    if modes:
        lines = (f"{' and '.join(names)}, {text}" for text, names in modes.items())
        raise AssertionError("\n".join(lines))
