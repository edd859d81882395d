"""Checkpoints of PyTorch: archives, and the older form of pickles one after the other."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hostile import payloads, zips
from hostile.case import Expected, Family, Place
from hostile.zips import DEFLATED, Member

FAMILY = Family("torch checkpoint")
LEGACY = Family("older torch checkpoint")
SCRIPT = Family("TorchScript")


def state() -> dict[str, Any]:
    """The arrays of a small network with a batch normalization."""
    import torch

    names = ("weight", "bias", "running_mean", "running_var")
    numbers = {f"norm.{name}": torch.arange(1.0, 5.0) for name in names}
    return {"conv.weight": torch.ones(4, 3, 3, 3), **numbers}


def saved(value: Any, **how: Any) -> bytes:
    """What torch.save writes."""
    import torch

    stream = io.BytesIO()
    torch.save(value, stream, **how)
    return stream.getvalue()


def members() -> dict[str, bytes]:
    """What is in a good checkpoint."""
    with zipfile.ZipFile(io.BytesIO(saved(state()))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _packed(parts: Mapping[str, bytes], **how: Any) -> list[Member]:
    return [Member(name, data, **how) for name, data in parts.items()]


def _with_pickle(data: bytes) -> list[Member]:
    return _packed({**members(), "archive/data.pkl": data})


# --- good ones ------------------------------------------------------------------------------------


@FAMILY.good("as torch writes it", "norm")
def _plain(place: Place) -> Path:
    return place.file("net.pt", saved(state()))


@FAMILY.good("another ending", "norm")
def _pth(place: Place) -> Path:
    return place.file("net.pth.tar", saved({"epoch": 3, "state_dict": state(), "best": 0.5}))


@FAMILY.good("members deflated", "norm")
def _deflated(place: Place) -> Path:
    return place.file("net.pt", zips.archive(_packed(members(), method=DEFLATED)))


@FAMILY.good("sizes after the bytes", "norm")
def _described_after(place: Place) -> Path:
    whole = zips.archive(_packed(members(), flags=zips.DESCRIBED_AFTER))
    return place.file("net.pt", whole)


@FAMILY.good("deflated, sizes after the bytes", "norm")
def _deflated_after(place: Place) -> Path:
    own = _packed(members(), flags=zips.DESCRIBED_AFTER, method=DEFLATED)
    return place.file("net.pt", zips.archive(own))


@FAMILY.good("with a comment of the archive", "norm")
def _comment(place: Place) -> Path:
    return place.file("net.pt", zips.archive(_packed(members()), comment=b"hello"))


@FAMILY.good("with entries of folders", "norm")
def _folders(place: Place) -> Path:
    folder = Member("archive/", attributes=zips.FOLDER)
    return place.file("net.pt", zips.archive([folder, *_packed(members())]))


@FAMILY.good("members in another order", "norm")
def _order(place: Place) -> Path:
    return place.file("net.pt", zips.archive(_packed(members())[::-1]))


@FAMILY.good("sizes as torch.Size", "norm")
def _size_objects(place: Place) -> Path:
    import torch

    stored = state()
    return place.file("net.pt", saved({**stored, "shape": torch.Size([2, 3])}))


@LEGACY.good("as torch wrote it before 1.6", "norm")
def _legacy(place: Place) -> Path:
    return place.file("net.pt", saved(state(), _use_new_zipfile_serialization=False))


# --- code -----------------------------------------------------------------------------------------


def _code_cases() -> None:
    for protocol in (0, 1, 2, 3, 4, 5):

        def run(place: Place, protocol: int = protocol) -> Path:
            data = payloads.pickled(place, protocol)
            return place.file("net.pt", zips.archive(_with_pickle(data)))

        FAMILY.add(f"os.system, protocol {protocol}", run, said="no arrays in this checkpoint")

    for name in ("os.system", "builtins.exec", "builtins.eval", "builtins.open", "os.remove"):

        def beside(place: Place, name: str = name) -> Path:
            value = {**state(), "epoch": payloads.calls(place)[name]}
            return place.file("net.pt", saved(value))

        FAMILY.add(f"{name} beside the arrays", beside, Expected.READ, "norm")

    foreign = (
        ("torch.hub", "load", "http://localhost:9/x"),
        ("urllib.request", "urlopen", "http://localhost:9/x"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("runpy", "run_path", "x.py"),
        ("webbrowser", "open", "http://localhost:9/x"),
        ("torch", "load", "other.pt"),
        ("torch.storage", "_load_from_bytes", "x"),
        ("importlib", "import_module", "normscope_canary"),
        ("normscope_canary", "fire", "x"),
        ("pickle", "loads", "x"),
        ("builtins", "__import__", "normscope_canary"),
        ("functools", "partial", "x"),
        ("operator", "attrgetter", "system"),
        ("torch.jit._script", "unpackage_script_module", "x"),
        ("ctypes", "CDLL", "libc.so.6"),
        ("\x1b[31mred", "name\r\nSecond: line", "x"),
    )
    for module, name, *arguments in foreign:

        def named(
            place: Place,
            module: str = module,
            name: str = name,
            arguments: list[str] = arguments,  # type: ignore[assignment]
        ) -> Path:
            data = payloads.by_name(module, name.replace("\n", "?"), *arguments)
            return place.file("net.pt", zips.archive(_with_pickle(data)))

        FAMILY.add(f"calls {module!a}.{name!a}", named, said="no arrays")


_code_cases()


@FAMILY.hostile("a whole module", "pickles a whole module")
def _module(place: Place) -> Path:
    import torch

    return place.file("net.pt", saved(torch.nn.BatchNorm2d(3)))


@FAMILY.odd("code in __setstate__ of a tensor")
def _tensor_state(place: Place) -> Path:
    import torch

    tensor = torch.ones(3)
    tensor.evil = payloads.calls(place)["os.system"]  # type: ignore[attr-defined]
    return place.file("net.pt", saved({"norm.weight": tensor, "norm.bias": torch.ones(3)}))


@FAMILY.odd("code as a key")
def _as_key(place: Place) -> Path:
    class Key:
        def __hash__(self) -> int:
            return 1

        def __reduce__(self) -> Any:
            return payloads.calls(place)["os.system"].__reduce__()

    return place.file("net.pt", zips.archive(_with_pickle(pickle.dumps({Key(): 1}, 2))))


# --- pickles that cost ----------------------------------------------------------------------------


def _pickles() -> dict[str, Callable[[], bytes]]:
    text = b"X\x01\0\0\0a"
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x010\0\0\0X\x03\0\0\0cpuK\x04tQ"

    def laughs(how: bytes) -> bytes:
        """Each value holds the last one twice, sixty times."""
        return b"\x80\x02]" + (b"q\0h\0h\0" + how) * 60 + b"."

    def tensor(size: bytes, stride: bytes = b"K\x01\x85", offset: bytes = b"K\0") -> bytes:
        head = b"\x80\x02}X\x08\0\0\0n.weightctorch._utils\n_rebuild_tensor_v2\n("
        stored = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0" + b"0X\x03\0\0\0cpuK\x04tQ"
        return head + stored + offset + size + stride + b"\x89}tRs."

    def tensor_of(word: bytes) -> bytes:
        """A tensor of a storage that another word stands before."""
        return tensor(b"K\4\x85").replace(b"(X\x07\0\0\0storage", b"(" + word)

    return {
        "empty": lambda: b"",
        "no STOP": lambda: b"\x80\x02}",
        "nothing on the stack": lambda: b"\x80\x02.",
        "a mark as its value": lambda: b"\x80\x02(.",
        "an unknown operation": lambda: b"\x80\x02\xff.",
        "a protocol to come": lambda: b"\x80\x63N.",
        "tuples of tuples, in one place twice": lambda: laughs(b"\x86"),
        "the same in lists": lambda: b"\x80\x02]" + b"q\0]h\0ah\0a" * 60 + b".",
        "the same in the place of a word": lambda: tensor_of(
            b"X\x01\0\0\0a" + b"q\0h\0\x86" * 60 + b"q\0" + b"0h\0"
        ),
        "nested lists, a million deep": lambda: b"\x80\x02" + b"]" * 10**6 + b"a" * 999_999 + b".",
        "nested tuples, a million deep": lambda: b"\x80\x02)" + b"\x85" * 10**6 + b".",
        "nested calls, 300,000 deep": lambda: (
            b"\x80\x02ca\nb\nq\7" + b"0)q\x01" + b"0h\7h\1Rq\1" * 300_000 + b"."
        ),
        "a list in itself": lambda: b"\x80\x02]q\0h\0a.",
        "a dict in itself": lambda: b"\x80\x02}q\0" + text + b"h\0s.",
        "an object in itself": lambda: b"\x80\x02ca\nb\n)Rq\0h\0b.",
        "millions of empty sets": lambda: b"\x80\x04" + b"\x8f" * 1_900_000 + b".",
        "millions of empty dicts, remembered": lambda: b"\x80\x04" + b"}\x94" * 950_000 + b".",
        "more operations than are followed": lambda: b"\x80\x02" + b"N0" * 2_000_000 + b"N.",
        "millions of marks": lambda: b"\x80\x02" + b"(" * 1_900_000 + b"t.",
        "a text longer than the file": lambda: b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7fab.",
        "a text of -1 bytes": lambda: b"\x80\x02T\xff\xff\xff\xffab.",
        "an integer of a million bytes": lambda: (
            b"\x80\x02\x8b" + (10**6).to_bytes(4, "little") + b"\x7f" * 10**6 + b"."
        ),
        "an integer of a million digits": lambda: b"I" + b"9" * 10**6 + b"\n.",
        "a memo that is not there": lambda: b"\x80\x02h\x07.",
        "a memo of a huge number": lambda: b"\x80\x02Nr\xff\xff\xff\xff.",
        "an extension code": lambda: b"\x80\x02\x82\x01.",
        "a buffer out of band": lambda: b"\x80\x05\x97.",
        "a name of 10 MB": lambda: b"\x80\x02c" + b"x" * 10**7 + b"\ny\n)R.",
        "a tensor of 2**62 numbers": lambda: tensor(b"\x8a\x08" + b"\0" * 7 + b"\x40\x85"),
        "a tensor of -1 numbers": lambda: tensor(b"J\xff\xff\xff\xff\x85"),
        "a tensor before its storage": lambda: tensor(b"K\4\x85", offset=b"J\xf0\xff\xff\xff"),
        "a tensor behind its storage": lambda: tensor(b"K\4\x85", offset=b"M\xff\xff"),
        "a tensor of negative strides": lambda: tensor(b"K\4\x85", b"J\xff\xff\xff\xff\x85"),
        "a tensor of 100 axes": lambda: tensor(
            b"(" + b"K\1" * 100 + b"t", b"(" + b"K\1" * 100 + b"t"
        ),
        "sizes and strides that differ": lambda: tensor(b"K\2K\2\x86", b"K\1\x85"),
        "a size that is a text": lambda: tensor(text + b"\x85"),
        "a size that is a list in itself": lambda: tensor(b"]q\0h\0a"),
        "sizes nested a million deep": lambda: (
            b"\x80\x02ctorch\nSize\nq\7"
            + b"0K\1\x85q\x01"
            + b"0h\7h\1Rq\1" * 300_000
            + tensor(b"h\1")[2:]
        ),
        "no arguments of a tensor": lambda: (
            b"\x80\x02}X\1\0\0\0wctorch._utils\n_rebuild_tensor_v2\n)Rs."
        ),
        "a storage of an unknown type": lambda: b"\x80\x02" + storage + b".",
        "a parameter in a parameter, without end": lambda: (
            b"\x80\x02}X\1\0\0\0wctorch._utils\n_rebuild_parameter\nq\0)Rq\1h\1\x85b"
            + b"h\0h\1\x85R"
            + b"\x85q\2h\0h\2R" * 50
            + b"s."
        ),
    }


def _pickle_cases() -> None:
    for name, data in _pickles().items():

        def write(place: Place, data: Callable[[], bytes] = data) -> Path:
            return place.file("net.pt", zips.archive(_with_pickle(data())))

        FAMILY.add(f"pickle: {name}", write)


_pickle_cases()


@FAMILY.odd("a million small tensors")
def _many_tensors(place: Place) -> Path:
    one = (
        b"X\x06\0\0\0%06dctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage"
        b"ctorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQK\0K\4\x85K\1\x85\x89}tR"
    )
    data = b"\x80\x02}(" + b"".join(one % number for number in range(150_000)) + b"u."
    return place.file("net.pt", zips.archive(_with_pickle(data)))


# --- archives -------------------------------------------------------------------------------------


def _changed(name: str, **changes: Any) -> list[Member]:
    """The members of a good checkpoint, of which one lies."""
    found = _packed(members())
    for one in found:
        if one.name == name:
            for key, value in changes.items():
                setattr(one, key, value)
    return found


def _archives() -> dict[str, tuple[Callable[[Place], bytes], Expected]]:
    pickled, stored = "archive/data.pkl", "archive/data/0"
    refused, either, read = Expected.REFUSED, Expected.EITHER, Expected.READ

    def extra(name: str, data: bytes = b"x", **how: Any) -> Callable[[Place], bytes]:
        return lambda place: zips.archive([*_packed(members()), Member(name, data, **how)])

    def of(own: Callable[[], list[Member]], **how: Any) -> Callable[[Place], bytes]:
        return lambda place: zips.archive(own(), **how)

    good = lambda: _packed(members())  # noqa: E731
    return {
        "a member at ../": (extra("../../outside/made"), read),
        "a member at an absolute path": (extra("/tmp/made"), read),
        "a member on a drive": (extra("C:\\made"), read),
        "a member with backslashes": (extra("..\\..\\outside\\made"), read),
        "a member without a name": (extra(""), read),
        "a member of a name with NUL": (extra("a\0b"), read),
        "a member that is a link": (
            extra("archive/link", b"/etc/passwd", attributes=zips.SYMLINK),
            read,
        ),
        "a storage that is a link": (of(lambda: _changed(stored, attributes=zips.SYMLINK)), either),
        "a name of 60,000 letters": (extra("x" * 60_000), either),
        "a pickle under ../": (
            lambda place: zips.archive([Member("../data.pkl", payloads.pickled(place))]),
            refused,
        ),
        "two pickles of one name": (
            lambda place: zips.archive(
                [*_packed(members()), Member(pickled, payloads.pickled(place))]
            ),
            refused,
        ),
        "pickles in two folders": (
            lambda place: zips.archive(
                [Member("b/data.pkl", payloads.pickled(place)), *_packed(members())]
            ),
            either,
        ),
        "no pickle": (of(lambda: [m for m in good() if m.name != pickled]), refused),
        "no storages": (of(lambda: [m for m in good() if "/data/" not in m.name]), refused),
        "a pickle of a bad CRC": (of(lambda: _changed(pickled, crc=1)), either),
        "a storage of a bad CRC": (of(lambda: _changed("archive/data/1", crc=1)), either),
        "an encrypted pickle": (of(lambda: _changed(pickled, flags=zips.ENCRYPTED)), refused),
        "an encrypted storage": (of(lambda: _changed("archive/data/1", flags=1)), refused),
        "an unknown way of packing": (of(lambda: _changed(pickled, method=99)), refused),
        "packed by LZMA": (of(lambda: _changed(pickled, method=14)), refused),
        "said to be deflated": (
            of(
                lambda: [
                    Member(m.name, m.data, method=8 if m.name == pickled else 0) for m in good()
                ]
            ),
            read,
        ),
        "a pickle said to be larger": (of(lambda: _changed(pickled, size=10**9)), refused),
        "a pickle said to be smaller": (of(lambda: _changed(pickled, size=3, packed=3)), refused),
        "a storage said to be larger": (
            of(lambda: _changed("archive/data/1", size=2**31)),
            refused,
        ),
        "a storage packed larger": (of(lambda: _changed("archive/data/1", packed=2**31)), refused),
        "a storage said to be empty": (
            of(lambda: _changed("archive/data/1", size=0, packed=0)),
            refused,
        ),
        "a member behind the end": (of(lambda: _changed(pickled, offset=2**31)), refused),
        "a member in the list": (of(lambda: _changed(pickled, offset=10**4)), refused),
        "members in the same bytes": (of(lambda: _changed("archive/data/1", offset=0)), refused),
        "another name before the bytes": (of(lambda: _changed(pickled, local_name="evil")), either),
        "more members than there are": (of(good, count=60_000), either),
        "no members": (of(good, count=0), either),
        "a list at a wrong place": (of(good, list_offset=10), refused),
        "a list behind the end": (of(good, list_offset=2**31), refused),
        "a list of a wrong size": (of(good, list_size=10), refused),
        "a list of 4 GB": (of(good, list_size=2**32 - 2), refused),
        "a comment that is cut": (
            lambda place: zips.archive(good(), comment=b"x" * 90)[:-40],
            refused,
        ),
        "bytes behind": (of(good, after=b"\0" * 100), either),
        "another archive behind": (
            lambda place: (
                zips.archive(good()) + zips.archive([Member("x", payloads.pickled(place))])
            ),
            either,
        ),
        "100,000 members": (
            lambda place: zips.archive(
                [*good(), *(Member(f"archive/{n}") for n in range(100_000))], count=65_535
            ),
            refused,
        ),
        "a storage in a folder above": (of(lambda: _moved(stored, "archive/../data/0")), either),
        "zip64: a count of 2**60": (lambda place: _with_end64(good(), 2**60), either),
        "zip64: an end that is not there": (
            lambda place: zips.archive(good()) + zips.zip64_end(5, 10, 0, 0, 2**60),
            refused,
        ),
        "zip64: a list at 2**63": (
            lambda place: zips.archive(good()) + zips.zip64_end(5, 10, 2**63, 0),
            refused,
        ),
        "zip64: an extra field that is cut": (
            of(lambda: _changed(pickled, size=2**32 - 1, extra=b"\1\0\x08\0abc")),
            refused,
        ),
        "zip64: a size of 2**63": (
            of(lambda: _changed(pickled, size=2**32 - 1, extra=struct.pack("<HHQ", 1, 8, 2**63))),
            refused,
        ),
    }


def _moved(name: str, to: str) -> list[Member]:
    found = _packed(members())
    for one in found:
        one.name = to if one.name == name else one.name
    return found


def _with_end64(own: list[Member], count: int) -> bytes:
    whole = zips.archive(own)
    begin = whole.index(b"PK\1\2")
    size = len(whole) - 22 - begin
    return whole[:-22] + zips.zip64_end(count, size, begin, len(whole) - 22)


for _name, (_data, _expected) in _archives().items():

    def _write(place: Place, data: Callable[[Place], bytes] = _data) -> Path:
        return place.file("net.pt", data(place))

    FAMILY.add(f"zip: {_name}", _write, _expected)


@FAMILY.hostile("zip: a pickle that inflates to a GiB")
def _bomb(place: Place) -> Path:
    bomb = Member("archive/data.pkl", bytes(2**27), method=DEFLATED, size=2**26 - 1)
    return place.file("net.pt", zips.archive([bomb]))


@FAMILY.odd("zip: a storage that inflates further than it should")
def _storage_bomb(place: Place) -> Path:
    own = [Member(m.name, m.data) for m in _packed(members())]
    own[-1] = Member("archive/data/1", bytes(2**27), method=DEFLATED, size=16)
    return place.file("net.pt", zips.archive(own))


@FAMILY.odd("zip: sixty storages that inflate to 16 MiB each")
def _many_bombs(place: Place) -> Path:
    import torch

    stored = {}
    for number in range(60):
        for name in ("weight", "bias"):
            stored[f"n{number}.{name}"] = torch.zeros(2**20)
    buffer = saved(stored)
    with zipfile.ZipFile(io.BytesIO(buffer)) as archive:
        own = [Member(n, archive.read(n), method=DEFLATED) for n in archive.namelist()]
    return place.file("net.pt", zips.archive(own))


@FAMILY.hostile("an archive in an archive")
def _nested(place: Place) -> Path:
    return place.file("net.pt", zips.archive([Member("net.pt", saved(state()))]))


@FAMILY.odd("bytes before the archive")
def _before(place: Place) -> Path:
    own = _packed(members())
    return place.file("net.pt", zips.archive(own, before=b"#!/bin/sh\nexit\n"))


@FAMILY.good("a Tensor subclass and a Parameter", "norm")
def _parameter(place: Place) -> Path:
    import torch

    own = OrderedDict((name, torch.nn.Parameter(value)) for name, value in state().items())
    return place.file("net.pt", saved(own))


# --- the older form -------------------------------------------------------------------------------


def _head() -> bytes:
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    numbers = (0x1950A86A20F9469CFC6C, 1001, machine)
    return b"".join(pickle.dumps(value, 2) for value in numbers)


def _legacy_cases() -> None:
    whole = lambda: saved(state(), _use_new_zipfile_serialization=False)  # noqa: E731
    made: dict[str, tuple[Callable[[Place], bytes], Expected]] = {
        "code in the place of the arrays": (
            lambda place: _head() + payloads.pickled(place),
            Expected.REFUSED,
        ),
        "code in the place of the arrays, with a list": (
            lambda place: _head() + payloads.pickled(place) + pickle.dumps([], 2),
            Expected.REFUSED,
        ),
        "code in the place of the version": (
            lambda place: _head()[:25] + payloads.pickled(place),
            Expected.REFUSED,
        ),
        "code in the list of storages": (
            lambda place: _head() + pickle.dumps({}, 2) + payloads.pickled(place),
            Expected.REFUSED,
        ),
        "a storage of 2**62 numbers": (
            lambda place: whole().replace(struct.pack("<Q", 4), struct.pack("<Q", 2**62)),
            Expected.REFUSED,
        ),
        "storages that are not there": (lambda place: whole()[:-60], Expected.REFUSED),
        "only its head": (lambda place: _head(), Expected.REFUSED),
        "bytes behind": (lambda place: whole() + b"\0" * 1000, Expected.READ),
        "a list of other storages": (
            lambda place: _head() + pickle.dumps({}, 2) + pickle.dumps(["x"] * 1000, 2),
            Expected.REFUSED,
        ),
    }
    for name, (data, expected) in made.items():

        def write(place: Place, data: Callable[[Place], bytes] = data) -> Path:
            return place.file("net.pt", data(place))

        LEGACY.add(name, write, expected)


_legacy_cases()


# --- TorchScript ----------------------------------------------------------------------------------


@SCRIPT.hostile("as torch writes it", "TorchScript")
def _script(place: Place) -> Path:
    own = {
        "net/version": b"3\n",
        "net/data.pkl": payloads.pickled(place),
        "net/constants.pkl": payloads.pickled(place),
        "net/code/__torch__/net.py": payloads.source(place).encode(),
        "net/data/0": bytes(16),
    }
    return place.file("net.pt", zips.archive(_packed(own)))


@SCRIPT.hostile("with code at ../", "TorchScript")
def _script_up(place: Place) -> Path:
    own = {
        "net/constants.pkl": payloads.pickled(place),
        "net/data.pkl": payloads.pickled(place),
        "net/code/../../../outside/made.py": b"x",
        "code/x.py": b"import os",
    }
    return place.file("net.pt", zips.archive(_packed(own)))


# --- pickles by themselves ------------------------------------------------------------------------


@FAMILY.hostile("a bare pickle that runs code", "to load a pickle is to run code")
def _bare(place: Place) -> Path:
    return place.file("model.pkl", payloads.pickled(place))


@FAMILY.hostile("a bare pickle of protocol 0")
def _bare_0(place: Place) -> Path:
    return place.file("model.pt", payloads.pickled(place, 0))


@FAMILY.hostile("a joblib file")
def _joblib(place: Place) -> Path:
    return place.file("model.joblib", payloads.pickled(place, 4))


@FAMILY.hostile("compressed by gzip", "gzip")
def _gzip(place: Place) -> Path:
    import gzip

    return place.file("net.pt", gzip.compress(saved(state())))
