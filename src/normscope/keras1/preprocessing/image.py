"""`keras.preprocessing.image` of Keras 1.2.2: pictures changed by chance, from arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from normscope.errors import ShapeError, SpecError
from normscope.keras1.absent import refusing
from normscope.keras1.live.layers.ordering import resolve_ordering

Array = npt.NDArray[Any]

FILL_MODES = ("nearest", "constant", "reflect", "wrap")
LEAST = 1e-7  # added to a deviation before it divides


class ImageDataGenerator:
    """Batches of pictures, standardized and changed by chance.

    Args:
        featurewise_center, featurewise_std_normalization: subtract the mean and divide by the
            deviation of each channel, which `fit` finds.
        samplewise_center, samplewise_std_normalization: the same of each picture, pixel by pixel
            over its channels.
        zca_whitening: cannot be served.
        rotation_range: in degrees.
        width_shift_range, height_shift_range: as a share of the size.
        shear_range: in radians.
        zoom_range: a share, or the smallest and the largest factor.
        channel_shift_range: how much is added to a channel at most.
        fill_mode, cval: what is outside a picture: "nearest", "constant" (cval), "reflect", "wrap".
        horizontal_flip, vertical_flip: whether half of the pictures are mirrored.
        rescale: a factor of all values.
        preprocessing_function: a function of a picture, before all else.
        dim_ordering: "th", "tf" or "default".

    Chance is that of `numpy.random`; a moved pixel has the value of the nearest one.

    >>> pictures = np.arange(8.0).reshape(1, 2, 4, 1)
    >>> batches = ImageDataGenerator(rescale=0.5, dim_ordering="tf").flow(pictures, [7])
    >>> float(next(batches)[0].max())
    3.5
    """

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        rotation_range: float = 0.0,
        width_shift_range: float = 0.0,
        height_shift_range: float = 0.0,
        shear_range: float = 0.0,
        zoom_range: float | Sequence[float] = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[Array], Array] | None = None,
        dim_ordering: str = "default",
    ) -> None:
        if zca_whitening:
            raise SpecError(
                "zca_whitening=True cannot be served; whiten the pictures before, such as with "
                "sklearn.decomposition.PCA(whiten=True)"
            )
        if fill_mode not in FILL_MODES:
            raise SpecError(f"fill_mode is {', '.join(map(repr, FILL_MODES))}, not {fill_mode!r}")
        self.featurewise_center = featurewise_center
        self.featurewise_std_normalization = featurewise_std_normalization
        self.samplewise_center = samplewise_center
        self.samplewise_std_normalization = samplewise_std_normalization
        self.rotation_range = rotation_range
        self.width_shift_range = width_shift_range
        self.height_shift_range = height_shift_range
        self.shear_range = shear_range
        self.zoom_range = (
            (1 - zoom_range, 1 + zoom_range)
            if isinstance(zoom_range, int | float)
            else tuple(zoom_range)
        )
        self.channel_shift_range = channel_shift_range
        self.fill_mode = fill_mode
        self.cval = cval
        self.horizontal_flip = horizontal_flip
        self.vertical_flip = vertical_flip
        self.rescale = rescale
        self.preprocessing_function = preprocessing_function
        self.dim_ordering = resolve_ordering(dim_ordering)
        self.channel = 0 if self.dim_ordering == "th" else 2
        self.mean: Array | None = None
        self.std: Array | None = None

    def fit(self, X: Any, augment: bool = False, rounds: int = 1, seed: Any = None) -> None:  # noqa: N803
        """Find the mean and the deviation of each channel, if they are asked for.

        Args:
            X: pictures, along the axis 0.
            augment: whether the pictures are changed by chance first.
            rounds: how many times, then.
            seed: of numpy.random.
        """
        pictures = np.array(X, dtype="float64")
        if pictures.ndim != 4:
            raise ShapeError("pictures have 4 axes", None, pictures.shape)
        if seed is not None:
            np.random.seed(seed)
        if augment:
            pictures = np.stack(
                [self.random_transform(one) for _ in range(rounds) for one in pictures]
            )
        axes = tuple(axis for axis in range(4) if axis != self.channel + 1)
        self.mean = pictures.mean(axis=axes, keepdims=True)[0]
        self.std = pictures.std(axis=axes, keepdims=True)[0]

    def flow(
        self,
        X: Any,  # noqa: N803  # the name that Keras 1 gave it
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        save_to_dir: Any = None,
        save_prefix: str = "",
        save_format: str = "jpeg",
    ) -> Iterator[Any]:
        """Batches of pictures, or of pictures and labels, without end.

        Args:
            X: pictures, along the axis 0.
            y: their labels.
            batch_size: the last batch of a round may be smaller.
            shuffle: whether each round has another order.
            seed: of numpy.random.
            save_to_dir: cannot be served.
            save_prefix, save_format: of what is saved.

        Raises:
            SpecError: X and y differ in length, or pictures are to be saved.
        """
        if save_to_dir is not None:
            raise SpecError("flow(save_to_dir=...) cannot be served; save the batches it gives")
        labels = None if y is None else np.asarray(y)
        if labels is not None and len(labels) != len(X):
            raise SpecError(f"{len(X)} pictures have {len(labels)} labels")
        return self._batches(X, labels, batch_size, shuffle, seed)

    def flow_from_directory(self, *arguments: Any, **options: Any) -> NoReturn:
        """Cannot be served: pictures are read by Keras 3."""
        raise SpecError(
            "write keras.utils.image_dataset_from_directory(folder) of Keras 3, and give it to fit"
        )

    def _batches(
        self, pictures: Any, labels: Array | None, size: int, shuffle: bool, seed: int | None
    ) -> Iterator[Any]:
        rounds = 0
        while True:
            if seed is not None:
                np.random.seed(seed + rounds)
            rounds += 1
            order = np.random.permutation(len(pictures)) if shuffle else np.arange(len(pictures))
            for start in range(0, len(order), size):
                chosen = order[start : start + size]
                batch = np.stack([self._changed(np.asarray(pictures[k])) for k in chosen])
                yield batch if labels is None else (batch, labels[chosen])

    def _changed(self, picture: Array) -> Array:
        return self.standardize(self.random_transform(picture.astype("float32")))

    def standardize(self, x: Array) -> Array:
        """One picture, standardized.

        Raises:
            SpecError: `fit` must be called before.
        """
        if self.preprocessing_function is not None:
            x = self.preprocessing_function(x)
        if self.rescale:
            x = x * self.rescale
        if self.samplewise_center:
            x = x - x.mean(axis=self.channel, keepdims=True)
        if self.samplewise_std_normalization:
            x = x / (x.std(axis=self.channel, keepdims=True) + LEAST)
        if (self.featurewise_center or self.featurewise_std_normalization) and self.mean is None:
            raise SpecError("call datagen.fit(X) first, which finds mean and deviation")
        if self.featurewise_center:
            x = x - self.mean
        if self.featurewise_std_normalization and self.std is not None:
            x = x / (self.std + LEAST)
        return np.asarray(x, dtype="float32")

    def random_transform(self, x: Array) -> Array:
        """One picture, changed by chance."""
        x = np.moveaxis(x, self.channel, -1)
        matrix = self._random_matrix(*x.shape[:2])
        if not np.array_equal(matrix, np.eye(3)):
            x = _resampled(x, matrix, self.fill_mode, self.cval)
        if self.channel_shift_range:
            shifts = [_between(self.channel_shift_range) for _ in range(x.shape[-1])]
            x = np.clip(x + shifts, x.min(), x.max())
        if self.horizontal_flip and np.random.random() < 0.5:
            x = x[:, ::-1]
        if self.vertical_flip and np.random.random() < 0.5:
            x = x[::-1]
        return np.moveaxis(x, -1, self.channel)

    def _random_matrix(self, rows: int, columns: int) -> Array:
        """Where each place (row, column, 1), counted from the middle, takes its pixel from."""
        angle = math.radians(_between(self.rotation_range))
        shift = _between(self.height_shift_range) * rows, _between(self.width_shift_range) * columns
        shear = _between(self.shear_range)
        smallest, largest = self.zoom_range
        zoom = np.random.uniform(smallest, largest, 2) if smallest != largest else [1.0, 1.0]
        rotation = np.array(
            [
                [math.cos(angle), -math.sin(angle), 0],
                [math.sin(angle), math.cos(angle), 0],
                [0, 0, 1],
            ]
        )
        moved = np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]])
        sheared = np.array([[1, -math.sin(shear), 0], [0, math.cos(shear), 0], [0, 0, 1]])
        matrix: Array = rotation @ moved @ sheared @ np.diag([*zoom, 1.0])
        return matrix


def _between(most: float) -> float:
    return float(np.random.uniform(-most, most)) if most else 0.0


def _resampled(x: Array, matrix: Array, fill_mode: str, cval: float) -> Array:
    """A picture (rows, columns, channels) whose places take the nearest pixel of where they point.

    >>> picture = np.arange(3.0).reshape(1, 3, 1)
    >>> by_one = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 1]])
    >>> _resampled(picture, by_one, "nearest", 0.0).ravel().tolist()
    [1.0, 2.0, 2.0]
    """
    sizes = np.array(x.shape[:2])
    middle = (sizes / 2 + 0.5)[:, None]
    places = np.indices(x.shape[:2]).reshape(2, -1)
    points = matrix[:2, :2] @ (places - middle) + matrix[:2, 2:] + middle
    found = np.floor(points + 0.5).astype(int)
    outside = ((found < 0) | (found >= sizes[:, None])).any(axis=0)
    if fill_mode == "wrap":
        found = found % sizes[:, None]
    elif fill_mode == "reflect":
        found = found % (2 * sizes[:, None])
        found = np.minimum(found, 2 * sizes[:, None] - 1 - found)
    else:
        found = np.clip(found, 0, sizes[:, None] - 1)
    pixels = x[found[0], found[1]]
    if fill_mode == "constant":
        pixels[outside] = cval
    picture: Array = pixels.reshape(x.shape)
    return picture


__getattr__ = refusing(
    "preprocessing.image",
    {
        "load_img": "write keras.utils.load_img(path) of Keras 3",
        "img_to_array": "write keras.utils.img_to_array(img) of Keras 3",
        "array_to_img": "write keras.utils.array_to_img(x) of Keras 3",
        "list_pictures": "write pathlib.Path(folder).glob('*.jpg')",
        "DirectoryIterator": "write keras.utils.image_dataset_from_directory(folder) of Keras 3",
        "NumpyArrayIterator": "write ImageDataGenerator(...).flow(X, y)",
        "Iterator": "write ImageDataGenerator(...).flow(X, y)",
        **dict.fromkeys(
            (
                *("random_rotation", "random_shift", "random_shear", "random_zoom"),
                *("random_channel_shift", "apply_transform", "transform_matrix_offset_center"),
                "flip_axis",
            ),
            "write ImageDataGenerator(...).random_transform(x)",
        ),
    },
)
