"""`scope`: which positions of its inputs do a model's outputs depend on, and do samples mix?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from normscope.errors import SpecError
from normscope.frameworks.inputs import Inputs
from normscope.frameworks.live import Arguments, Live
from normscope.frameworks.opened import opened
from normscope.frameworks.registry import live_of
from normscope.notation.axis_roles import axis_names
from normscope.progress import Progress, tell_nobody
from normscope.scope.calls import Calls
from normscope.scope.examine import Examination
from normscope.scope.result import ModeScope, Scope
from normscope.sight.index_table import checked_show
from normscope.wording import counted

_REFUSAL = (
    "scope calls a model, and this {kind} cannot be called; give a function that runs it, such as "
    "lambda x: transformed.apply(parameters, None, x)"
)


def scope(
    model: Any,
    inputs: Any,
    *,
    axes: str | Mapping[str, str] | None = None,
    show: str | None = None,
    all_axes: bool = False,
    progress: Progress = tell_nobody,
) -> Scope:
    """Find out whether samples see each other in a model, and what its outputs depend on.

    Its operators are followed in each mode: where they prove that samples stay apart, it is called
    no more. What they leave open, and that samples meet, is tried: one index along the axis of the
    samples is given other values, out of those present in that input, and what changes in the
    outputs depends on it. Where samples see each other, the model is run three times more while its
    submodules are watched, to say which of them lets them first. The model is afterwards as it was,
    bit for bit.

    Args:
        model: a module of torch, a model or layer of Keras, a module of Flax, Haiku (with its
            parameters) or Equinox, an ONNX model or node, an exported program of torch, the path of
            a file of ONNX, Keras 2 or 3 or `torch.export`, or any callable. One that takes a
            keyword `training` is asked in both modes.
        inputs: an array of any framework, or a tuple, list or dict of arrays. They are passed by
            position or by name where the model takes them so, else as one argument. What is no
            array is passed on as it is. Give different values, and at least two samples.
        axes: names of the axes, such as `"b t c"`, in which b or n are the samples; for several
            inputs a dict by input name. Else they are called b, d1, d2, ...
        all_axes: say of every axis, by calls, how the outputs depend on it.
        show: `"indices"` adds a table for each axis that an output has too: index by index, who
            sees whom. It needs more calls, and axes of at most 16 indices; all axes are asked.
        progress: is told of (what is being done, steps done, steps in all).

    Returns:
        The `Scope`. That the model raises in a mode is a result too, not an error.

    Raises:
        ModelFileError: a file cannot be read as a model.
        SpecError: the model is a class or cannot be called, its arguments are others, the inputs
            hold no array, `axes` names none, or `show` is unknown.
        ShapeError: `axes` does not name the axes of an input.

    Example:
        >>> import numpy as np
        >>> from normscope.scope import scope
        >>> def centred(x):
        ...     return x - x.mean()
        >>> found = scope(centred, np.random.default_rng(0).normal(size=(4, 6)), axes="b c")
        >>> found.samples_independent["inference"]
        False
        >>> found.axes["inference"]["input"]["output"]
        {'b': 'shared'}
        >>> found = scope(centred, np.eye(4), axes="b c", all_axes=True)
        >>> found.axes["inference"]["input"]["output"]
        {'b': 'shared', 'c': 'shared'}
    """
    checked_show(show)
    asked, given, names = asked_model(model, inputs, axes)
    with asked.kept():
        examination = Examination(Calls(asked, given), names, show, all_axes)
        modes: dict[bool, ModeScope] = {}
        for mode in asked.modes:
            what = "in training" if mode else "in inference"
            progress(f"whether samples see each other {what}", len(modes), len(asked.modes))
            modes[mode] = examination.mode(mode)
    training, inference = modes[asked.modes[0]], modes[asked.modes[-1]]
    silent = not inference.dependences and not training.dependences
    if silent and not (inference.samples_independent or training.samples_independent):
        unfit = asked.misfit(given)
        if unfit:
            raise SpecError(f"{asked.model_title} cannot be called: {unfit} ({inference.notes[0]})")
    one_mode = len(asked.modes) == 1
    return Scope(
        title=asked.model_title,
        inputs={n: array.shape for n, array in zip(given.names, given.arrays, strict=True)},
        names=dict(zip(given.names, names, strict=True)),
        training=training,
        inference=inference,
        one_mode=one_mode,
        evidence=tuple(_evidence(asked, examination, training, inference)),
        calls=examination.calls.count,
        indices=show is not None,
    )


def asked_model(
    model: Any, inputs: Any, axes: str | Mapping[str, str] | None
) -> tuple[Live, Inputs, list[tuple[str, ...]]]:
    """The model as it is called, its inputs, and the names of their axes.

    Raises:
        ModelFileError, SpecError, ShapeError: as `scope` says.
    """
    model = opened(model, "scope")

    def first(live: Live) -> Arguments:
        return live.inputs(inputs).arguments(live.leaf)

    asked = live_of(model, first, _REFUSAL)
    unfit = asked.unfit()
    if unfit:
        raise SpecError(unfit)
    given = asked.inputs(inputs)
    return asked, given, input_axes(given, axes)


def input_axes(given: Inputs, axes: str | Mapping[str, str] | None) -> list[tuple[str, ...]]:
    """The names of the axes of each input, as the caller says them, or neutral ones.

    Raises:
        SpecError: they name an input that there is not, or do not say which they mean.
        ShapeError: they do not name the axes of an input.
    """
    if isinstance(axes, Mapping):
        unknown = sorted(set(axes) - set(given.names))
        if unknown:
            raise SpecError(
                f"axes names the input {unknown[0]!r}, but the inputs are {', '.join(given.names)}"
            )
        return [
            axis_names(array.shape, axes.get(name))
            for name, array in zip(given.names, given.arrays, strict=True)
        ]
    if axes is not None and len(given.names) > 1:
        raise SpecError(
            f"axes={axes!r} does not say for which of the inputs {', '.join(given.names)}; write a "
            f"dict, such as {{{given.names[0]!r}: {axes!r}}}"
        )
    return [axis_names(array.shape, axes) for array in given.arrays]


def _evidence(
    model: Live, examination: Examination, training: ModeScope, inference: ModeScope
) -> Iterator[str]:
    same = training.notes == inference.notes
    for title, mode in (("training", training), ("inference", inference)):
        if title == "training" or not same:
            prefix = "" if same else f"{title}: "
            yield from (f"{prefix}{note}" for note in mode.notes)
    if examination.calls.count:
        yield from examination.notes()
    yield from model.notes
    if examination.calls.count:
        yield counted(examination.calls.count, "call of the model")
