"""Time layer norm on 8 to 8192 rows of 768, as in a transformer, beside PyTorch's `layer_norm`.

    python -m benchmarks.rows

Forward and backward; in a tight loop, and right after another operator of PyTorch, whose threads
are then still awake. PyTorch has retained memory, and is called below autograd, which would add to
its time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import normscope as ns
from benchmarks import machine, options, processes
from benchmarks.demands import Demand, report
from benchmarks.paces import torch_operator
from benchmarks.peers import tensor
from benchmarks.problem import dtype_of, random
from benchmarks.timing import Call, Candidate, Time, in_turn, shown

ROWS = (8, 64, 512, 2048, 8192)
WIDTH = 768
EPS = 1e-5
TIMES_TORCH = 0.95
PASSES = ("forward", "backward")
PACES = ("tight loop", "after torch")


def measure(rows: int, dtype: str, seconds: float) -> dict[str, Any]:
    """Times by `PASS, PACE, who`, in this process."""
    ns.retain_memory()
    x = random((rows, WIDTH), dtype_of(dtype), seed=0)
    scale, bias = (random((WIDTH,), x.dtype, seed) for seed in (1, 2))
    dy = random(x.shape, x.dtype, seed=3)
    calls = {"normscope": ours(x, scale, bias, dy), "torch": torchs(x, scale, bias, dy)}
    before = dict(zip(PACES, (None, torch_operator()), strict=True))
    candidates = {
        f"{name}, {pace}, {who}": Candidate(calls[who][number], before[pace])
        for number, name in enumerate(PASSES)
        for pace in PACES
        for who in calls
    }
    return {"rows": rows, "times": in_turn(candidates, seconds, rounds=15)}


def ours(x: np.ndarray, scale: np.ndarray, bias: np.ndarray, dy: np.ndarray) -> tuple[Call, Call]:
    """Forward and backward."""
    spec = ns.spec("b [c]", scale="c", bias="c", eps=EPS)
    _, stats = ns.normalize(x, spec, scale=scale, bias=bias, return_stats=True)
    return (
        lambda: ns.normalize(x, spec, scale=scale, bias=bias),
        lambda: ns.gradients(dy, x, spec, mean=stats.mean, rstd=stats.rstd, scale=scale),
    )


def torchs(x: np.ndarray, scale: np.ndarray, bias: np.ndarray, dy: np.ndarray) -> tuple[Call, Call]:
    """Likewise; the operators that `torch.nn.functional.layer_norm` calls."""
    import torch

    a, weight, shift, gradient = map(tensor, (x, scale, bias, dy))
    operators = torch.ops.aten
    _, mean, rstd = operators.native_layer_norm(a, [WIDTH], weight, shift, EPS)
    kept = (gradient, a, [WIDTH], mean, rstd, weight, shift, [True] * 3)
    return (
        lambda: operators.native_layer_norm(a, [WIDTH], weight, shift, EPS),
        lambda: operators.native_layer_norm_backward(*kept),
    )


def by_pace(result: dict[str, Any]) -> dict[str, tuple[Time, Time]]:
    """Our time and that of PyTorch, by pass and pace."""
    times = {name: Time(**time) for name, time in result["times"].items()}
    names = [f"{name}, {pace}" for name in PASSES for pace in PACES]
    return {name: (times[f"{name}, normscope"], times[f"{name}, torch"]) for name in names}


def main() -> int:
    parser = options.parser(__doc__, seconds=2.0, cases=False)
    parser.add_argument("--rows", nargs="+", type=int, default=ROWS)
    arguments = parser.parse_args()
    print(machine.description())
    results, demands = [], []
    for rows in arguments.rows:
        job = {"rows": rows, "dtype": arguments.dtype, "seconds": arguments.seconds}
        results.append(processes.measured("rows", **job))
        for name, (own, torch) in by_pace(results[-1]).items():
            ratio = torch.seconds / own.seconds
            print(
                f"{rows:5} x {WIDTH}, {name:22} normscope {shown(own.seconds):>8}  "
                f"torch {shown(torch.seconds):>8}  torch / normscope {ratio:5.2f}  "
                f"noise {max(own.noise, torch.noise):.0%}",
                flush=True,
            )
            what = f"{rows} x {WIDTH}, {name}: times as fast as torch"
            demands.append(Demand(what, TIMES_TORCH, ratio, at_least=True))
    processes.keep("rows", results)
    return report(demands, arguments.check)


if __name__ == "__main__":
    raise SystemExit(main())
