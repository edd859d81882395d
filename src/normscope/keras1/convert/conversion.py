"""`normscope convert`: a Keras 1 file becomes a `.keras` file of Keras 3, and that is checked.

Three checks, on random input:

    file    each layer that `numpy_layers` knows, computed anew from the config and the arrays of
            the old file, against the live layer on the same input
    saved   the new file, loaded again, against the model in memory, layer by layer, bit by bit
            where the backend repeats itself
    whole   the prediction of the whole model against its layers called one by one
"""

from __future__ import annotations

import inspect
import math
import os
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from normscope.errors import ContractWarning, ModelFileError, SpecError, printable
from normscope.keras1.files import ModelFile, StrPath, read_model_file, weights_entry
from normscope.keras1.live.conventions import Told, normalizations
from normscope.keras1.live.loading import UNORDERED, load_model, load_parts
from normscope.keras1.live.running_std import RunningStdComparison, compare_running_std
from normscope.keras1.live.weights import LoadWarning, StoredLayer, backend_of, read_weights
from normscope.keras1.network import Call, Network, build_network
from normscope.keras1.network.numpy_layers import computed
from normscope.keras1.network.releases import OF_DEVIATIONS, OF_VARIANCES
from normscope.progress import Progress
from normscope.wording import counted

Array: TypeAlias = npt.NDArray[Any]

TOLERANCE_FILE = 1e-4  # float32 against float64, relative to the largest output
TOLERANCE_SAVED = 1e-6
SAMPLES = 2
UNKNOWN_SIZE = 16  # for the sizes that a model leaves open
MAX_VALUES = 2**28  # of all layers together


@dataclass(frozen=True)
class LayerReport:
    """One call of a layer: what it became, and how far the checks are off (None: not checked)."""

    path: str
    layer_class: str
    became: str
    output_shape: tuple[int, ...]
    changes: tuple[str, ...]
    off_file: float | None
    off_saved: float


@dataclass(frozen=True)
class Conversion:
    """What a conversion did and found; `str` gives the report."""

    source: str
    target: str
    release: str | None
    backend: str | None
    input_shapes: tuple[tuple[int, ...], ...]
    layers: tuple[LayerReport, ...]
    off_whole: float
    assumed: tuple[str, ...]
    contracts: tuple[str, ...]
    data: str = ""

    @property
    def differs(self) -> bool:
        """Whether a check failed, or something of the file was assumed or left out."""
        off_file = any((layer.off_file or 0) > TOLERANCE_FILE for layer in self.layers)
        off_saved = any(layer.off_saved > TOLERANCE_SAVED for layer in self.layers)
        return off_file or off_saved or self.off_whole > TOLERANCE_FILE or bool(self.assumed)

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def convert(
    source: StrPath,
    target: StrPath,
    *,
    weights: StrPath | None = None,
    force: bool = False,
    backend: str | None = None,
    dim_ordering: str | None = None,
    release: str | None = None,
    data: Any = None,
    progress: Progress | None = None,
) -> Conversion:
    """Write the model of a Keras 1 file as a `.keras` file, and check the result.

    The new file appears as a whole or not at all.

    Args:
        source: an HDF5 file of `model.save()`; with `weights` the JSON of `model.to_json()` too.
        target: the file to write, which ends in `.keras`.
        weights: an HDF5 file of `model.save_weights()`, where the source has none.
        force: whether an existing target is overwritten.
        backend, dim_ordering, release: as in `load_model`.
        data: inputs like those of the training, an array or a list of arrays: with them
            `compare_running_std` tells whether `running_std` holds variances or deviations. That
            decides where nothing else tells the release; where it contradicts the release, the
            report says so.
        progress: is told what is being done.

    Raises:
        ModelFileError: the source cannot be read.
        SpecError: the target cannot be written, there is no such release, backend or dim_ordering,
            or the data do not fit the model.

    Example:
        >>> print(convert("old.h5", "new.keras"))  # doctest: +SKIP
    """
    tell = progress or (lambda what, done, steps: None)
    path = _target(Path(target), force)
    tell("reading", 0, 1)
    files = (os.fspath(source), os.fspath(source if weights is None else weights))
    _check_size(read_model_file(source), dim_ordering)
    model, notes = _loaded(files, backend, dim_ordering, release)
    if data is not None:
        found = compare_running_std(model, data)
        if found.holds is not None and not _release_told(model):
            by_data = OF_DEVIATIONS if found.holds == "deviation" else OF_VARIANCES
            model, notes = _loaded(files, backend, dim_ordering, by_data)
        contradicted = tuple(_contradiction(model, found))
        notes = replace(notes, data=str(found), assumed=notes.assumed + contradicted)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        draft = folder / path.name
        tell("writing", 0, 1)
        model.save(draft)
        told = Told.by_user(backend, release)
        report = _checked(files, path, draft, model, told, dim_ordering, notes, tell)
        _publish(draft, path, force)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return report


