"""Compiles the kernels, for a wheel and for an installation that can be edited.

Run by hand (`python hatch_build.py`), it compiles them for this machine, with the package `ziglang`
of this environment; `make` does so whenever a source is newer. Both are told by
`src/normscope/kernels/recipe.py` what a library is made of. With NORMSCOPE_KERNELS=require it is an
error if there is no compiler for this machine, rather than a wheel without kernels.
"""

from __future__ import annotations

import os
import platform
import runpy
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ModuleNotFoundError:  # by hand only the compiler is needed
    BuildHookInterface = object

ROOT = Path(__file__).resolve().parent
RECIPE: Any = SimpleNamespace(**runpy.run_path(str(ROOT / "src/normscope/kernels/recipe.py")))

LINKING = ("-shared", "-O3", "-s", "-lc", "-lm")
"""Arguments for all machines: a library without the names of its parts."""
LINKING_ELF = ("-lpthread", "-Wl,-Bsymbolic", "-Wl,-z,defs")
"""More of them for Linux: what is called is found now, and first in the library itself."""


class KernelsHook(BuildHookInterface):
    """What hatchling asks: which packages a build needs, and what goes into the wheel."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """The compiler, where there is one."""
        return [RECIPE.COMPILER] if target_here() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the kernels, and add them to the wheel."""
        target = target_here()
        if target is None:
            self.app.display_warning(without_compiler())
            return
        built = build(target, say=self.app.display_info)
        build_data["artifacts"] += [path.relative_to(ROOT).as_posix() for path in built]
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{target.tag}"


def target_here() -> Any:
    """The recipe for this machine, None where no compiler or no recipe is known for it."""
    if sys.maxsize < 2**32:  # a Python of 32 bits, which may run on a larger machine
        return None
    is_musl = sys.platform == "linux" and platform.libc_ver()[0] != "glibc"
    system = "musl" if is_musl else sys.platform
    return RECIPE.TARGETS.get((system, platform.machine().lower()))


def without_compiler() -> str:
    """What to say where kernels cannot be compiled; an error if they are required."""
    text = (
        f"no kernels for {sys.platform} on {platform.machine()}: there is no compiler for it. "
        "normscope computes by the definition, with NumPy, and has no gradients"
    )
    if os.environ.get("NORMSCOPE_KERNELS") == "require":
        sys.exit(text)
    return text


def build(target: Any, say: Any = print, folder: Path = RECIPE.BUILT) -> list[Path]:
    """Compile the kernels for all levels; the files that were made, in the folder.

    What another process has loaded stays what it is: files are put in the place of others, whole.
    """
    began = time.perf_counter()
    digest = RECIPE.digest()  # before anything is read: what changes meanwhile will be noticed
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch, ThreadPoolExecutor(cores) as pool:
        empty = Path(scratch, "empty.c")
        empty.touch()
        # The first to link waits for what the compiler brings to every program: it is made then.
        warm = pool.submit(link, target, [empty], Path(scratch, "warm"))
        objects = compile_all(target, digest, Path(scratch), pool)
        warm.result()
        libraries = [Path(scratch, f"kernels_{level}{target.suffix}") for level in objects]
        list(pool.map(link, [target] * len(libraries), objects.values(), libraries))
        sizes = Path(scratch, RECIPE.SIZES)
        sizes.write_text("".join(f"{it.name} {it.stat().st_size}\n" for it in libraries))
        made = [path.replace(folder / path.name) for path in [*libraries, sizes]]
    seconds = time.perf_counter() - began
    say(f"kernels for {target.name}: levels {', '.join(objects)}, {seconds:.0f} s on {cores} cores")
    return made


def compile_all(
    target: Any, digest: str, scratch: Path, pool: ThreadPoolExecutor
) -> dict[str, list[Path]]:
    """The object files of each level, compiled side by side, the longest first.

    The source that says whether a level can be used has to run on every processor; it carries the
    digest of all sources.
    """
    sources = sorted(RECIPE.SOURCE.glob("*.c"), key=lambda path: -path.stat().st_size)
    waiting: dict[str, list[Future[Path]]] = {level: [] for level in target.levels}
    for source in sources:
        for level, options in target.levels.items():
            if source.name == "library.c":
                options = ("baseline", f'-DKERNELS_DIGEST="{digest}"')
            made = scratch / f"{source.stem}_{level}.o"
            waiting[level].append(pool.submit(compile_one, target, source, options, made))
    return {level: [each.result() for each in jobs] for level, jobs in waiting.items()}


def compile_one(target: Any, source: Path, options: tuple[str, ...], made: Path) -> Path:
    """The object file of a source; the first of the options is the processor."""
    machine, *more = options
    compiler(target, f"-mcpu={machine}", *RECIPE.COMPILING, *more, "-c", source, "-o", made)
    return made


def link(target: Any, objects: list[Path], made: Path) -> Path:
    """The library of these object files."""
    more = LINKING_ELF if target.suffix == ".so" else ()
    compiler(target, "-mcpu=baseline", *LINKING, *more, *objects, "-o", made)
    return made


def compiler(target: Any, *arguments: Any) -> None:
    """Run the compiler; what it keeps for later runs goes into `build/`.

    Raises:
        SystemExit: it says that something is wrong.
    """
    command = [sys.executable, "-m", "ziglang", "cc", "-target", target.name, *map(str, arguments)]
    kept = str(ROOT / "build" / "zig")
    surroundings = os.environ | {"ZIG_GLOBAL_CACHE_DIR": kept, "ZIG_LOCAL_CACHE_DIR": kept}
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(f"the kernels cannot be compiled:\n{done.stderr}")


def main() -> None:
    """Compile the kernels where they are looked for."""
    target = target_here()
    if target is None:
        print(without_compiler())
    elif find_spec("ziglang") is None:
        sys.exit(f"there is no compiler here: {sys.executable} -m pip install '{RECIPE.COMPILER}'")
    else:
        build(target)


if __name__ == "__main__":
    main()
