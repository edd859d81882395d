"""Arrays of NumPy: as a model, and as the input of one."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from hostile import payloads, zips
from hostile.case import Expected, Family, Place
from hostile.of_onnx import norm_model
from hostile.zips import DEFLATED, Member

FAMILY = Family("NumPy")


def npy(array: object, **how: bool) -> bytes:
    """What np.save writes."""
    stream = io.BytesIO()
    np.save(stream, np.asarray(array), **how)
    return stream.getvalue()


def headed(header: str, data: bytes = bytes(64), version: int = 1) -> bytes:
    """An array with a header of one's own."""
    text = header.encode("utf-8" if version == 3 else "latin1")
    size = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + data


def _objects(place: Place) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    found = np.empty(1, object)
    found[0] = payloads.calls(place)["os.system"]
    return found


def _said(shape: str, descr: str = "'<f4'", order: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}\n"


def _files() -> dict[str, tuple[Callable[[Place], bytes], Expected]]:
    refused, read = Expected.REFUSED, Expected.READ
    good = np.ones((2, 3, 8, 8), "f4")
    return {
        "as it is written": (lambda place: npy(good), read),
        "in the order of Fortran": (lambda place: npy(np.asfortranarray(good)), read),
        "big-endian": (lambda place: npy(good.astype(">f4")), read),
        "of doubles": (lambda place: npy(good.astype("f8")), read),
        "of version 2": (lambda place: headed(_said("(2, 3, 8, 8)"), bytes(1536), 2), read),
        "of version 3": (lambda place: headed(_said("(2, 3, 8, 8)"), bytes(1536), 3), read),
        "bytes behind": (lambda place: npy(good) + b"x" * 100, read),
        "empty": (lambda place: b"", refused),
        "only its first bytes": (lambda place: npy(good)[:8], refused),
        "a header that is cut": (lambda place: npy(good)[:40], refused),
        "numbers that are cut": (lambda place: npy(good)[:-9], refused),
        "objects that run code": (lambda place: npy(_objects(place), allow_pickle=True), refused),
        "a pickle": (lambda place: payloads.pickled(place), refused),
        "a pickle of protocol 0": (lambda place: payloads.pickled(place, 0), refused),
        "a header that is code": (
            lambda place: headed(f"__import__('os').system('touch {place.canary}')\n"),
            refused,
        ),
        "a header that calls": (lambda place: headed(_said("(2, int('3'))")), refused),
        "a header that is a list": (lambda place: headed("[1, 2]\n"), refused),
        "a header that is not Python": (lambda place: headed("{'descr': \n"), refused),
        "a header nested 5,000 deep": (
            lambda place: headed("(" * 5000 + ")" * 5000 + "\n"),
            refused,
        ),
        "a header nested 60,000 deep": (lambda place: headed("-" * 60_000 + "1\n"), refused),
        "a header of NUL": (lambda place: headed("\0" * 100), refused),
        "a header of 4 GB": (
            lambda place: b"\x93NUMPY\2\0" + b"\xff\xff\xff\xff" + b"x" * 100,
            refused,
        ),
        "a header of 10 MB": (lambda place: headed("1," * 5_000_000, version=2), refused),
        "a header of integers of Python 2": (
            lambda place: headed(_said("(2L, 3L, 8L, 8L)"), bytes(1536)),
            Expected.EITHER,
        ),
        "a header with a tab and a quote": (
            lambda place: headed("{'descr': '<f4\t, 'x\n"),
            refused,
        ),
        "keys that are missing": (lambda place: headed("{'descr': '<f4'}\n"), refused),
        "version 99": (lambda place: headed(_said("(4,)"), version=99), refused),
        "2**40 numbers": (lambda place: headed(_said(f"({2**40},)")), refused),
        "2**62 numbers": (lambda place: headed(_said(f"({2**31}, {2**31})")), refused),
        "numbers without end": (lambda place: headed(_said(f"({10**30},)")), refused),
        "a negative length": (lambda place: headed(_said("(-4,)")), refused),
        "two negative lengths": (lambda place: headed(_said("(-4, -4)")), refused),
        "a length that is true": (lambda place: headed(_said("(True, 4)")), refused),
        "100 axes": (lambda place: headed(_said("(" + "1," * 100 + ")")), refused),
        "no numbers, and 2**62 of them": (lambda place: headed(_said(f"(0, {2**62})")), refused),
        "a dtype of objects": (lambda place: headed(_said("(4,)", "'|O'")), refused),
        "a dtype of 2 GB": (lambda place: headed(_said("(4,)", "'|S2000000000'")), refused),
        "a dtype of nothing": (
            lambda place: headed(_said("(2**40,)".replace("**40", "0" * 12), "'|V0'")),
            refused,
        ),
        "a dtype of fields": (
            lambda place: headed(_said("(4,)", "[('a', '<f4'), ('b', '|O')]")),
            refused,
        ),
        "a dtype of fields in fields": (
            lambda place: headed(_said("(4,)", "[('a', " * 400 + "'<f4'" + ")]" * 400)),
            refused,
        ),
        "a dtype that is a number": (lambda place: headed(_said("(4,)", "5")), refused),
        "a dtype of texts": (lambda place: npy(np.array(["a", "b"])), refused),
        "a dtype of dates": (lambda place: npy(np.array(["2020-01-01"], "M8[D]")), refused),
        "an order that is a text": (lambda place: headed(_said("(4,)", order="'x'")), refused),
        "another shape": (lambda place: npy(np.ones((5, 7), "f4")), Expected.EITHER),
        "NaN everywhere": (lambda place: npy(np.full((2, 3, 8, 8), np.nan, "f4")), Expected.EITHER),
        "an archive (.npz)": (
            lambda place: zips.archive([Member("x.npy", npy(good))]),
            Expected.EITHER,
        ),
        "an archive of nothing": (lambda place: zips.archive([]), refused),
        "a damaged archive": (
            lambda place: zips.archive([Member("x.npy", npy(good))])[:-30],
            refused,
        ),
        "an archive of objects that run code": (
            lambda place: zips.archive([Member("x.npy", npy(_objects(place), allow_pickle=True))]),
            refused,
        ),
        "an archive of an array at ../": (
            lambda place: zips.archive([Member("../../outside/x.npy", npy(good))]),
            Expected.EITHER,
        ),
        "an archive that inflates to a GiB": (
            lambda place: zips.archive(
                [Member("x.npy", headed(_said(f"({2**25},)"), bytes(2**27)), DEFLATED)]
            ),
            refused,
        ),
        "a JPEG": (lambda place: b"\xff\xd8\xff\xe0" + b"x" * 100, refused),
    }


