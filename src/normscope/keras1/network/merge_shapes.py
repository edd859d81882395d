"""Output shape and axis names of `Merge`."""

from __future__ import annotations

from collections.abc import Sequence

from normscope.errors import ModelFileError
from normscope.keras1.network.settings import UNKNOWN, Settings, Shape, Size, Tensor


def merge(layer: Settings, inputs: Sequence[Tensor]) -> Tensor:
    """One output of several inputs, by the mode of the merge."""
    if layer.choice("mode_type", ("raw", "lambda", "function"), "raw") != "raw":
        return UNKNOWN
    mode = layer.choice("mode", ("sum", "mul", "ave", "max", "concat", "dot", "cos"), "sum")
    if len(inputs) < 2:
        raise layer.error(f"a merge takes at least 2 inputs, got {len(inputs)}")
    if mode in ("dot", "cos"):
        return _merge_dot(layer, inputs, mode)
    return _merge_alike(layer, inputs, concat=mode == "concat")


def _merge_alike(layer: Settings, inputs: Sequence[Tensor], concat: bool) -> Tensor:
    """Sum, mean, product, maximum: one shape. Concatenation: one shape but for the joined axis."""
    shapes = [x.shape for x in inputs if x.shape is not None]
    if not shapes:
        return UNKNOWN
    joined = (
        _axis(layer, "concat_axis", layer.value("concat_axis", -1), shapes[0]) if concat else -1
    )
    if len({len(shape) for shape in shapes}) > 1:
        raise _shapes_differ(layer, inputs)
    sizes: list[Size] = []
    for axis, column in enumerate(zip(*shapes, strict=True)):
        if concat and axis == joined:
            known = [size for size in column if size is not None]
            sizes.append(sum(known) if len(known) == len(inputs) else None)
        else:
            known = sorted({size for size in column if size is not None})
            if len(known) > 1:
                raise _shapes_differ(layer, inputs)
            sizes.append(known[0] if known else None)
    names = {x.axes for x in inputs if x.axes is not None}
    return Tensor(tuple(sizes), names.pop() if len(names) == 1 else None)


def _shapes_differ(layer: Settings, inputs: Sequence[Tensor]) -> ModelFileError:
    return layer.error(f"cannot merge the shapes {', '.join(str(x.shape) for x in inputs[:4])}")


def _merge_dot(layer: Settings, inputs: Sequence[Tensor], mode: str) -> Tensor:
    if len(inputs) != 2:
        raise layer.error(f"the merge mode {mode!r} takes 2 inputs, got {len(inputs)}")
    left, right = inputs[0].shape, inputs[1].shape
    if left is None or right is None:
        return UNKNOWN
    given = layer.value("dot_axes", -1)
    first, second = given if isinstance(given, list) and len(given) == 2 else (given, given)
    i, j = (
        _axis(layer, "dot_axes", axis, shape) for axis, shape in ((first, left), (second, right))
    )
    if None not in (left[i], right[j]) and left[i] != right[j]:
        raise _shapes_differ(layer, inputs)
    sizes = [*left[:i], *left[i + 1 :], *right[1:j], *right[j + 1 :]]
    sizes += [1] if len(sizes) == 1 else []
    # Keras declares the shape of "cos" without the axis that it inserts.
    return Tensor(tuple(sizes if mode == "dot" else [sizes[0], 1, *sizes[1:]]))


def _axis(layer: Settings, key: str, value: object, shape: Shape) -> int:
    """An axis other than the batch, counted from the start."""
    rank = len(shape)
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or not -rank < value < rank
        or not value
    ):
        raise layer.wrong(key, value, f"an axis of an input of the shape {shape}")
    return value % rank
