"""What a first call costs: the import, loading the kernels, and the first call beside the second.

    python -m benchmarks.first_call

Seconds of processor time, to which other programs add little; each figure is the median of several
new processes, and of workers that `multiprocessing` spawns. The kernels are compiled when the
package is built, so a first call compiles nothing and looks for nothing that another process kept:
a machine's first process and its hundredth do the same.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks import machine, options, processes
from benchmarks.demands import Demand, report

PATTERNS = ("b [c]", "[b] c")
DTYPES = ("float32", "float64", "float16")
PROCESSES = 5
ALL_LIMIT, WORKER_LIMIT = 0.9, 0.3
STEPS = ("import NumPy", "import normscope", "modules", "first call", "second call")
"""`modules`: those behind `normalize` and `gradients`, which are imported when asked for."""

SCRIPT = """
import sys, time
def now():
    times.append(time.process_time())
times = []
now()
import numpy as np
now()
import normscope
now()
normscope.normalize, normscope.gradients
now()
x = np.ones((64, 768), sys.argv[2])
for _ in range(2):
    normscope.normalize(x, sys.argv[1])
    now()
print([end - begin for begin, end in zip(times, times[1:])])
"""


def in_new_process(pattern: str, dtype: str) -> list[float]:
    """Seconds of each of the steps; the median process."""
    command = [sys.executable, "-c", SCRIPT, pattern, dtype]
    runs = [
        json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(PROCESSES)
    ]
    return [statistics.median(run[step] for run in runs) for step in range(len(STEPS))]


def in_worker(pattern: str) -> tuple[float, float]:
    """Of a worker that was spawned: seconds until NumPy is there, and then of its first call."""
    began = time.process_time()
    import numpy as np

    loaded = time.process_time()
    import normscope

    normscope.normalize(np.ones((64, 768), np.float32), pattern)
    return loaded - began, time.process_time() - loaded


def spawned() -> float:
    """Seconds of import and first call in a spawned worker, on top of importing NumPy."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        pairs = [pool.apply(in_worker, ("b [c]",)) for _ in range(PROCESSES)]
    return statistics.median(seconds for _, seconds in pairs)


def main() -> int:
    arguments = options.parser(__doc__, seconds=0, cases=False).parse_args()
    print(machine.description())
    print(f"\n{'':20}" + "".join(f"{name:>18}" for name in (*STEPS, "without NumPy")))
    results: dict[str, Any] = {}
    demands = []
    for dtype in DTYPES:
        for pattern in PATTERNS:
            name = f'"{pattern}" {dtype}'
            results[name] = steps = in_new_process(pattern, dtype)
            shown = (*steps, sum(steps[1:4]))
            print(f"{name:20}" + "".join(f"{each:>16.4f} s" for each in shown), flush=True)
            what = f"{name}: seconds of a new process until its first result"
            demands.append(Demand(what, ALL_LIMIT, sum(steps[:-1])))
    results["spawned"] = worker = spawned()
    print(f"a spawned worker, import and first call, without NumPy: {worker:.4f} s")
    demands.append(Demand("a spawned worker: seconds after NumPy", WORKER_LIMIT, worker))
    processes.keep("first_call", results)
    return report(demands, arguments.check)


if __name__ == "__main__":
    raise SystemExit(main())
