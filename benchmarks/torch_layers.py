"""Time the PyTorch layer `Norm` beside PyTorch's own layers, from 1 KiB to 512 MiB.

    python -m benchmarks.torch_layers                     # float32: six minutes on 2 cores
    python -m benchmarks.torch_layers --dtypes float64 float16 bfloat16
    python -m benchmarks.torch_layers --cases GroupNorm --sizes 64KiB 49MiB
    python -m benchmarks.torch_layers --readme            # then print the table of docs/torch.md

Both layers are called as a program calls them, in one process and in turn: forward without
gradients, and forward with the gradients of input, scale and bias. First as installed; then again
with memory that the C library keeps (`normscope.retain_memory`), which PyTorch gains most of. Every
figure is how many times as long PyTorch takes.
"""

from __future__ import annotations

from typing import Any

import normscope as ns
from benchmarks import machine, options, processes
from benchmarks.demands import Demand, report
from benchmarks.problem import dtype_of, size, size_name
from benchmarks.timing import Call, Time, in_turn, shown
from benchmarks.torch_kinds import Kind, chosen, named

SIZES = ("1KiB", "8KiB", "64KiB", "512KiB", "4MiB", "16MiB", "49MiB", "512MiB")
PAGE_SIZE = size("49MiB")
PASSES = FORWARD, BOTH = ("forward", "forward+backward")
MEMORIES = INSTALLED, RETAINED = ("as installed", "retained")
OURS, TORCH = "Norm", "torch"

LARGE = size("16MiB")
NEVER_SLOWER, TIMES_RETAINED = 0.95, 1.0
TIMES_INSTALLED = {FORWARD: 3.0, BOTH: 2.5}
HEAD = (
    "| layer | forward | forward and backward | forward, retained memory "
    "| forward and backward, retained memory |"
)


def measure(kind: str, sizes: list[int], dtype: str, seconds: float) -> dict[str, Any]:
    """Times of one kind in this process, by memory, size, and `PASS, who`."""

    def at_all_sizes() -> dict[int, dict[str, Time]]:
        return {
            nbytes: in_turn(calls(named(kind), nbytes, dtype), seconds, rounds_of(nbytes))
            for nbytes in sizes
        }

    found = {INSTALLED: at_all_sizes()}
    if ns.retain_memory():
        found[RETAINED] = at_all_sizes()
    return {"kind": kind, "dtype": dtype, "times": found}


def rounds_of(nbytes: int) -> int:
    """How many rounds there are at least; large arrays take so long that three must do."""
    return 3 if nbytes >= 128 << 20 else 9


def calls(kind: Kind, nbytes: int, dtype: str) -> dict[str, Call]:
    """Both passes of both layers, on the same tensors."""
    import torch

    kinds = getattr(torch, dtype)
    shape = kind.shape(nbytes, dtype_of(dtype).itemsize)
    x, dy = kind.tensor(shape, kinds, 0).requires_grad_(), kind.tensor(shape, kinds, 1)
    found: dict[str, Call] = {}
    for who, make in ((OURS, kind.ours), (TORCH, kind.torchs)):
        layer = make(shape[1], kinds)
        found[f"{FORWARD}, {who}"] = forward(layer, x)
        found[f"{BOTH}, {who}"] = forward_and_backward(layer, x, dy)
    return found


def forward(layer: Any, x: Any) -> Call:
    """The output alone."""
    import torch

    def call() -> object:
        with torch.no_grad():
            return layer(x)

    return call


def forward_and_backward(layer: Any, x: Any, dy: Any) -> Call:
    """The gradients of input and parameters."""
    import torch

    wanted = (x, *layer.parameters())
    return lambda: torch.autograd.grad(layer(x), wanted, dy)


def ratios(result: dict[str, Any], memory: str, name: str) -> dict[int, float]:
    """How many times as long PyTorch takes, by size."""
    return {
        int(nbytes): Time(**times[f"{name}, {TORCH}"]).seconds
        / Time(**times[f"{name}, {OURS}"]).seconds
        for nbytes, times in result["times"].get(memory, {}).items()
    }


def table(result: dict[str, Any], sizes: list[int]) -> str:
    """The lines of one kind: our time, and that of PyTorch as a multiple of it."""
    head = f"{result['kind']}, {result['dtype']}"
    lines = [f"{head:44}" + "".join(f"{size_name(nbytes):>10}" for nbytes in sizes)]
    for memory, by_size in result["times"].items():
        for name in PASSES:
            own = (shown(by_size[str(nbytes)][f"{name}, {OURS}"]["seconds"]) for nbytes in sizes)
            found = ratios(result, memory, name)
            lines.append(f"  {f'{name}, {memory}: Norm':42}" + "".join(f"{s:>10}" for s in own))
            lines.append(
                f"  {'torch / Norm':42}" + "".join(f"{found[nbytes]:10.2f}" for nbytes in sizes)
            )
        noise = (max(time["noise"] for time in by_size[str(nbytes)].values()) for nbytes in sizes)
        lines.append(f"  {'noise':42}" + "".join(f"{share:10.0%}" for share in noise))
    return "\n".join(lines)


def row(result: dict[str, Any], nbytes: int) -> str:
    """The row of the page."""
    found = [ratios(result, memory, name).get(nbytes) for memory in MEMORIES for name in PASSES]
    cells = ("" if ratio is None else f"{ratio:.2f}" for ratio in found)
    return f"| {' | '.join((result['kind'], *cells))} |"


def page_table(results: list[dict[str, Any]], nbytes: int) -> str:
    """The table of docs/torch.md."""
    rows = [row(result, nbytes) for result in results if result["dtype"] == "float32"]
    return "\n".join((HEAD, "|" + " --- |" * 5, *rows))


def demands(result: dict[str, Any]) -> list[Demand]:
    """What issue 17 asks of one kind, each of the size at which it is furthest from it."""
    where = f"{result['kind']}, {result['dtype']}"
    found = []
    for memory in result["times"]:
        for name in PASSES:
            every = ratios(result, memory, name)
            large = {nbytes: ratio for nbytes, ratio in every.items() if nbytes >= LARGE}
            found.append(_least(f"{where}: {name}, {memory}", every, NEVER_SLOWER))
            if large and named(result["kind"]).faster and result["dtype"] == "float32":
                limit = TIMES_INSTALLED[name] if memory == INSTALLED else TIMES_RETAINED
                found.append(_least(f"{where}: {name}, {memory}", large, limit))
    return found


def _least(what: str, by_size: dict[int, float], limit: float) -> Demand:
    nbytes = min(by_size, key=lambda size: by_size[size])
    return Demand(f"{what}, {size_name(nbytes)}", limit, by_size[nbytes], at_least=True)


def main() -> int:
    parser = options.parser(__doc__, seconds=0.5, dtypes=2)
    parser.add_argument("--sizes", nargs="+", type=size, default=[size(text) for text in SIZES])
    parser.add_argument("--readme", action="store_true", help="print the table of docs/torch.md")
    arguments = parser.parse_args()
    print(machine.description())
    results = []
    for dtype in arguments.dtypes:
        for kind in chosen(arguments.cases):
            job = {"sizes": arguments.sizes, "dtype": dtype, "seconds": arguments.seconds}
            results.append(processes.measured("torch_layers", kind=kind.name, **job))
            print(table(results[-1], arguments.sizes), flush=True)
    processes.keep("torch_layers", results)
    if arguments.readme:
        print(f"\n{page_table(results, PAGE_SIZE)}")
    return report([d for result in results for d in demands(result)], arguments.check)


if __name__ == "__main__":
    raise SystemExit(main())
