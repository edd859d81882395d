"""Good files, cut off or with bits that are others: a few hundred, the same ones each time."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hostile import (
    of_folders,
    of_hdf5,
    of_keras,
    of_numpy,
    of_onnx,
    of_pt2,
    of_safetensors,
    of_torch,
    zips,
)
from hostile.case import Expected, Family, Place

FAMILY = Family("damaged")


def _good() -> dict[str, tuple[str, Callable[[Place], bytes]]]:
    """The ending of each format, and what writes a good file of it."""

    def of(family: Family) -> Callable[[Place], bytes]:
        """The first good file of a family."""
        case = next(case for case in family.cases if case.expected is Expected.READ)

        def write(place: Place) -> bytes:
            made = case.make(place)
            assert isinstance(made, Path)
            data = made.read_bytes()
            made.unlink()
            return data

        return write

    def keras2(place: Place) -> bytes:
        path = of_hdf5.keras2(place.folder / "whole.h5")
        data = path.read_bytes()
        path.unlink()
        return data

    def deflated(place: Place) -> bytes:
        return of_keras.archive3(method=zips.DEFLATED)

    return {
        "a checkpoint": (".pt", of(of_torch.FAMILY)),
        "an older checkpoint": (".pt", of(of_torch.LEGACY)),
        "an exported program": (".pt2", of(of_pt2.FAMILY)),
        "safetensors": (".safetensors", of(of_safetensors.FAMILY)),
        "ONNX": (".onnx", of(of_onnx.FAMILY)),
        "Keras 1": (".h5", of(of_hdf5.FAMILY)),
        "Keras 2": (".h5", keras2),
        "Keras 3": (".keras", of(of_keras.ARCHIVE)),
        "Keras 3, deflated": (".keras", deflated),
        "settings": (".json", of(of_keras.JSON)),
        "an array of NumPy": (".npy", lambda place: of_numpy.npy(np.ones((2, 3, 8, 8), "f4"))),
        "a SavedModel": (
            ".pb",
            lambda place: of_folders.metadata({"model_config": of_hdf5.model2()}),
        ),
    }


CUT, FLIPPED = 5, 10
"""Of each format."""


def _add() -> None:
    for number, (name, (ending, good)) in enumerate(_good().items()):
        for variant in range(CUT + FLIPPED):

            def write(
                place: Place,
                ending: str = ending,
                good: Callable[[Place], bytes] = good,
                seed: int = 1000 * number + variant,
                cut: bool = variant < CUT,
            ) -> Path | Sequence[str | Path]:
                rng = random.Random(seed)
                data = bytearray(good(place))
                if cut:
                    del data[rng.randrange(len(data)) :]
                for _ in range(0 if cut else rng.choice((1, 1, 2, 8, 64))):
                    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
                if ending == ".pb":
                    return of_folders.saved(place, bytes(data))
                path = place.file(f"m{ending}", bytes(data))
                if ending == ".npy":
                    model = place.file("net.onnx", of_onnx.norm_model().SerializeToString())
                    return ["audit", model, "--input", str(path)]
                return path

            how = "cut off" if variant < CUT else "with other bits"
            # what a bit of a number says may be as good as before
            expected = Expected.EITHER
            FAMILY.add(f"{name} {how}, {variant}", write, expected)


_add()
