"""Time `gradients` on large arrays, beside a plain copy and PyTorch.

    python -m benchmarks.backward
    python -m benchmarks.backward --cases NHWC --sizes 1.5MiB 49MiB

PyTorch has retained memory. Its call computes forward and backward, as autograd does, so ours is
measured both ways: the backward pass alone against its floor (a copy and a read of the gradient,
more where a set does not fit in cache), and both passes against PyTorch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import normscope as ns
from benchmarks import machine, options, processes
from benchmarks.cases import chosen, named
from benchmarks.demands import Demand, report
from benchmarks.floor import copies, reads
from benchmarks.large import floors, with_times
from benchmarks.peers import torch_forward_backward
from benchmarks.problem import problem, random, size, size_name
from benchmarks.timing import in_turn

ALONE, BOTH = "normscope, backward", "normscope, forward and backward"
FLOORS = 1.7


def measure(case: str, nbytes: int, dtype: str, seconds: float) -> dict[str, Any]:
    """Times of one case, in this process."""
    ns.retain_memory()
    given = problem(named(case), nbytes, dtype)
    x = given.x
    dy = random(x.shape, x.dtype, seed=4)
    backward, forward = given.backward(dy, np.zeros_like(x)), given.forward(np.zeros_like(x))
    calls = copies(x, np.zeros_like(x)) | reads(x)
    calls |= {ALONE: backward, BOTH: lambda: (forward(), backward())}
    if x.dtype == np.float32:
        torch = torch_forward_backward(given.case, x, given.learned, dy)
        calls |= {"torch": torch} if torch is not None else {}
    return {
        "case": case, "bytes": x.nbytes, "dtype": dtype,
        "traffic": given.case.traffic(x.shape, x.itemsize, machine.cache_of_a_core()),
        "times": in_turn(calls, seconds),
    }  # fmt: skip


def over_floor(result: dict[str, Any]) -> float:
    """The backward pass as a multiple of its floor."""
    return float(result["times"][ALONE].seconds / floors(result, "backward"))


def line(result: dict[str, Any]) -> str:
    """What is printed of a case."""
    times = result["times"]
    torch = ""
    if "torch" in times:
        ratio = times["torch"].seconds / times[BOTH].seconds
        torch = f"torch, forward and backward {ratio:.2f} x ours  "
    noise = max(time.noise for time in times.values())
    return (
        f"{result['case']:26} {size_name(result['bytes']):>9} {result['dtype']}  "
        f"backward {over_floor(result):.2f} x floor  {torch}noise {noise:.0%}"
    )


def main() -> int:
    parser = options.parser(__doc__, seconds=0.7)
    parser.add_argument("--sizes", nargs="+", type=size, default=[49 << 20])
    arguments = parser.parse_args()
    print(machine.description())
    results = []
    for nbytes in arguments.sizes:
        for case in chosen(arguments.cases):
            if case.fused:  # the gradient of the activation is the caller's
                continue
            job = {"nbytes": nbytes, "dtype": arguments.dtype, "seconds": arguments.seconds}
            results.append(with_times(processes.measured("backward", case=case.name, **job)))
            print(line(results[-1]), flush=True)
    processes.keep("backward", results)
    wanted = [
        Demand(f"{r['case']}, backward: times its floor", FLOORS, over_floor(r)) for r in results
    ]
    return report(wanted, arguments.check)


if __name__ == "__main__":
    raise SystemExit(main())
