"""Safetensors: headers that lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile.case import Expected, Family, Place

FAMILY = Family("safetensors")


def entry(begin: int, end: int, dtype: str = "F32", shape: Any = None) -> dict[str, Any]:
    """What a header says of an array."""
    own = [(end - begin) // 4] if shape is None else shape
    return {"dtype": dtype, "shape": own, "data_offsets": [begin, end]}


def file(
    header: Any, data: bytes = bytes(64), length: int | None = None, pad: bytes = b""
) -> bytes:
    """A file; the header as text or as what it says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += pad
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def norm(name: str = "norm") -> dict[str, Any]:
    """The arrays of a batch normalization of four channels."""
    ends = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{end}": entry(16 * n, 16 * n + 16) for n, end in enumerate(ends)}


@FAMILY.good("as it is written", "norm")
def _plain(place: Place) -> Path:
    return place.file("model.safetensors", file(norm()))


@FAMILY.good("with metadata", "norm")
def _metadata(place: Place) -> Path:
    return place.file("model.safetensors", file({"__metadata__": {"format": "pt"}, **norm()}))


@FAMILY.good("with a header padded by spaces", "norm")
def _padded(place: Place) -> Path:
    return place.file("model.safetensors", file(norm(), pad=b" " * 7))


@FAMILY.good("with arrays in another order", "norm")
def _order(place: Place) -> Path:
    return place.file("model.bin", file(dict(reversed(norm().items()))))


@FAMILY.good("with an array of no numbers", "norm")
def _empty(place: Place) -> Path:
    return place.file("m.safetensors", file({**norm(), "none": entry(64, 64, shape=[0, 3])}))


