"""Time `normalize` from 4 KiB to 512 MiB, beside PyTorch and a plain copy.

    python -m benchmarks.sizes
    python -m benchmarks.sizes --cases NHWC --sizes 64KiB 1.5MiB

Each case runs in a process of its own, in which PyTorch is first measured as it is installed, at
all sizes, and then with an allocator that keeps its memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import normscope as ns
from benchmarks import machine, options, processes
from benchmarks.cases import chosen, named
from benchmarks.demands import Demand, report
from benchmarks.floor import best, copies
from benchmarks.large import OUT, peer_calls
from benchmarks.problem import problem, size, size_name
from benchmarks.timing import in_turn, shown

SIZES = ("4KiB", "64KiB", "512KiB", "1.5MiB", "8MiB", "49MiB", "512MiB")
ROWS = (OUT, "torch as installed", "torch, retained", "copy")
OVERHEAD = 8.0
"""Microseconds that a call may take beside its work."""


def measure(case: str, sizes: list[int], dtype: str, seconds: float) -> dict[str, Any]:
    """Seconds of one case at all sizes, by row and size; and of a call with all but no work."""
    found: dict[str, Any] = {row: {} for row in ROWS}
    for nbytes in sizes:
        given, rounds = problem(named(case), nbytes, dtype), rounds_of(nbytes)
        out = np.zeros_like(given.x)
        calls = {OUT: given.forward(out)} | copies(given.x, out) | peer_calls(given, ["torch"])
        times = in_turn(calls, seconds, rounds)
        found[OUT][nbytes], found["copy"][nbytes] = times[OUT].seconds, best(times, "copy")
        if "torch" in times:
            found["torch as installed"][nbytes] = times["torch"].seconds
    for nbytes in sizes if ns.retain_memory() else ():
        given, rounds = problem(named(case), nbytes, dtype), rounds_of(nbytes)
        for time in in_turn(peer_calls(given, ["torch"]), seconds / 2, rounds).values():
            found["torch, retained"][nbytes] = time.seconds
    return {"case": case, "overhead": overhead(dtype), "seconds": found}


def rounds_of(nbytes: int) -> int:
    """How many rounds there are at least; large arrays take so long that three must do."""
    return 3 if nbytes >= 128 << 20 else 7


def overhead(dtype: str) -> float:
    """Seconds of a call on two rows of four numbers."""
    x = np.ones((2, 4), dtype)
    out = np.zeros_like(x)
    return in_turn({OUT: lambda: ns.normalize(x, "b [c]", out=out)}, seconds=0.05)[OUT].seconds


def table(result: dict[str, Any], sizes: list[int]) -> str:
    """The lines of one case."""
    lines = [f"{result['case']:26}" + "".join(f"{size_name(nbytes):>11}" for nbytes in sizes)]
    for row in ROWS:
        seconds = result["seconds"][row]
        cells = (seconds.get(str(nbytes)) for nbytes in sizes)
        lines.append(
            f"  {row:24}" + "".join(f"{'-' if s is None else shown(s):>11}" for s in cells)
        )
    return "\n".join(lines)


def main() -> int:
    parser = options.parser(__doc__, seconds=0.15)
    parser.add_argument("--sizes", nargs="+", type=size, default=[size(text) for text in SIZES])
    arguments = parser.parse_args()
    print(machine.description())
    results = []
    for case in chosen(arguments.cases):
        job = {"sizes": arguments.sizes, "dtype": arguments.dtype, "seconds": arguments.seconds}
        results.append(processes.measured("sizes", case=case.name, **job))
        print(table(results[-1], arguments.sizes), flush=True)
    processes.keep("sizes", results)
    least = min(result["overhead"] for result in results) * 1e6
    return report([Demand("a call on 8 numbers: microseconds", OVERHEAD, least)], arguments.check)


if __name__ == "__main__":
    raise SystemExit(main())
