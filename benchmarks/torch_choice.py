"""From which sizes on kernels are quicker than PyTorch's operators: what `choice.py` states.

    python -m benchmarks.torch_choice                     # all dtypes: ten minutes on 2 cores
    python -m benchmarks.torch_choice --dtypes float32 --cases GroupNorm

A `Norm` that is made to take kernels at any size is timed beside PyTorch's layer, forward without
gradients, and forward with those of input and parameters, with memory that the C library keeps.
Printed is how many times as fast it is, and the size from which on it is so at every larger one.
"""

from __future__ import annotations

from typing import Any

import normscope as ns
from benchmarks import machine, options, processes
from benchmarks.problem import size, size_name
from benchmarks.timing import Time, in_turn
from benchmarks.torch_kinds import chosen, named
from benchmarks.torch_layers import OURS, PASSES, TORCH, calls

SIZES = ("16KiB", "64KiB", "128KiB", "256KiB", "512KiB", "1MiB", "2MiB", "4MiB", "8MiB", "16MiB",
         "32MiB", "64MiB")  # fmt: skip
CLEARLY = 1.03
"""So many times as fast is quicker, on other machines too."""


def measure(kind: str, sizes: list[int], dtype: str, seconds: float) -> dict[str, Any]:
    """How many times as fast kernels are, by pass and size."""
    from normscope.layers.torch import choice

    choice._FROM.clear()  # what is not listed there is never taken, so every size is
    choice._NEVER = choice.Least(0, 0)
    ns.retain_memory()
    found: dict[str, dict[int, float]] = {name: {} for name in PASSES}
    for nbytes in sizes:
        times: dict[str, Time] = in_turn(calls(named(kind), nbytes, dtype), seconds)
        for name in PASSES:
            seconds_of = {who: times[f"{name}, {who}"].seconds for who in (OURS, TORCH)}
            found[name][nbytes] = seconds_of[TORCH] / seconds_of[OURS]
    return {"kind": kind, "dtype": dtype, "ratios": found}


def least(ratios: dict[str, float]) -> str:
    """The size from which on all are clearly quicker."""
    found = None
    for nbytes, ratio in sorted(((int(key), value) for key, value in ratios.items()), reverse=True):
        if ratio < CLEARLY:
            break
        found = nbytes
    return "never" if found is None else f"from {size_name(found)}"


def lines(result: dict[str, Any]) -> str:
    """What is printed of a kind."""
    found = []
    for name, ratios in result["ratios"].items():
        cells = "".join(f"{ratio:8.2f}" for ratio in ratios.values())
        what = f"{result['kind']}, {result['dtype']}, {name}"
        found.append(f"{what:56}{cells}  {least(ratios)}")
    return "\n".join(found)


def main() -> int:
    parser = options.parser(__doc__, seconds=0.3, dtypes=2)
    parser.set_defaults(dtypes=["float32", "float64", "bfloat16"])
    parser.add_argument("--sizes", nargs="+", type=size, default=[size(text) for text in SIZES])
    arguments = parser.parse_args()
    print(machine.description())
    print(" " * 56 + "".join(f"{size_name(nbytes):>8}" for nbytes in arguments.sizes))
    for dtype in arguments.dtypes:
        for kind in chosen(arguments.cases):
            if not kind.training:  # statistics are only applied, in one way
                continue
            job = {"sizes": arguments.sizes, "dtype": dtype, "seconds": arguments.seconds}
            print(lines(processes.measured("torch_choice", kind=kind.name, **job)), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