for _name, (_data, _expected) in _files().items():

    def _as_input(place: Place, data: Callable[[Place], bytes] = _data) -> Sequence[str | Path]:
        x = place.file("x.npy", data(place))
        model = place.file("net.onnx", norm_model().SerializeToString())
        return ["audit", model, "--input", str(x)]

    FAMILY.add(f"input {_name}", _as_input, _expected)

    if _expected is not Expected.EITHER:

        def _as_model(place: Place, data: Callable[[Place], bytes] = _data) -> Path:
            return place.file("x.npy", data(place))

        FAMILY.add(f"model {_name}", _as_model)


@FAMILY.hostile("input: a pipe")
def _pipe(place: Place) -> Sequence[str | Path]:
    os.mkfifo(place.folder / "x.npy")
    model = place.file("net.onnx", norm_model().SerializeToString())
    return ["audit", model, "--input", place.folder / "x.npy"]


@FAMILY.hostile("input: /dev/zero")
def _zero(place: Place) -> Sequence[str | Path]:
    (place.folder / "x.npy").symlink_to("/dev/zero")
    model = place.file("net.onnx", norm_model().SerializeToString())
    return ["audit", model, "--input", place.folder / "x.npy"]


@FAMILY.hostile("input: a folder")
def _folder(place: Place) -> Sequence[str | Path]:
    (place.folder / "x.npy").mkdir()
    model = place.file("net.onnx", norm_model().SerializeToString())
    return ["audit", model, "--input", place.folder / "x.npy"]


@FAMILY.hostile("input: not there")
def _gone(place: Place) -> Sequence[str | Path]:
    model = place.file("net.onnx", norm_model().SerializeToString())
    return ["audit", model, "--input", place.folder / "x.npy"]


@FAMILY.hostile("input: a name with escapes")
def _escapes(place: Place) -> Sequence[str | Path]:
    model = place.file("net.onnx", norm_model().SerializeToString())
    return ["audit", model, "--input", f"{place.folder}/a\x1b[2J\nb.npy"]


@FAMILY.hostile("input of scope: a pipe")
def _scope_pipe(place: Place) -> Sequence[str | Path]:
    os.mkfifo(place.folder / "x.npy")
    model = place.file("net.onnx", norm_model().SerializeToString())
    return ["scope", model, "--input", place.folder / "x.npy"]
