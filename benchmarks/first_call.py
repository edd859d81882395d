"""What a first call costs: the import, and a call of `normalize` that compiles or need not.

    python benchmarks/first_call.py

Each figure is of a new process, with a copy of the package, beside which no machine code is kept
yet; the first process compiles, the second finds what the first has kept. Seconds of processor
time, to which other programs add little.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import normscope

SCRIPT = """
import sys, time
import numpy as np
begin = time.process_time()
import normscope
imported = time.process_time() - begin
begin = time.process_time()
normscope.normalize
loaded = time.process_time() - begin
x = np.ones((64, 768), np.float32)
times = []
for _ in range(2):
    begin = time.process_time()
    normscope.normalize(x, "b [c]")
    times.append(time.process_time() - begin)
print(imported, loaded, *times)
"""


def measured(folder: str) -> list[float]:
    """Seconds of the import, of loading `normalize`, and of two calls of it, in a new process.

    `folder`: where the copy of the package lies.
    """
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"PYTHONPATH": folder, "NUMBA_CACHE_DIR": f"{folder}/machine_code"},
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(word) for word in done.stdout.split()]


def main() -> None:
    """Print a line for each figure."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(normscope.__file__).parent
        copy = Path(folder) / "normscope"
        shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
        compiling, kept = measured(folder), measured(folder)
    lines = {
        "import normscope (after NumPy)": min(compiling[0], kept[0]),
        "normscope.normalize asked for: its modules are imported": min(compiling[1], kept[1]),
        "first call of it on a machine: it is compiled": compiling[2],
        "first call of a later process: machine code was kept": kept[2],
        "second call": min(compiling[3], kept[3]),
    }
    for name, seconds in lines.items():
        print(f"{name:58} {seconds:9.4f} s")


if __name__ == "__main__":
    main()
