"""What is no file, or none that can be read, whatever its name."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from hostile.case import Expected, Family, Place

FAMILY = Family("no file")

ENDINGS = (".h5", ".json", ".onnx", ".pt", ".pt2", ".keras", ".safetensors", ".npz", ".bin", "")


def _socket(path: Path) -> None:
    """A socket; its name must be short."""
    here = os.getcwd()
    own = socket.socket(socket.AF_UNIX)
    try:
        os.chdir(path.parent)
        own.bind(path.name)
    finally:
        os.chdir(here)
        own.close()


_KINDS: dict[str, Callable[[Path], object]] = {
    "a pipe": lambda path: os.mkfifo(path),
    "/dev/zero": lambda path: path.symlink_to("/dev/zero"),
    "/dev/full": lambda path: path.symlink_to("/dev/full"),
    "the memory of the process": lambda path: path.symlink_to("/proc/self/mem"),
    "a list of processes": lambda path: path.symlink_to("/proc/self/maps"),
    "a socket": _socket,
    "an empty folder": lambda path: path.mkdir(),
    "empty": lambda path: path.write_bytes(b""),
    "one byte": lambda path: path.write_bytes(b"\x80"),
    "not there": lambda path: None,
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("gone"),
    "4 GiB of zeros": lambda path: _zeros(path),
    "a text": lambda path: path.write_text("a text\n" * 1000),
    "an HTML page": lambda path: path.write_text("<!doctype html><script>alert(1)</script>"),
    "a pointer of Git LFS": lambda path: path.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    ),
    "a shell script": lambda path: path.write_text("#!/bin/sh\ntouch fired\n"),
    "bytes of every value": lambda path: path.write_bytes(bytes(range(256)) * 100),
    "a program": lambda path: path.write_bytes(b"\x7fELF" + bytes(1000)),
    "a YAML text that makes objects": lambda path: path.write_text(
        "!!python/object/apply:os.system ['touch fired']\n"
    ),
    "UTF-16": lambda path: path.write_text('{"class_name": "Model"}', encoding="utf-16"),
    "UTF-32": lambda path: path.write_text('{"class_name": "Model"}', encoding="utf-32"),
}


def _zeros(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(2**32)


def _add() -> None:
    for number, (name, make) in enumerate(_KINDS.items()):
        own = (
            ENDINGS
            if name in ("a pipe", "empty", "/dev/zero")
            else (
                ENDINGS[number % len(ENDINGS)],
                ENDINGS[(number + 3) % len(ENDINGS)],
            )
        )
        for ending in own:

            def write(
                place: Place, ending: str = ending, make: Callable[[Path], object] = make
            ) -> Sequence[str | Path]:
                path = place.folder / f"m{ending}"
                make(path)
                return ["audit", path]

            FAMILY.add(f"{name}, named m{ending}", write)


_add()


@FAMILY.hostile("a pipe in a folder with settings")
def _pipes_in_folder(place: Place) -> Path:
    place.file("model.safetensors", b"")
    os.mkfifo(place.folder / "config.json")
    return place.folder


@FAMILY.hostile("a name with escapes that is not there")
def _escapes(place: Place) -> Sequence[str | Path]:
    return ["audit", f"{place.folder}/\x1b[31mred\n\u202emoc.h5"]


@FAMILY.hostile("a name of bytes that are not UTF-8")
def _bytes(place: Place) -> Sequence[str | Path]:
    return ["audit", f"{place.folder}/\udcff\udcfe.h5"]


@FAMILY.hostile("a name of 5,000 letters")
def _long(place: Place) -> Sequence[str | Path]:
    return ["audit", f"{place.folder}/{'x' * 5000}.h5"]


@FAMILY.hostile("a name with NUL")
def _nul(place: Place) -> Sequence[str | Path]:
    return ["audit", f"{place.folder}/a\0b.h5"]


@FAMILY.hostile("an option as its name")
def _option(place: Place) -> Sequence[str | Path]:
    place.file("-o", b"x")
    return ["audit", "--", "-o"]


@FAMILY.hostile("a folder as a file of Python")
def _python(place: Place) -> Sequence[str | Path]:
    (place.folder / "net.py").mkdir()
    return ["audit", f"{place.folder}/net.py:net"]


def _commands() -> None:
    for command in ("scope", "identify", "explain"):
        for name in ("a pipe", "empty", "/dev/zero", "an empty folder", "not there"):

            def write(
                place: Place, command: str = command, name: str = name
            ) -> Sequence[str | Path]:
                path = place.folder / "m.onnx"
                _KINDS[name](path)
                return [command, path, "--shape", "2,3,8,8"]

            FAMILY.add(f"{command} of {name}", write, Expected.REFUSED)


_commands()


@FAMILY.hostile("a list of files")
def _several(place: Place) -> Path:
    for number in range(3000):
        place.file(f"{number}.bin", b"x")
    return place.folder
