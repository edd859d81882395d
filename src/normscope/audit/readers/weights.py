"""Files of weights without an architecture (safetensors, checkpoints of torch) -> `ModelGraph`.

Such a file names arrays. Those that stand together as those of a normalization do are listed, with
what can be said of them; which axes share statistics, and eps, are not in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from normscope.audit.model_graph import Kind, ModelGraph, Site
from normscope.audit.readers.asked import Asked
from normscope.errors import ModelFileError
from normscope.files.folder import inside
from normscope.files.json import read_json
from normscope.files.readable import Readable
from normscope.files.recognition import (
    HUGGING_FACE,
    SAFETENSORS,
    TORCH_CHECKPOINT,
    TORCH_LEGACY,
    recognise,
)
from normscope.files.safetensors import read_safetensors
from normscope.files.stored_array import StoredArray
from normscope.files.torch_checkpoint import read_checkpoint
from normscope.frameworks.registry import advice_of
from normscope.wording import counted, listed

TAKES = "the path of a file or folder of weights (.safetensors, .pt, .pth)"
READS: tuple[Readable, ...] = (
    Readable("weights of safetensors and of torch.save()", (".safetensors", ".pt and .pth"), {}),
)
_KINDS = (SAFETENSORS, TORCH_CHECKPOINT, TORCH_LEGACY, HUGGING_FACE)

MAX_NUMBERS = 2**24
"""Of all arrays that are looked at: a thousand layers of 4096 channels."""

_ROLES = {
    "scale": ("weight", "gamma", "scale"),
    "bias": ("bias", "beta", "offset"),
    "running_mean": ("running_mean", "moving_mean", "mean"),
    "running_var": ("running_var", "moving_variance", "moving_var", "var"),
}
"""What the arrays of a normalization are called, in torch, Keras, Flax and Haiku."""

_COLLECTIONS = ("params", "batch_stats")
"""The folders in which Flax keeps the arrays of one layer apart."""

_NOT_IN_IT = (
    "a file of weights holds no architecture: which axes share statistics, eps, and whether a "
    "layer normalizes at all are not in it; audit the model itself to know them"
)


def recognises(source: object) -> bool:
    """Whether it is the path of a file of weights.

    Raises:
        ModelFileError: it is a path that cannot be opened.
    """
    if not isinstance(source, str | os.PathLike) or source == "":
        return False
    return recognise(os.fspath(source)) in _KINDS


def read(source: str | os.PathLike[str], asked: Asked) -> ModelGraph:
    """List the arrays that stand together as those of a normalization do.

    Args:
        source: the path of the file.
        asked: nothing of it matters here.

    Raises:
        ModelFileError: the file cannot be read, or holds no arrays.
    """
    path = os.fspath(source)
    kind = recognise(path)
    notes = [_NOT_IN_IT]
    files = _files_of(path) if kind is HUGGING_FACE else [path]
    arrays: dict[str, StoredArray] = {}
    for file in files:
        arrays |= _arrays(file, notes)
    if kind is HUGGING_FACE:
        notes += _said_by_config(path)
    looks = _looks(arrays)
    safe = recognise(files[0]) is SAFETENSORS
    form = "safetensors" if safe else "a checkpoint of PyTorch"
    name = os.path.basename(os.path.normpath(path))
    return ModelGraph(
        file=name,
        name=name if kind is HUGGING_FACE else os.path.splitext(name)[0],
        format="safetensors" if safe else "torch",
        framework="torch",
        provenance=f"{counted(len(arrays), 'array')} of weights, {form}",
        advice=advice_of("torch"),
        sites=tuple(_sites(looks, notes)),
        notes=tuple(notes),
        followed=False,
        array_names=tuple(arrays),
    )


MAX_FILES = 2000
"""Of one folder."""

_EPS = (
    *("layer_norm_eps", "layer_norm_epsilon", "layernorm_epsilon", "rms_norm_eps"),
    *("norm_eps", "norm_epsilon", "batch_norm_eps"),
)
"""How `config.json` of Hugging Face calls the eps of normalizations."""


def _files_of(folder: str) -> list[str]:
    """The files of weights in a folder: those of safetensors, or else those of PyTorch.

    Raises:
        ModelFileError: there are none.
    """
    names = sorted(os.listdir(folder))[:MAX_FILES]
    for ending, kinds in ((".safetensors", _KINDS[:1]), (".bin", _KINDS[1:3])):
        own = [name for name in names if name.endswith(ending)]
        # beside the model may lie the state of an optimizer, and the arguments of a training
        own = [name for name in own if "model" in name] or own
        files = [path for path in (_inside(folder, n) for n in own) if recognise(path) in kinds]
        if files:
            return files
    raise ModelFileError(folder, "has no weights of safetensors or of PyTorch in it")


def _inside(folder: str, name: str) -> str:
    """The path of a file in the folder.

    Raises:
        ModelFileError: it is a link that leads out of it.
    """
    if inside(folder, name) is None:
        raise ModelFileError(
            os.path.join(folder, name),
            "a link that leads out of the folder, and only what lies in it is read",
        )
    return os.path.join(folder, name)


def _said_by_config(folder: str) -> Iterator[str]:
    """The eps that `config.json` tells; which layers use it, it does not."""
    config = read_json(_inside(folder, "config.json"))
    if isinstance(config, dict):
        for name in _EPS:
            if isinstance(config.get(name), float):
                yield f"config.json says {name}={config[name]:g}"


def _arrays(path: str, notes: list[str]) -> dict[str, StoredArray]:
    if recognise(path) is SAFETENSORS:
        return read_safetensors(path)
    return _of_checkpoint(path, notes)


def _of_checkpoint(path: str, notes: list[str]) -> dict[str, StoredArray]:
    found = read_checkpoint(path)
    if not found.arrays:
        if found.module:
            raise ModelFileError(
                path,
                f"it pickles a whole module ({found.module}), and to load that is to run its code; "
                "if you trust it, load it and give the live model, or save model.state_dict()",
            )
        others = f", but objects of {listed(list(found.objects)[:3])}" if found.objects else ""
        raise ModelFileError(path, f"there are no arrays in this checkpoint{others}")
    if found.objects:
        kinds = listed(list(found.objects)[:3])
        notes.append(f"objects of {kinds} in it were not looked into")
    return found.arrays


# --- arrays that stand together -----------------------------------------------------------------


@dataclass(frozen=True)
class _Look:
    """Arrays that stand together as those of a normalization do."""

    path: str
    arrays: Mapping[str, StoredArray]
    names: Mapping[str, str]
    words: str

    @property
    def title(self) -> str:
        """What there is of it."""
        names = listed([_WORDS[role] for role in _ROLES if role in self.arrays])
        array = next(iter(self.arrays.values()))
        if len(_lengths(array.shape)) > 1:
            return f"{names} of shape {array.shape}"
        return f"{names} of {counted(array.size, 'channel')}"


_WORDS = {"scale": "scale", "bias": "bias", "running_mean": "mean", "running_var": "variance"}

_STATISTICS = "it holds running statistics, as a batch normalization does"
_PARAMETERS = "it holds a scale and a bias, as a layer, group or instance normalization does"
_SCALE = "it holds a scale alone, as an RMS normalization does, or a PReLU"


def _looks(arrays: Mapping[str, StoredArray]) -> list[_Look]:
    layers: dict[str, dict[str, tuple[str, StoredArray]]] = {}
    for name, array in arrays.items():
        layer, _, last = _without_collection(name).replace("/", ".").rpartition(".")
        layers.setdefault(layer, {})[last] = name, array
    looks = (_look(layer, own) for layer, own in layers.items())
    return [look for look in looks if look is not None]


def _without_collection(name: str) -> str:
    first, separator, rest = name.replace("/", ".").partition(".")
    return rest if separator and first in _COLLECTIONS else name


def _look(path: str, own: Mapping[str, tuple[str, StoredArray]]) -> _Look | None:
    found = {
        role: name
        for role, names in _ROLES.items()
        for name in names
        if name in own and own[name][1].is_float
    }
    arrays = {role: own[name][1] for role, name in found.items()}
    paths = {role: own[name][0] for role, name in found.items()}
    if "scale" in arrays and not _is_scale(found["scale"], arrays["scale"], arrays.get("bias")):
        return None
    mean, variance = arrays.get("running_mean"), arrays.get("running_var")
    if mean is not None and variance is not None:
        alike = all(a.shape == mean.shape for a in arrays.values()) and mean.size > 0
        return _Look(path, arrays, paths, _STATISTICS) if alike else None
    if "scale" not in arrays or mean is not None or variance is not None:
        return None
    if "bias" in arrays:
        return _Look(path, arrays, paths, _PARAMETERS)
    alone = len(own) == 1 and arrays["scale"].size > 1
    return _Look(path, arrays, paths, _SCALE) if alone else None


def _is_scale(name: str, scale: StoredArray, bias: StoredArray | None) -> bool:
    """Whether it may be a scale; a `weight` of several axes is the matrix of another layer."""
    if bias is not None:
        return scale.shape == bias.shape and scale.size > 0
    return len(scale.shape if name == "weight" else _lengths(scale.shape)) == 1


def _lengths(shape: Sequence[int]) -> list[int]:
    return [length for length in shape if length != 1]


def _sites(looks: Sequence[_Look], notes: list[str]) -> Iterator[Site]:
    left, unread = MAX_NUMBERS, 0
    for look in looks:
        count = sum(array.size for array in look.arrays.values())
        if count > left:
            unread += 1
            values: dict[str, NDArray[Any]] = {}
        else:
            left -= count
            values = {role: np.ravel(array.numbers()) for role, array in look.arrays.items()}
        yield Site(
            path=look.path,
            type="",
            title=look.title,
            train=None,
            infer=None,
            input_shape=None,
            kind=Kind.UNKNOWN,
            dtype=next(iter(look.arrays.values())).dtype,
            sample_axes=None,
            words=look.words,
            arrays=values,
            parameters=look.names,
        )
    if unread:
        notes.append(f"numbers that were not read, as they are many: {counted(unread, 'layer')}")
