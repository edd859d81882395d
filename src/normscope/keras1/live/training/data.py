"""What Keras 1.2.2 took for inputs, labels and weights, as the arrays that Keras 3 takes.

Lists of numbers became arrays, arrays of one axis got a second one, and weights of classes became
weights of samples. Source: Keras 1.2.2.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from normscope.errors import ShapeError, SpecError

Array: TypeAlias = Any
"""An array of NumPy, of a framework, or a data set of h5py: whatever has a shape."""

Shape: TypeAlias = Sequence[int | None]


@dataclass(frozen=True)
class Slot:
    """One input or output of a model: its name, and the shape wanted; None if any will do."""

    name: str
    shape: Shape | None


def standardized(given: Any, slots: Sequence[Slot], what: str) -> list[Array]:
    """An array for each slot.

    Args:
        given: an array, nested lists of numbers, or a list or a dict of arrays.
        slots: the inputs or the outputs of a model.
        what: "input" or "target", for the messages.

    Raises:
        SpecError: there is not one array for each slot.
        ShapeError: an array does not have the shape wanted.

    >>> standardized([0, 1], [Slot("dense_1", (None, 1))], "target")[0].tolist()
    [[0], [1]]
    """
    parts = [_with_two_axes(part, what) for part in _parts(given, slots, what)]
    for part, slot in zip(parts, slots, strict=True):
        _check(part, slot, what)
    return parts


def _parts(given: Any, slots: Sequence[Slot], what: str) -> list[Any]:
    names = [slot.name for slot in slots]
    if isinstance(given, Mapping):
        missing = [name for name in names if name not in given]
        if missing:
            raise SpecError(f"no {what} {missing[0]!r} is in the dict, whose keys are {[*given]}")
        return [given[name] for name in names]
    if isinstance(given, list | tuple):
        return [_of_one(given, slots[0], what)] if len(slots) == 1 else _of_many(given, names, what)
    if len(slots) > 1:
        raise SpecError(f"the model takes {len(slots)} arrays as {what}, in the order {names}")
    return [given]


def _of_one(given: Sequence[Any], slot: Slot, what: str) -> Any:
    """The one array that a list means: the list itself, or its only item."""
    if any(_axes(item) for item in given):
        if len(given) == 1:
            return given[0]
        raise SpecError(
            f"the model takes one array as {what}, the list has {len(given)}; "
            "to make one array of its rows write np.array(rows)"
        )
    whole = _as_array(given, what)
    if len(given) == 1 and slot.shape is not None and whole.ndim == len(slot.shape) + 1:
        return whole[0]
    return whole


def _of_many(given: Sequence[Any], names: Sequence[str], what: str) -> list[Any]:
    if len(given) != len(names):
        raise SpecError(
            f"the model takes {len(names)} arrays as {what}, in the order {[*names]}; "
            f"the list has {len(given)} items"
        )
    return list(given)


def _with_two_axes(part: Any, what: str) -> Array:
    array = part if hasattr(part, "shape") and not hasattr(part, "iloc") else _as_array(part, what)
    if len(array.shape) > 1:
        return array
    if len(array.shape) == 0:
        raise SpecError(f"the {what} is one number, {part!r}; an array or a list is expected")
    return np.asarray(array)[:, None] if _is_stored(array) else array[:, None]


def _axes(item: Any) -> int:
    """How many axes an array has; 0 for numbers, and for nested lists."""
    return len(getattr(item, "shape", ()))


def _is_stored(array: Array) -> bool:
    """Whether an array is a data set of a file, which knows no new axes."""
    return type(array).__module__.split(".")[0] in ("h5py", "zarr", "tables")


def _as_array(given: Any, what: str) -> npt.NDArray[Any]:
    try:
        array = np.asarray(given)
    except ValueError:
        array = np.empty((), dtype=object)
    if array.dtype.kind not in "biuf":
        raise SpecError(
            f"the {what} is not an array of numbers, but {given!r:.60}; rows of different lengths "
            "become one with preprocessing.sequence.pad_sequences"
        )
    return array


def _check(array: Array, slot: Slot, what: str) -> None:
    wanted = slot.shape
    if wanted is None:
        return
    sizes = tuple(array.shape)
    fits = len(sizes) == len(wanted) and all(
        size is None or size == found
        for size, found in zip(tuple(wanted)[1:], sizes[1:], strict=True)
    )
    if not fits:
        hint = ""
        if what == "target" and len(wanted) == 2 and len(sizes) == 2 and sizes[1] == 1:
            hint = (
                "classes as numbers go with loss='sparse_categorical_crossentropy', or become rows "
                "of 0 and 1 with to_categorical(y)"
            )
        raise ShapeError(
            f"the {what} {slot.name!r} is expected to have the shape {tuple(wanted)}",
            None,
            sizes,
            hint,
        )


def sample_weights(
    targets: Sequence[Array], names: Sequence[str], by_sample: Any, by_class: Any
) -> list[npt.NDArray[Any]] | None:
    """The weight of each sample, for each output; None if all are 1.

    Args:
        targets: the standardized labels of each output.
        names: of the outputs.
        by_sample: an array, or for several outputs a list or a dict of them.
        by_class: a dict from class to weight, or for several outputs a list or a dict of them.
            Samples with a weight of their own keep it, as in Keras 1.

    Raises:
        SpecError: they do not fit the labels.

    >>> labels = np.array([[0.0], [1.0], [1.0]])
    >>> sample_weights([labels], ["y"], None, {0: 1.0, 1: 3.0})[0].tolist()
    [1.0, 3.0, 3.0]
    """
    if isinstance(by_class, str):
        warnings.warn(
            f"class_weight={by_class!r} has no effect, as in Keras 1.2.2; "
            "write a dict from class to weight",
            stacklevel=4,
        )
        by_class = None
    own = _by_output(by_sample, names, "sample_weight")
    of_classes = _by_output(by_class, names, "class_weight")
    if all(item is None for item in (*own, *of_classes)):
        return None
    weights = []
    for target, sample, classes in zip(targets, own, of_classes, strict=True):
        if sample is not None:
            weights.append(_fitting(sample, target))
        elif classes is not None:
            weights.append(_of_classes(classes, target))
        else:
            weights.append(np.ones(target.shape[0], keras.config.floatx()))
    return weights


def _by_output(given: Any, names: Sequence[str], what: str) -> list[Any]:
    if given is None or (not hasattr(given, "shape") and len(given) == 0):
        return [None] * len(names)
    if isinstance(given, Mapping) and any(name in given for name in names):
        return [given.get(name) for name in names]
    if len(names) == 1:
        nested = isinstance(given, list | tuple) and len(given) == 1 and _is_whole(given[0])
        return [given[0] if nested else given]
    if isinstance(given, list | tuple) and len(given) == len(names):
        return list(given)
    raise SpecError(
        f"{what} of a model with {len(names)} outputs is a list of {len(names)} or a dict by the "
        f"names {[*names]}, not {given!r:.60}"
    )


def _is_whole(item: Any) -> bool:
    return isinstance(item, Mapping | list | tuple) or _axes(item) > 0


def _fitting(sample: Any, target: Array) -> npt.NDArray[Any]:
    weights = np.asarray(sample, dtype=keras.config.floatx())
    if weights.shape != tuple(target.shape)[: weights.ndim] or weights.ndim == 0:
        raise ShapeError(
            f"sample_weight has the shape {weights.shape}; it is one number for each sample, or "
            "for each sample and time, of the labels",
            None,
            target.shape,
        )
    return weights


def _of_classes(classes: Any, target: Array) -> npt.NDArray[Any]:
    if not isinstance(classes, Mapping):
        raise SpecError(f"class_weight is a dict from class to weight, not {classes!r:.60}")
    if len(target.shape) > 2:
        raise ShapeError(
            "class_weight is not for labels of more than 2 axes; use sample_weight",
            None,
            target.shape,
        )
    labels = np.asarray(target)
    numbers = labels.argmax(axis=1) if labels.shape[1] > 1 else labels[:, 0]
    missing = sorted({number.item() for number in numbers} - set(classes))
    if missing:
        raise SpecError(f"class_weight has no weight for the class {missing[0]!r}")
    return np.asarray([classes[number.item()] for number in numbers], keras.config.floatx())


def number_of_samples(x: Any) -> int:
    """How many samples a batch has, as Keras 1 counted those of a generator.

    >>> number_of_samples({"a": np.zeros((4, 2))}), number_of_samples([np.zeros((3, 2))])
    (4, 3)
    """
    if isinstance(x, Mapping):
        x = next(iter(x.values()))
    elif isinstance(x, list | tuple) and x and _axes(x[0]):
        x = x[0]
    return len(x) if not hasattr(x, "shape") else int(x.shape[0])