@FAMILY.good("with numbers of every dtype", "norm")
def _dtypes(place: Place) -> Path:
    kinds = ("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "I16", "U16", "F16", "BF16", "I32", "U32")
    own: dict[str, Any] = dict(norm())
    at = 64
    for kind in (*kinds, "F64", "I64", "U64"):
        size = 8 if "64" in kind else 4 if "32" in kind else 2 if "16" in kind else 1
        own[f"x.{kind}"] = entry(at, at + size, kind, [1])
        at += size
    return place.file("m.safetensors", file(own, bytes(at)))


def _files() -> dict[str, tuple[Callable[[], bytes], Expected]]:
    refused, either = Expected.REFUSED, Expected.EITHER
    one = lambda **changes: {**norm(), "w": {**entry(0, 16), **changes}}  # noqa: E731
    deep = b'{"a":' * 50_000
    return {
        "a header of 2**63 bytes": (lambda: file(norm(), length=2**63), refused),
        "a header of 2**64 - 1 bytes": (lambda: file(norm(), length=2**64 - 1), refused),
        "a header longer than the file": (lambda: file(norm(), length=10_000), refused),
        "a header of 0 bytes": (lambda: file(b"", length=0), refused),
        "a header that is cut": (lambda: file(norm(), length=50), refused),
        "a header that is a list": (lambda: file([]), refused),
        "a header that is a number": (lambda: file(b"{" + b" " * 20, length=2), refused),
        "a header of 100 MB": (
            lambda: file(b'{"__metadata__":{"a":"' + b"x" * 10**8 + b'"}}'),
            refused,
        ),
        "a header of 30 MB of empty objects": (
            lambda: file(b'{"a":[' + b"{}," * (10**7) + b"{}]}"),
            refused,
        ),
        "a header of 30 MB of keys": (
            lambda: file(b"{" + b",".join(b'"%x":0' % n for n in range(3 * 10**6)) + b"}"),
            refused,
        ),
        "a header of 30 MB of letters outside of Latin": (
            lambda: file(b'{"__metadata__":{"a":"' + "\U0001f600".encode() * 7_500_000 + b'"}}'),
            either,
        ),
        "a header nested 50,000 deep": (lambda: file(deep + b"1" + b"}" * 50_000), refused),
        "a header that is not UTF-8": (lambda: file(b'{"\xff\xfe":1}'), refused),
        "a header with a BOM": (
            lambda: file(b"\xef\xbb\xbf" + json.dumps(norm()).encode()),
            either,
        ),
        "a key twice": (
            lambda: file(json.dumps(norm()).encode()[:-1] + b',"norm.bias":1}'),
            refused,
        ),
        "an array that is a number": (lambda: file({**norm(), "w": 5}), refused),
        "an array that is null": (lambda: file({**norm(), "w": None}), refused),
        "no dtype": (
            lambda: file({**norm(), "w": {"shape": [1], "data_offsets": [0, 4]}}),
            refused,
        ),
        "an unknown dtype": (lambda: file(one(dtype="F128")), refused),
        "a dtype that is an object": (lambda: file(one(dtype={"F32": "F32"})), refused),
        "no shape": (
            lambda: file({**norm(), "w": {"dtype": "F32", "data_offsets": [0, 4]}}),
            refused,
        ),
        "a shape that is a number": (lambda: file(one(shape=4)), refused),
        "a negative length": (lambda: file(one(shape=[-4])), refused),
        "two negative lengths": (lambda: file(one(shape=[-2, -2])), refused),
        "a length that is a fraction": (lambda: file(one(shape=[4.0])), refused),
        "a length that is true": (lambda: file(one(shape=[True, 4])), refused),
        "a length of 2**63": (lambda: file(one(shape=[2**63])), refused),
        "lengths whose product overflows": (lambda: file(one(shape=[2**32, 2**32, 4])), refused),
        "a length that is NaN": (lambda: file(one(shape=[float("nan")])), refused),
        "1,000 axes": (lambda: file(one(shape=[1] * 1000 + [4])), refused),
        "offsets in the opposite order": (lambda: file(one(data_offsets=[16, 0])), refused),
        "negative offsets": (lambda: file(one(data_offsets=[-16, 0])), refused),
        "offsets behind the file": (lambda: file(one(data_offsets=[10**6, 10**6 + 16])), refused),
        "offsets of 2**63": (lambda: file(one(data_offsets=[2**63, 2**63 + 16])), refused),
        "three offsets": (lambda: file(one(data_offsets=[0, 16, 32])), refused),
        "offsets that are texts": (lambda: file(one(data_offsets=["0", "16"])), refused),
        "offsets that are infinite": (lambda: file(one(data_offsets=[0, float("inf")])), refused),
        "offsets of another size than the shape": (lambda: file(one(shape=[5])), refused),
        "two arrays in the same bytes": (lambda: file({**norm(), "w": entry(0, 16)}), either),
        "arrays that overlap": (lambda: file({**norm(), "w": entry(8, 24)}), either),
        "a thousand arrays in the same bytes": (
            lambda: file({**norm(), **{f"n{n}.weight": entry(0, 64) for n in range(1000)}}),
            either,
        ),
        "a hole between arrays": (lambda: file(norm(), bytes(1000)), either),
        "metadata that are a list": (lambda: file({**norm(), "__metadata__": [1]}), either),
        "metadata that run code": (
            lambda: file(
                {**norm(), "__metadata__": {"class": "os.system", "url": "http://localhost:9"}}
            ),
            either,
        ),
        "no arrays": (lambda: file({}), either),
        "a name of 10 MB": (
            lambda: file({**norm(), "w" * 10**7: {**entry(0, 16), "dtype": "F99"}}),
            refused,
        ),
        "a name that is empty": (lambda: file({**norm(), "": entry(0, 16)}), either),
        "a number of 5,000 digits": (
            lambda: file(
                b'{"w":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,4]}}'
            ),
            refused,
        ),
        "a name of half of a letter": (lambda: file({**norm(), "\ud800": entry(0, 16)}), either),
        "only the length": (lambda: (2).to_bytes(8, "little"), refused),
        "five bytes": (lambda: b"\x02\0\0\0\0", refused),
    }


for _name, (_data, _expected) in _files().items():

    def _write(place: Place, data: Callable[[], bytes] = _data) -> Path:
        return place.file("model.safetensors", data())

    FAMILY.add(_name, _write, _expected)


@FAMILY.odd("5,000 normalizations")
def _many(place: Place) -> Path:
    own: dict[str, Any] = {}
    for n in range(5_000):
        own |= norm(f"layer{n}")
    return place.file("model.safetensors", file(own))


@FAMILY.odd("numbers that lie in a hole of the file")
def _sparse(place: Place) -> Path:
    own = {"a.weight": entry(0, 2**36, shape=[2**34]), "a.bias": entry(0, 2**36, shape=[2**34])}
    path = place.file("model.safetensors", file(own, b""))
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size + 2**36)
    return path