def _loaded(
    files: tuple[str, str], backend: str | None, dim_ordering: str | None, release: str | None
) -> tuple[keras.Model, _Notes]:
    """The live model, and what loading it warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", LoadWarning)
        warnings.simplefilter("always", ContractWarning)
        told: Any = {"backend": backend, "dim_ordering": dim_ordering, "release": release}
        source, weights = files
        one = weights == source
        model = load_model(source, **told) if one else load_parts(source, weights, **told)
    return model, _Notes(_messages(caught, LoadWarning), _messages(caught, ContractWarning))


def _release_told(model: keras.Model) -> bool:
    return all(layer.release_told for layer in normalizations(model))


def _contradiction(model: keras.Model, found: RunningStdComparison) -> Iterator[str]:
    """Where the data say that running_std is not what the model reads it as."""
    wrong = [
        layer
        for layer in normalizations(model)
        if layer.spec.running is not None
        and found.holds is not None
        and layer.spec.running.deviation != (found.holds == "deviation")
    ]
    if wrong:
        fitting = OF_DEVIATIONS if found.holds == "deviation" else OF_VARIANCES
        yield (
            f"the data say that running_std holds a {found.holds}, but it is read as that of Keras "
            f"{wrong[0].release}; write --release {fitting} to read it as a {found.holds}"
        )


def _check_size(file: ModelFile, dim_ordering: str | None) -> None:
    """Refuse a model that is too large to be checked, before anything is made of it."""
    network = build_network(file.architecture, file.path, dim_ordering)
    shapes = [call.output.shape or () for call in network.calls]
    total = sum(math.prod(size or UNKNOWN_SIZE for size in shape) for shape in shapes)
    if total > MAX_VALUES:
        raise ModelFileError(
            file.path,
            f"its layers give {total:,} values for one input, more than are computed to check a "
            f"conversion ({MAX_VALUES:,})",
        )


def _target(path: Path, force: bool) -> Path:
    if path.suffix != ".keras":
        raise SpecError(f"the new file must end in .keras, not as {path.name!r}")
    if not path.parent.is_dir():
        raise SpecError(f"{path} cannot be written: there is no folder {os.fspath(path.parent)!r}")
    if path.exists() and not force:
        raise SpecError(f"{path} exists; write --force to overwrite it")
    return path


def _publish(draft: Path, path: Path, force: bool) -> None:
    """Move the finished file to its place."""
    try:
        if force:
            draft.replace(path)
        else:
            os.link(draft, path)  # fails if another program made the target in the meantime
    except FileExistsError:
        raise SpecError(f"{path} exists; write --force to overwrite it") from None
    except OSError as error:
        if force or path.exists():
            raise SpecError(f"{path} cannot be written: {error.strerror}") from None
        draft.replace(path)  # a file system without hard links


@dataclass(frozen=True)
class _Notes:
    """What loading warned of: what was assumed or left out, and contracts that the model breaks.

    `data` is what the data told of running_std.
    """

    assumed: tuple[str, ...]
    contracts: tuple[str, ...]
    data: str = ""


def _messages(
    caught: Sequence[warnings.WarningMessage], category: type[Warning]
) -> tuple[str, ...]:
    found = [str(one.message) for one in caught if issubclass(one.category, category)]
    return tuple(dict.fromkeys(found))


# --------------------------------------------------------------------------------------- checks


def _checked(
    files: tuple[str, str],
    target: Path,
    draft: Path,
    model: keras.Model,
    told: Told,
    dim_ordering: str | None,
    notes: _Notes,
    tell: Progress,
) -> Conversion:
    source, weights = files
    stored = read_weights(weights)
    file = read_model_file(source)
    if weights != source:
        file = replace(file, weights={layer.name: tuple(layer.arrays) for layer in stored})
    network = build_network(file.architecture, source, dim_ordering)
    written_by = told.backend or backend_of(stored)
    releases = [layer.release for layer in normalizations(model)]  # all the same
    computed_as = (written_by or "tensorflow", *releases[:1])
    inputs = random_inputs(network)
    tell("loading again", 0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ContractWarning)  # said once is enough
        again = keras.saving.load_model(draft)
    layers: list[LayerReport] = []
    first = _Run(model, inputs)
    second = _Run(again, inputs)
    for index, call in enumerate(network.calls):
        tell("checking", index, len(network.calls))
        y, y_again = first.outputs_of(call), second.outputs_of(call)
        if call.layer_class == "InputLayer":
            continue
        layers.append(
            LayerReport(
                path=call.id,
                layer_class=call.layer_class,
                became=_qualified(first.layers[call.path]),
                output_shape=tuple(y[0].shape),
                changes=tuple(_changes(call, first.layers[call.path], written_by)),
                off_file=_off_file(file, stored, call, first, y, computed_as),
                off_saved=_off(y_again, y),
            )
        )
    model.reset_states()
    whole = model.predict(inputs if len(inputs) > 1 else inputs[0], batch_size=len(inputs[0]))
    return Conversion(
        source=source if weights == source else f"{source} and {weights}",
        target=os.fspath(target),
        release=told.release or file.release,
        backend=written_by,
        input_shapes=tuple(x.shape for x in inputs),
        layers=tuple(layers),
        off_whole=_off(whole if isinstance(whole, list) else [whole], first.results(network)),
        assumed=notes.assumed,
        contracts=notes.contracts,
        data=notes.data,
    )


def random_inputs(network: Network) -> list[Array]:
    """Random input for each input of a network: normal, or indices in front of an Embedding.

    Sizes that the model leaves open are 16, the number of samples 2.
    """
    generator = np.random.default_rng(0)
    arrays: list[Array] = []
    for call in network.calls:
        if call.layer_class != "InputLayer":
            continue
        sizes = call.output.shape or (None, UNKNOWN_SIZE)
        shape = [size or UNKNOWN_SIZE for size in sizes[1:]]
        shape = [sizes[0] or SAMPLES, *shape]
        words = [
            user.config.get("input_dim")
            for user in network.consumers(call.id)
            if user.layer_class == "Embedding"
        ]
        limits = [word for word in words if isinstance(word, int)]
        if limits:
            arrays.append(generator.integers(0, min(limits), shape).astype("int32"))
        else:
            arrays.append(generator.standard_normal(shape).astype("float32"))
    return arrays


class _Run:
    """The layers of a model, called one by one in the order of a network."""

    def __init__(self, model: keras.Model, inputs: Sequence[Array]) -> None:
        self.layers = dict(_by_path(model, ""))
        self.pending = list(inputs)
        self.values: dict[str, list[Any]] = {}
        self.masks: dict[str, Any] = {}
        model.reset_states()

    def inputs_of(self, call: Call) -> list[Array]:
        """What goes into a call, as arrays."""
        return [keras.ops.convert_to_numpy(value) for value in self._taken(call)]

    def _taken(self, call: Call) -> list[Any]:
        """A call that takes from the same one twice takes its outputs in turn."""
        turns: Counter[str] = Counter()
        taken = []
        for source in call.inputs:
            outputs = self.values[source]
            taken.append(outputs[turns[source] % len(outputs)])
            turns[source] += 1
        return taken

    def outputs_of(self, call: Call) -> list[Array]:
        """What comes out of a call."""
        if call.layer_class == "InputLayer" and not call.inputs:
            self.values[call.id] = [keras.ops.convert_to_tensor(self.pending.pop(0))]
            self.masks[call.id] = None
        else:
            self.values[call.id] = self._called(call)
        return [keras.ops.convert_to_numpy(value) for value in self.values[call.id]]

    def _called(self, call: Call) -> list[Any]:
        layer = self.layers[call.path]
        values = self._taken(call)
        masks = [self.masks[source] for source in call.inputs]
        x, mask = (values, masks) if len(values) > 1 else (values[0], masks[0])
        known = any(one is not None for one in masks)
        takes_mask = "mask" in inspect.signature(layer.call).parameters
        y = layer(x, mask=mask) if known and takes_mask else layer(x)
        self.masks[call.id] = layer.compute_mask(x, mask) if layer.supports_masking else None
        return list(y) if isinstance(y, list | tuple) else [y]

    def results(self, network: Network) -> list[Array]:
        """The outputs of the whole."""
        return [
            keras.ops.convert_to_numpy(value)
            for key in network.outputs
            for value in self.values[key]
        ]


def _by_path(model: keras.Model, prefix: str) -> Iterator[tuple[str, keras.layers.Layer]]:
    """The layers by their paths in the network: nested models have a prefix, branches have none."""
    for layer in model.layers:
        path = f"{prefix}/{layer.name}" if prefix else layer.name
        yield path, layer
        if isinstance(layer, keras.Model):
            yield from _by_path(layer, path)
        for branch in getattr(layer, "branches", ()):
            yield from _by_path(branch, prefix)


def _off_file(
    file: ModelFile,
    stored: Sequence[StoredLayer],
    call: Call,
    run: _Run,
    found: Sequence[Array],
    computed_as: tuple[str, ...],
) -> float | None:
    """How far a layer is from the same one computed anew from the file; None where it cannot be.

    `computed_as` is the backend, and the release if a layer depends on it.
    """
    if any(run.masks[source] is not None for source in call.inputs):
        return None
    entry = weights_entry(file, call.path)
    arrays = next((layer.arrays for layer in stored if layer.name == entry), {})
    own = {
        name.removesuffix(":0").removeprefix(f"{call.name}_"): array.astype(np.float64)
        for name, array in arrays.items()
        if name.startswith(f"{call.name}_")
    }
    inputs = [x.astype(np.float64) for x in run.inputs_of(call)]
    wanted = computed(call.layer_class, call.config, inputs, own, *computed_as)
    return None if wanted is None else _off(found, [wanted])


def _off(found: Sequence[Array], wanted: Sequence[Array]) -> float:
    """The largest difference, relative to the largest value wanted."""
    if [array.shape for array in found] != [array.shape for array in wanted]:
        return float("inf")
    off = 0.0
    for array, reference in zip(found, wanted, strict=True):
        if array.size and not np.array_equal(array, reference, equal_nan=True):
            size = float(np.abs(reference).max()) or 1.0
            off = max(off, float(np.abs(array - reference).max()) / size)
    return off


# --------------------------------------------------------------------------------------- report


def _qualified(layer: keras.layers.Layer) -> str:
    package = type(layer).__module__.split(".")[0]
    kept = package == "normscope"
    return f"{'normscope.keras1' if kept else type(layer).__module__}.{type(layer).__name__}"


def _changes(call: Call, layer: keras.layers.Layer, backend: str | None) -> Iterator[str]:
    """What is not as the file says it."""
    inside = getattr(layer, "layer", layer)
    if backend == "theano" and getattr(inside, "flips_kernels", False):
        yield "kernels turned by 180 degrees"
    if call.layer_class in UNORDERED and "dim_ordering" not in call.config:
        yield f"dim_ordering={layer.dim_ordering!r}, which the file lacks"
    if call.layer_class == "PReLU" and layer.shared_axes:
        yield f"shared_axes={list(layer.shared_axes)}, which the file lacks"
    if not call.config.get("trainable", True):
        yield "still not trained"


def _lines(report: Conversion) -> Iterator[str]:
    written = f"Keras {report.release or '1'}"
    by = f" on {report.backend}" if report.backend else ""
    yield f"{printable(report.source)} -> {printable(report.target)}"
    yield f"written by {written}{by}; {counted(len(report.layers), 'call')} of layers"
    yield ""
    rows = [
        (
            layer.path,
            layer.became,
            "x".join(map(str, layer.output_shape[1:])) or "1",
            "not checked" if layer.off_file is None else f"{layer.off_file:.1e}",
            "equal" if layer.off_saved == 0 else f"{layer.off_saved:.1e}",
            "; ".join(layer.changes),
        )
        for layer in report.layers
    ]
    yield from _table([("layer", "became", "output", "file", "saved", "changed"), *rows])
    yield ""
    shapes = ", ".join(map(str, report.input_shapes))
    checked = [layer.off_file for layer in report.layers if layer.off_file is not None]
    yield f"largest differences, relative to the largest output, on random input {shapes}:"
    yield (
        f"  file   {max(checked, default=0.0):.1e}  {len(checked)} of "
        f"{counted(len(report.layers), 'layer')} computed anew in NumPy from the old file"
    )
    others = sorted({layer.layer_class for layer in report.layers if layer.off_file is None})
    if others:
        yield f"                  not computed: {', '.join(others)}"
    off_saved = max((layer.off_saved for layer in report.layers), default=0.0)
    yield f"  saved  {off_saved:.1e}  the new file, loaded again, against the model in memory"
    yield f"  whole  {report.off_whole:.1e}  model.predict against its layers one by one"
    if report.data:
        yield from ("data: " + report.data).splitlines()
    for kind, messages in (("assumed", report.assumed), ("note", report.contracts)):
        yield from (f"{kind}: {printable(message)}" for message in messages)
    yield ""
    yield f"to load it: normscope.keras1.load_model({report.target!r})"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield ("  " + "  ".join(cells)).rstrip()
