"""Machine code on disk: whatever happens to it, every call computes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import pytest

import normscope
from normscope.kernels.machine import disk_cache
from normscope.kernels.machine.compiling import kernel


def _plus_one(number: float) -> float:
    return number + 1


def plus_one() -> Any:
    """A kernel as another process would have it: nothing of it is in memory."""
    return kernel(_plus_one)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one folder that machine code is kept in."""
    monkeypatch.setattr(disk_cache, "_said", [])
    monkeypatch.setattr(disk_cache, "folders", lambda: iter([tmp_path / "cache"]))
    return tmp_path / "cache"


def hits(function: Any) -> int:
    return sum(function.stats.cache_hits.values())


def test_machine_code_is_found_again(folder: Path) -> None:
    first, second = plus_one(), plus_one()
    assert (first(1.0), hits(first)) == (2.0, 0)
    assert (second(1.0), hits(second)) == (2.0, 1)
    assert second.stats.cache_path == folder
    assert second(1) == 2  # arguments of another kind: a file of its own
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda code: b"",
        lambda code: code[:10],
        lambda code: code[: len(code) // 2],
        lambda code: code[:-1],
        lambda code: bytes(len(code)),
        lambda code: code[: len(code) // 2] + bytes(len(code) - len(code) // 2),
        lambda code: code[:-100] + b"x" + code[-99:],
        lambda code: b"\x80\x04." * 100,
    ],
)
def test_damaged_files_are_compiled_and_written_anew(
    folder: Path, damage: Callable[[bytes], bytes]
) -> None:
    plus_one()(1.0)
    (file,) = folder.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    found = plus_one()
    assert (found(1.0), hits(found)) == (2.0, 0)
    healed = plus_one()
    assert (healed(1.0), hits(healed)) == (2.0, 1)
    assert list(folder.iterdir()) == [file]


def test_whole_files_that_cannot_be_loaded_are_compiled_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(disk_cache, "dumps", lambda parts: b"not a pickle")
        plus_one()(1.0)
    found, healed = plus_one(), plus_one()
    assert (found(1.0), hits(found)) == (2.0, 0)
    assert (healed(1.0), hits(healed)) == (2.0, 1)


def test_a_change_of_any_kernel_file_makes_files_stale(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plus_one()(1.0)
    before = list(folder.iterdir())
    monkeypatch.setattr(disk_cache, "sources", lambda: b"other")
    changed = plus_one()
    assert (changed(1.0), hits(changed)) == (2.0, 0)
    assert list(folder.iterdir()) == before  # written over, not left beside


def test_all_files_of_the_package_are_its_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    disk_cache.sources.cache_clear()
    real, read = Path.read_bytes, []

    def read_bytes(self: Path) -> bytes:
        read.append(self.name)
        return real(self)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    disk_cache.sources()
    assert {"rows.py", "columns.py", "compiling.py", "merging.py"} <= set(read)


def test_flush_removes_the_files_of_one_function(folder: Path) -> None:
    function = plus_one()
    function(1.0)
    (folder / "other.f-0.nbc").touch()
    function.recompile()
    assert len(list(folder.iterdir())) == 2
    function._cache.flush()
    assert [path.name for path in folder.iterdir()] == ["other.f-0.nbc"]


def unwritable(folder: Path) -> None:
    folder.touch()  # rights do not bind every user; a file in place of a folder does


@pytest.mark.skipif(sys.platform == "win32", reason="only Unix limits the size of files")
def test_a_full_disk_is_said_once_and_leaves_nothing(folder: Path) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.warns(RuntimeWarning, match="cannot be kept on disk.*cache: File too large"):
            assert plus_one()(1.0) == 2
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert plus_one()(1.0) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(folder.iterdir()) == []
    later = plus_one(), plus_one()
    assert [(function(1.0), hits(function)) for function in later] == [(2.0, 0), (2.0, 1)]


def test_no_folder_at_all_is_said_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: Path
) -> None:
    unwritable(folder)
    with pytest.warns(RuntimeWarning, match="set NUMBA_CACHE_DIR"):
        assert plus_one()(1.0) == 2
    assert plus_one()(2.0) == 3


def test_the_next_folder_is_taken_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [tmp_path / "first", tmp_path / "second"]
    monkeypatch.setattr(disk_cache, "folders", lambda: iter(places))
    unwritable(places[0])
    functions = plus_one(), plus_one()
    assert [(function(1.0), hits(function)) for function in functions] == [(2.0, 0), (2.0, 1)]
    assert len(list(places[1].iterdir())) == 1


@pytest.mark.parametrize("name", ["XDG_CACHE_HOME", "LOCALAPPDATA"])
@pytest.mark.parametrize("value", ["", "cache", "./cache", None])
@pytest.mark.parametrize("home", ["", "home", None])
def test_no_folder_is_below_the_working_directory(
    name: str, value: str | None, home: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    for variable, wanted in {"HOME": home, "USERPROFILE": home, name: value}.items():
        if wanted is None:
            monkeypatch.delenv(variable, raising=False)
        else:
            monkeypatch.setenv(variable, wanted)
    found = list(disk_cache.folders())
    assert all(folder.is_absolute() for folder in found)
    assert found[0] == disk_cache.PACKAGE / "__pycache__"


def test_a_folder_that_was_named_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    assert next(disk_cache.folders()).parent == tmp_path


COMPILE_ONE = """
import numpy as np
from normscope.kernels.forward import merging
partials = np.ones((2, 3, 1))
merging.merge_chunks(partials, np.empty((3, 1)), np.zeros(9), False)
print(merging.merge_chunks._cache.cache_path)
print(sum(merging.merge_chunks.stats.cache_hits.values()))
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A copy of the package, which nothing can be written beside."""
    package = tmp_path / "site" / "normscope"
    source = Path(normscope.__file__).parent
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
    unwritable(package / "kernels" / "__pycache__")
    return package


def compile_one(package: Path, home: Path, **more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "HOME": str(home)}
    for name in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "LOCALAPPDATA"):
        environment.pop(name, None)
    working = package.parents[1] / "working"
    working.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", COMPILE_ONE], env=environment | more, cwd=working,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_uses_the_user_cache(
    installed: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    # two at once, then one that finds what they left; an empty name means the usual place
    both = [compile_one(installed, home, XDG_CACHE_HOME="") for _ in range(2)]
    for running in (*both, None):
        last = running or compile_one(installed, home)
        output, errors = last.communicate()
        assert (last.returncode, errors) == (0, "")
        cache, hit = output.split()
        assert Path(cache).is_relative_to(home / ".cache")
    assert hit == "1"
    assert len(list(Path(cache).iterdir())) == 1
    assert list((tmp_path / "working").iterdir()) == []
    assert not list(installed.rglob("*.nb?"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="only Unix has no home that way")
def test_a_read_only_installation_without_a_home_computes(installed: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.touch()
    running = compile_one(installed, home)
    output, errors = running.communicate()
    assert (running.returncode, output.split()) == (0, ["None", "0"])
    assert errors.count("cannot be kept on disk") == 1
    assert list((tmp_path / "working").iterdir()) == []
