"""The checks of a conversion, on random input.

file    each layer that `numpy_layers` knows, computed anew from the config and the arrays of
the old file, against the live layer on the same input
saved   the new file, loaded again, against the model in memory, layer by layer, bit by bit
where the backend repeats itself
whole   the prediction of the whole model against its layers called one by one
"""

from __future__ import annotations

import inspect
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from normscope.errors import ContractWarning
from normscope.keras1.convert.inputs import random_inputs
from normscope.keras1.convert.report import Conversion, LayerReport
from normscope.keras1.files import (
    ModelFile,
    StoredLayer,
    backend_of,
    read_model_file,
    read_weights,
    weights_entry,
)
from normscope.keras1.live.conventions import Told, normalizations
from normscope.keras1.live.unstored import UNORDERED
from normscope.keras1.network import Call, Network, build_network
from normscope.keras1.network.numpy_layers import computed
from normscope.progress import Progress

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Given:
    """What the user says of the files of a model, as the options of `load_model`."""

    backend: str | None
    dim_ordering: str | None
    release: str | None


@dataclass(frozen=True)
class Notes:
    """What loading warned of: what was assumed or left out, and contracts that the model breaks.

    `data` is what the data told of running_std.
    """

    assumed: tuple[str, ...]
    contracts: tuple[str, ...]
    data: str = ""


def checked(
    files: tuple[str, str],
    target: Path,
    draft: Path,
    model: keras.Model,
    given: Given,
    notes: Notes,
    tell: Progress,
) -> Conversion:
    """The report of a conversion, with all checks made.

    Args:
        files: with the architecture and with the weights of the old model.
        target: the new file, as the report names it.
        draft: where the new file is now.
        model: in memory.
        given: what the user says of the files.
        notes: what loading warned of.
        tell: is told what is being done.
    """
    source, weights = files
    told = Told.by_user(given.backend, given.release)
    stored = read_weights(weights)
    file = read_model_file(source)
    if weights != source:
        file = replace(file, weights={layer.name: tuple(layer.arrays) for layer in stored})
    network = build_network(file.architecture, source, given.dim_ordering)
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


def _qualified(layer: keras.layers.Layer) -> str:
    module = type(layer).__module__
    package = "normscope.keras1" if module.startswith("normscope.") else module
    return f"{package}.{type(layer).__name__}"


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
