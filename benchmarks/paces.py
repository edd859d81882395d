"""Time calls that do not follow each other in a tight loop, as those of a program seldom do.

    python -m benchmarks.paces
    python -m benchmarks.paces --after-torch            # right after an operator of PyTorch
    python -m benchmarks.paces --apart 5 20 50 200      # so many milliseconds after the last call

Right after an operator of PyTorch its threads are still awake and wait for the next one, on the
cores that ours need. After a pause threads sleep, and must wake in time and on another core than
the caller's. PyTorch's own operator is timed at the same paces for comparison, and a plain copy by
one thread, which waits for nobody: what that loses is lost by caches and clocks that rested.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np

import normscope as ns
from benchmarks import machine, options, processes
from benchmarks.cases import chosen, named
from benchmarks.demands import Demand, report
from benchmarks.large import OUT, peer_calls
from benchmarks.problem import problem, size, size_name
from benchmarks.timing import Call, Candidate, Time, in_turn, shown

CASES = ("batch NCHW", "layer, last axis of 784", "instance NCHW", "instance NHWC")
TIGHT, AFTER_TORCH = "tight loop", "after torch"
COPY = "plain copy"
AFTER_LIMIT, APART_LIMIT = 1.1, 1.15
APART = (5, 20, 50, 200)
ELEMENTS = 1 << 15
"""Of the operator before, for each core: PyTorch gives so many to a thread, and caches keep what is
timed beside them."""


def torch_operator() -> Call:
    """A call of an operator of PyTorch that uses all of its threads."""
    import torch

    x = torch.ones(ELEMENTS * machine.cores())
    return lambda: torch.relu_(x)


def measure(
    case: str, nbytes: int, dtype: str, after_torch: bool, apart: list[int], seconds: float
) -> dict[str, Any]:
    """Times by `who: pace`, in this process."""
    ns.retain_memory()
    given = problem(named(case), nbytes, dtype)
    paces: dict[str, Call | None] = {TIGHT: None}
    operator = torch_operator()  # loads PyTorch: normscope may use its threads then, at any pace
    if after_torch:
        paces[AFTER_TORCH] = operator
    paces |= {f"{ms} ms apart": partial(time.sleep, ms / 1000) for ms in apart}
    calls = {OUT: given.forward(np.zeros_like(given.x))} | peer_calls(given, ["torch"])
    calls[COPY] = partial(np.copyto, np.zeros_like(given.x), given.x)
    candidates = {
        f"{who}: {pace}": Candidate(call, before)
        for who, call in calls.items()
        for pace, before in paces.items()
    }
    times = in_turn(candidates, seconds, rounds=9)
    return {"case": case, "bytes": given.x.nbytes, "times": times}


def by_pace(result: dict[str, Any], who: str) -> dict[str, Time]:
    """The times of one, by pace."""
    split = ((name.split(": "), time) for name, time in result["times"].items())
    return {pace: Time(**time) for (name, pace), time in split if name == who}


def line(result: dict[str, Any], who: str) -> str:
    """The tight loop, and the other paces as multiples of it."""
    times = by_pace(result, who)
    tight = times.pop(TIGHT)
    ratios = "  ".join(f"{pace} {t.seconds / tight.seconds:.2f}" for pace, t in times.items())
    noise = max(time.noise for time in (tight, *times.values()))
    return (
        f"{result['case']:24} {size_name(result['bytes']):>9}  {who:15} "
        f"{TIGHT} {shown(tight.seconds):>8}  {ratios}  "
        f"noise {noise:.0%}"
    )


def demands(result: dict[str, Any]) -> list[Demand]:
    """What is demanded of each pace."""
    times = by_pace(result, OUT)
    tight = times.pop(TIGHT).seconds
    where = f"{result['case']}, {size_name(result['bytes'])}"
    return [
        Demand(
            f"{where}, {pace}: times the tight loop",
            AFTER_LIMIT if pace == AFTER_TORCH else APART_LIMIT,
            found.seconds / tight,
        )
        for pace, found in times.items()
    ]


def main() -> int:
    parser = options.parser(__doc__, seconds=2.0)
    parser.add_argument("--sizes", nargs="+", type=size, default=[size("1.5MiB"), size("49MiB")])
    parser.add_argument("--after-torch", action="store_true")
    parser.add_argument("--apart", nargs="*", type=int, metavar="MS", help="5 20 50 200 if bare")
    arguments = parser.parse_args()
    both = not arguments.after_torch and arguments.apart is None
    apart = list(arguments.apart or (APART if both or arguments.apart == [] else ()))
    cases = chosen(arguments.cases) if arguments.cases else [named(name) for name in CASES]
    print(machine.description())
    results = []
    for nbytes in arguments.sizes:
        for case in cases:
            results.append(
                processes.measured(
                    "paces", case=case.name, nbytes=nbytes, dtype=arguments.dtype, apart=apart,
                    after_torch=arguments.after_torch or both, seconds=arguments.seconds,
                )
            )  # fmt: skip
            for who in dict.fromkeys(name.split(": ")[0] for name in results[-1]["times"]):
                print(line(results[-1], who), flush=True)
    processes.keep("paces", results)
    return report([d for result in results for d in demands(result)], arguments.check)


if __name__ == "__main__":
    raise SystemExit(main())
