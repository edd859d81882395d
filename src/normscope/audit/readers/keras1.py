"""Keras 1 model files (`.h5` of model.save(), `.json` of model.to_json()) -> `ModelGraph`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from normscope.audit.model_graph import ModelGraph, Site
from normscope.audit.readers.asked import Asked
from normscope.audit.readers.keras1_makers import Makers
from normscope.errors import ModelFileError, SpecError
from normscope.files.keras_release import keras_release
from normscope.files.readable import Readable
from normscope.files.recognition import HDF5, JSON, recognise
from normscope.frameworks.declaration import Declaration
from normscope.frameworks.keras1.advice import ADVICE
from normscope.frameworks.keras1.presets import BACKENDS, facts_of
from normscope.frameworks.keras1.settings import SETTINGS, keras1_batch_normalization
from normscope.keras1.files import (
    KERAS_1,
    ModelFile,
    StoredArrays,
    open_arrays,
    read_model_file,
    weights_entry,
)
from normscope.keras1.network import Call, build_network
from normscope.keras1.network.releases import StoredNorm, assumptions, release_by_configs
from normscope.sight.verdict import Samples

_ROLES = ("scale", "bias", "running_mean", "running_var")
"""The weights of a BatchNormalization in their order in the file; the last is called running_std
there, and holds a variance, before release 1.0.7 a deviation."""

MAX_STORED_BYTES = 2**26
"""Of the scales, biases and running statistics of one file: a thousand layers of 4096 channels."""

_FORMS = {"json": "JSON without weights", "hdf5": "HDF5"}

TAKES = "the path of a model file of Keras 1 (.h5, .json)"
READS: tuple[Readable, ...] = (KERAS_1,)


def recognises(source: object) -> bool:
    """Whether it is the path of an HDF5 file or a JSON text that no later Keras has written.

    Raises:
        ModelFileError: it is a path that cannot be opened.
    """
    if not isinstance(source, str | os.PathLike) or source == "":
        return False
    kind = recognise(os.fspath(source))
    return kind in (HDF5, JSON) and (keras_release(os.fspath(source), kind) or 1) == 1


def read(source: str | os.PathLike[str], asked: Asked) -> ModelGraph:
    """Read a Keras 1 model file.

    Args:
        source: the path of the file.
        asked: what wrote it, where it does not tell.

    Raises:
        ModelFileError: it cannot be read, or contradicts itself.
        SpecError: there is no such release or backend.
    """
    path = Path(source)
    _check_given(asked.release, asked.backend)
    file = read_model_file(path)
    network = build_network(file.architecture, str(path))
    calls = tuple(_with_wrapped(network.calls))
    normalizations = [call for call in calls if call.layer_class == "BatchNormalization"]
    release, backend = asked.release or file.release, asked.backend or file.backend
    used, told = release_by_configs(call.config for call in normalizations)
    if release is not None:
        used, told = release, True
    declarations = _Declarations(path, used, backend)
    with open_arrays(file, MAX_STORED_BYTES) if file.weights else nullcontext() as stored:
        if stored is not None:
            stored.check_sizes(file.weights)
        sites = {call.id: _site(call, file, stored, declarations, path) for call in normalizations}
    return ModelGraph(
        file=path.name,
        name=network.name,
        format=file.format,
        framework="keras1",
        provenance=_provenance(file.format, release, backend),
        advice=ADVICE,
        sites=_with_makers(calls, sites),
        samples=dict.fromkeys(("training", "inference"), _NOT_FOLLOWED),
        details={"release": release, "backend": backend},
        followed=False,
        assumed=tuple(
            assumptions(
                "the file",
                [_stored_norm(site) for site in sites.values()],
                used,
                backend or "tensorflow",
                release_told=told,
                backend_told=backend is not None,
            )
        ),
    )


_NOT_FOLLOWED = Samples(
    why="the layers of a Keras 1 file are read, and its operators are not followed"
)


def _with_makers(calls: tuple[Call, ...], sites: dict[str, Site]) -> tuple[Site, ...]:
    """The sites, each with what makes its channels."""

    def subtracts(call: Call, axis: int) -> bool:
        site = sites.get(call.id)
        return site is not None and site.subtracts_along(axis)

    makers = Makers(calls, subtracts)
    found = []
    for call in calls:
        if call.id in sites:
            first, more = makers.of(call)
            found.append(replace(sites[call.id], makers=first, more_makers=more))
    return tuple(found)


def _check_given(release: str | None, backend: str | None) -> None:
    if release is not None:
        facts_of(release)
    if backend is not None and backend not in BACKENDS:
        raise SpecError(f"backend is one of {', '.join(BACKENDS)}, not {backend!r}")


def _provenance(form: str, release: str | None, backend: str | None) -> str:
    """Who wrote a model and in what form, in words: "written by Keras 1.2.2, theano, HDF5"."""
    return ", ".join(filter(None, (f"written by Keras {release or 1}", backend, _FORMS[form])))


def _stored_norm(site: Site) -> StoredNorm:
    assert site.declared is not None
    settings, spec = site.declared.settings, site.declared.train
    epsilon = max(spec.eps, spec.eps_outside)
    return StoredNorm(site.path, settings.get("mode", 0), epsilon, site.stored("running_var"))


def _with_wrapped(calls: Iterable[Call]) -> Iterator[Call]:
    """The calls, those inside a TimeDistributed too, as they see one step."""
    for call in calls:
        yield call
        yield from _with_wrapped(call.wrapped)


class _Declarations:
    """What layers declare; layers with the same settings share one declaration."""

    def __init__(self, path: Path, release: str, backend: str | None) -> None:
        self.path = path
        self.release = release
        self.backend = backend
        self.found: dict[str, Declaration] = {}

    def of(self, call: Call, axes: str | None) -> Declaration:
        """What a layer with inputs of such axes declares."""
        key = repr((axes, [call.config.get(name) for name in SETTINGS]))
        if key not in self.found:
            try:
                self.found[key] = keras1_batch_normalization(
                    call.config, release=self.release, backend=self.backend, axes=axes
                )
            except SpecError as error:
                raise ModelFileError(str(self.path), f"layer {call.path}: {error}") from None
        return self.found[key]


def _site(
    call: Call,
    file: ModelFile,
    stored: StoredArrays | None,
    declarations: _Declarations,
    path: Path,
) -> Site:
    (tensor,) = call.input_tensors
    axes = " ".join(tensor.axes) if tensor.axes else None
    arrays = {} if stored is None else _arrays(call, file, stored)
    declaration = declarations.of(call, axes)
    _check_parameters(declaration, tensor.shape, call.path, path)
    dtype = next((a.dtype.name for a in arrays.values() if a.dtype.kind == "f"), "float32")
    return Site(
        path=call.path,
        type=call.layer_class,
        title=declaration.title,
        train=declaration.train,
        infer=declaration.infer,
        input_shape=tensor.shape,
        declared=declaration,
        dtype=dtype,
        arrays=arrays,
    )


def _arrays(call: Call, file: ModelFile, stored: StoredArrays) -> dict[str, NDArray[Any]]:
    """The layer's stored arrays by role; a nested Sequential stores them with its other layers."""
    entry = weights_entry(file, call.path)
    if entry is None:
        return {}
    layer = call.path.split("/")[-1]
    endings = zip(_ROLES, ("gamma", "beta", "running_mean", "running_std"), strict=True)
    names = {role: file.stored_name(entry, f"{layer}_{ending}") for role, ending in endings}
    if None in names.values():
        return {}
    return {role: stored.array(entry, name) for role, name in names.items() if name is not None}


def _check_parameters(
    declaration: Declaration, shape: tuple[int | None, ...] | None, layer: str, path: Path
) -> None:
    """Mode 1 makes its parameters as long as `axis`, and applies them along the last axis."""
    settings = declaration.settings
    axis = settings.get("axis", -1)
    if settings.get("mode") != 1 or shape is None:
        return
    if isinstance(axis, bool) or not isinstance(axis, int) or not -len(shape) <= axis < len(shape):
        raise ModelFileError(str(path), f"layer {layer}: axis is {axis!r}, the shape is {shape}")
    if shape[axis] not in (shape[-1], 1, None):
        raise ModelFileError(
            str(path),
            f"layer {layer}: mode 1 with axis={axis} has {shape[axis]} scale values for a last "
            f"axis of {shape[-1]}; Keras 1 cannot run this layer",
        )
