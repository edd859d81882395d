"""The compiled kernels: which are chosen, and what is said where they are wrong or missing."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from normscope import KernelsError
from normscope.kernels import library, recipe

ROOT = Path(__file__).parents[2]


def forget() -> None:
    for remembered in (library.kernels_built, library._library, library.address_of):
        remembered.cache_clear()


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a process that has not loaded kernels yet, nor was told which."""
    monkeypatch.delenv(library.LEVEL_VARIABLE, raising=False)
    forget()
    yield
    monkeypatch.undo()
    forget()


@pytest.fixture
def copied(anew: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Libraries that a test may damage."""
    shutil.copytree(recipe.BUILT, tmp_path / "built")
    monkeypatch.setattr(library, "BUILT", tmp_path / "built")
    return tmp_path / "built"


def test_here_kernels_are_built() -> None:
    """Wherever the tests run: without kernels most of them would test the definition."""
    assert library.kernels_built()


# --- the choice -----------------------------------------------------------------------------------

ALL = ["v2", "v3", "v4"]


@pytest.mark.parametrize(("highest", "chosen"), [(2, "v2"), (3, "v3"), (4, "v4"), (5, "v4")])
def test_the_highest_level_of_the_processor_is_taken(
    highest: int, chosen: str, anew: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert library._chosen(ALL, highest) == chosen
    monkeypatch.setenv("NORMSCOPE_LEVEL", "")
    assert library._chosen(ALL, highest) == chosen


@pytest.mark.usefixtures("anew")
def test_another_machine_has_one_level() -> None:
    assert library._chosen(["base"], 0) == "base"


@pytest.mark.parametrize("asked", ALL)
def test_a_lower_level_may_be_asked_for(
    asked: str, anew: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NORMSCOPE_LEVEL", asked)
    assert library._chosen(ALL, 4) == asked


@pytest.mark.parametrize(
    ("asked", "highest", "said"),
    [
        ("v4", 3, "NORMSCOPE_LEVEL=v4: this processor has not the instructions of it; write one of "
         "v2, v3, or none to compute without kernels"),
        ("fast", 2, "NORMSCOPE_LEVEL=fast: there is no such level; write one of v2, or none"),
        ("", 1, "the kernels need a processor of the level x86-64-v2, which this one is not"),
    ],
)  # fmt: skip
def test_what_cannot_run_is_refused(
    asked: str, highest: int, said: str, anew: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NORMSCOPE_LEVEL", asked)
    with pytest.raises(KernelsError, match=said):
        library._chosen(ALL, highest)


def built_levels() -> list[str]:
    lines = (recipe.BUILT / recipe.SIZES).read_text().split()
    return [name.partition(".")[0].removeprefix("kernels_") for name in lines[::2]]


def test_the_processor_is_asked_and_obeyed(anew: None, monkeypatch: pytest.MonkeyPatch) -> None:
    highest = library.level()
    for level in built_levels()[: built_levels().index(highest) + 1]:
        forget()
        monkeypatch.setenv("NORMSCOPE_LEVEL", level)
        assert library.level() == level


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells them in a file")
@pytest.mark.usefixtures("anew")
def test_the_processor_tells_what_the_system_tells() -> None:
    flags = Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split()
    wanted = {"v2": {"sse4_2"}, "v3": {"avx2", "fma", "f16c"}, "v4": {"avx512bw", "avx512_vbmi2"}}
    levels = [level for level in built_levels() if wanted.get(level, set()) <= set(flags)]
    assert library.level() == levels[-1]


@pytest.mark.usefixtures("anew")
def test_threads_get_the_same_library() -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: library.address_of("highest_level"), range(8)))
    assert len(found) == 1
    assert ctypes.CFUNCTYPE(ctypes.c_int64)(found.pop())() >= 0


def test_a_kernel_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no_such_kernel"):
        library.address_of("no_such_kernel")


# --- wrong or missing -----------------------------------------------------------------------------


def test_no_folder_means_no_kernels(
    anew: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "BUILT", tmp_path / "built")
    assert not library.kernels_built()
    with pytest.raises(KernelsError, match=r"this call needs .* not built; run python hatch_build"):
        library.level()
    monkeypatch.setattr(library, "_ROOT", tmp_path)
    with pytest.raises(KernelsError, match=r"gradients needs .* there are some for Linux"):
        library.check_kernels("gradients")


def test_none_may_be_asked_for(anew: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NORMSCOPE_LEVEL", "none")
    assert not library.kernels_built()
    with pytest.raises(KernelsError, match=r"gradients needs .*: NORMSCOPE_LEVEL=none is set"):
        library.check_kernels("gradients")


def remove(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def cut_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def blank(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("which", [0, -1])
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (remove, "are missing"),
        (cut, "are not whole"),
        (cut_half, "are not whole"),
        (blank, r"cannot be loaded \("),
    ],
)
def test_a_damaged_library_is_never_fallen_back_from(
    damage: object, said: str, which: int, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "_ROOT", copied)
    path = sorted(copied.glob("kernels_*"))[which]
    monkeypatch.setenv("NORMSCOPE_LEVEL", path.stem.removeprefix("kernels_"))
    damage(path)  # type: ignore[operator]
    assert library.kernels_built()
    with pytest.raises(KernelsError, match=said) as raised:
        library.level()
    assert str(path) in str(raised.value)
    assert str(raised.value).endswith(": pip install --force-reinstall --no-deps normscope")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One that has been built, with a space in its path."""
    root = tmp_path / "check out"
    shutil.copytree(
        ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__", "layers", "audit")
    )
    shutil.copy(ROOT / "hatch_build.py", root)
    return root


ASK = "from normscope.kernels import library; print(library.level())"


def ask(root: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    return subprocess.run(
        [sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("name", ["recipe.py", "source/machine.h", "source/new.c"])
def test_kernels_of_other_sources_are_refused(name: str, checkout: Path) -> None:
    assert ask(checkout).returncode == 0
    with open(checkout / "src" / "normscope" / "kernels" / name, "a") as file:
        file.write("\n")
    done = ask(checkout)
    assert done.returncode == 1
    assert "were made from other sources: run python hatch_build.py in " in done.stderr
    assert str(checkout) in done.stderr


def test_line_ends_are_no_other_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unix, windows = tmp_path / "unix", tmp_path / "windows"
    for folder, end in ((unix, b"\n"), (windows, b"\r\n")):
        folder.mkdir()
        (folder / "a.c").write_bytes(b"one" + end + b"two" + end)
    digests = []
    for folder in (unix, windows):
        monkeypatch.setattr(recipe, "SOURCE", folder)
        digests.append(recipe.digest())
    assert digests[0] == digests[1]
