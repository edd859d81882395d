"""How kernels get compiled: by hand, and into a wheel."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from normscope.kernels import recipe

ROOT = Path(__file__).parents[2]


@pytest.fixture
def hatch_build() -> Any:
    specification = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One with a single small source, and what compiler has kept of earlier runs."""
    root = tmp_path / "a b"
    kernels = root / "src" / "normscope" / "kernels"
    (kernels / "source").mkdir(parents=True)
    for name in ("recipe.py", "__init__.py", "source/library.c", "source/machine.h"):
        shutil.copy(recipe.SOURCE.parent / name, kernels / name)
    (root / "build").mkdir()
    kept = ROOT / "build" / "zig"
    kept.mkdir(parents=True, exist_ok=True)
    (root / "build" / "zig").symlink_to(kept)
    for name in ("hatch_build.py", "pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, root)
    shutil.copy(ROOT / "src" / "normscope" / "version.py", root / "src" / "normscope")
    return root


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=root, capture_output=True, text=True, timeout=300
    )


def test_by_hand_it_says_one_line(repository: Path) -> None:
    done = run(repository, "hatch_build.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("kernels for ")
    assert done.stdout.count("\n") == 1
    built = repository / "src" / "normscope" / "kernels" / "built"
    listed = dict(line.split() for line in (built / "sizes.txt").read_text().splitlines())
    assert {path.name: str(path.stat().st_size) for path in built.glob("kernels_*")} == listed
    assert {path.name for path in built.iterdir()} == {*listed, "sizes.txt"}


def test_a_source_that_does_not_compile_fails_with_what_the_compiler_says(repository: Path) -> None:
    kernels = repository / "src" / "normscope" / "kernels"
    (kernels / "source" / "wrong.c").write_text("int f(void) { return missing; }\n")
    done = run(repository, "hatch_build.py")
    assert done.returncode == 1
    assert "wrong.c:1:22: error: use of undeclared identifier 'missing'" in done.stderr
    assert not list((kernels / "built").iterdir())


def test_what_no_library_has_fails_too(repository: Path) -> None:
    source = repository / "src" / "normscope" / "kernels" / "source" / "wrong.c"
    source.write_text(
        '#include "machine.h"\nInt missing(void);\nEXPORT Int (*kernel)(void) = missing;\n'
    )
    done = run(repository, "hatch_build.py")
    assert done.returncode == 1
    assert "undefined symbol: missing" in done.stderr


def test_without_a_compiler_it_says_what_to_install(repository: Path) -> None:
    code = "import runpy, sys; sys.modules['ziglang'] = None; "
    done = run(repository, "-c", code + "runpy.run_path('hatch_build.py', run_name='__main__')")
    assert done.returncode == 1
    assert "-m pip install 'ziglang>=" in done.stderr


@pytest.fixture
def unknown_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "vax")


@pytest.mark.usefixtures("unknown_machine")
def test_for_an_unknown_machine_there_are_no_kernels(
    hatch_build: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NORMSCOPE_KERNELS", raising=False)
    hatch_build.main()
    assert "no kernels for" in capsys.readouterr().out
    monkeypatch.setenv("NORMSCOPE_KERNELS", "require")
    with pytest.raises(SystemExit, match="on vax: there is no compiler for it"):
        hatch_build.main()


def wheel(root: Path, **more: str) -> tuple[str, list[str]]:
    """The wheel's name, and the files in it."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"],
        cwd=root,
        env=os.environ | more,
        check=True,
        timeout=300,
    )
    (path,) = (root / "dist").glob("*.whl")
    return path.name, zipfile.ZipFile(path).namelist()


def test_a_wheel_has_libraries_and_sources_and_says_for_which_platform(
    repository: Path, hatch_build: Any
) -> None:
    name, files = wheel(repository)
    target = hatch_build.target_here()
    assert name.endswith(f"-py3-none-{target.tag}.whl")
    folder = "normscope/kernels"
    libraries = {f"{folder}/built/kernels_{level}{target.suffix}" for level in target.levels}
    assert libraries | {f"{folder}/built/sizes.txt", f"{folder}/source/library.c"} <= set(files)


def test_without_a_compiler_a_wheel_is_for_any_platform(repository: Path) -> None:
    """And has none of the libraries that were built before."""
    assert run(repository, "hatch_build.py").returncode == 0
    (repository / "sitecustomize.py").write_text(
        "import platform\nplatform.machine = lambda: 'vax'"
    )
    paths = os.pathsep.join([str(repository), *filter(None, [os.environ.get("PYTHONPATH")])])
    name, files = wheel(repository, PYTHONPATH=paths, NORMSCOPE_KERNELS="")
    assert name.endswith("-py3-none-any.whl")
    assert not [file for file in files if "/built/" in file]
