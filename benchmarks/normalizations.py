"""Time `normalize` and its peers side by side; print ratios, write JSON and a plot.

    python benchmarks/normalizations.py                     # every case, 16 MiB, float32
    python benchmarks/normalizations.py --cases RMS --sizes 4KiB 1MiB 512MiB --dtypes float16
    python benchmarks/normalizations.py --backward

Every process times a plain copy of the same array in turn with the candidates: on all threads of
`normscope`, as the candidates use them. The floor is that copy, plus one pass of reading where a
statistics set does not fit in cache. Peers run twice, in processes of their own: as installed, and
with an allocator that keeps its memory (`normscope.retain_memory`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from cases import CASES, Case
from timing import in_turn

import normscope as ns
from normscope import threads
from normscope.backward import gradients
from normscope.memory import retain_memory

UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def size(text: str) -> int:
    """`16MiB` in bytes."""
    for unit, factor in UNITS.items():
        if text.endswith(unit):
            return int(text.removesuffix(unit)) * factor
    return int(text)


def dtype_of(name: str) -> np.dtype[Any]:
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def problem(case: Case, nbytes: int, dtype: np.dtype[Any]) -> tuple[Any, np.ndarray, dict]:
    """The spec, the input, and the parameters (with the residual of a fused case)."""
    rng = np.random.default_rng(0)
    shape = case.shape(nbytes, dtype.itemsize)
    stated = ns.spec(
        case.pattern, scale=case.along, bias=case.along if case.bias else None, **case.fields
    )
    layout = stated.layout(shape)
    wide = dtype if dtype == np.float64 else np.dtype(np.float32)
    learned = {}
    if case.along:
        sizes = [layout.known_sizes[i] for i in layout.named(case.along)]
        learned["scale"] = rng.normal(1, 0.1, sizes).astype(wide)
        if case.bias:
            learned["bias"] = rng.normal(0, 0.1, sizes).astype(wide)
    if case.fused:
        learned["residual"] = rng.normal(size=shape).astype(dtype)
    return stated, rng.normal(1, 2, shape).astype(dtype), learned


def copier(x: np.ndarray, out: np.ndarray) -> Any:
    """A plain copy, in as many parts as there are threads."""
    parts = threads.num_threads() if x.nbytes > 1 << 20 else 1
    pairs = list(
        zip(np.array_split(x.ravel(), parts), np.array_split(out.ravel(), parts), strict=True)
    )

    def job(left: list[Any]) -> None:
        while True:
            try:
                source, target = left.pop()
            except IndexError:
                return
            np.copyto(target, source)

    return lambda: threads.run(partial(job, list(pairs)), parts)


def reader(x: np.ndarray) -> Any:
    """A plain pass of reading: the maximum of the bits, which NumPy vectorizes."""
    parts = threads.num_threads() if x.nbytes > 1 << 20 else 1
    whole = x.ravel().view(np.uint8)
    words = whole[: whole.size // 8 * 8].view(np.int64)
    pieces = np.array_split(words, parts)

    def job(left: list[Any]) -> None:
        while True:
            try:
                piece = left.pop()
            except IndexError:
                return
            np.bitwise_or.reduce(piece)

    return lambda: threads.run(partial(job, list(pieces)), parts)


def measure(
    case: Case, nbytes: int, dtype: str, peers: list[str], backward: bool
) -> dict[str, Any]:
    """Times of one case, in this process."""
    from peers import PEERS, torch_forward_backward

    stated, x, learned = problem(case, nbytes, dtype_of(dtype))
    out = np.zeros_like(x)
    slope = {"negative_slope": 0.1} if case.fused else {}
    calls: dict[str, Any] = {"copy": copier(x, out), "read": reader(x)}
    if backward:
        stats = ns.normalize(x, stated, return_stats=True, **learned)[1]
        scale = learned.get("scale")

        def both() -> object:
            ns.normalize(x, stated, out=out, return_stats=True, **learned)
            return gradients(x, x, stated, mean=stats.mean, rstd=stats.rstd, scale=scale, out=out2)

        out2 = np.zeros_like(x)
        calls["normscope backward, out="] = lambda: gradients(
            x, x, stated, mean=stats.mean, rstd=stats.rstd, scale=scale, out=out2
        )
        calls["normscope forward + backward, out="] = both
        if "torch" in peers and dtype == "float32":
            calls["torch"] = torch_forward_backward(case, x, learned)
    else:
        calls["normscope, out="] = lambda: ns.normalize(x, stated, out=out, **learned, **slope)
        calls["normscope"] = lambda: ns.normalize(x, stated, **learned, **slope)
        for name in peers if dtype == "float32" else []:
            call = PEERS[name](case, x, learned)
            if call is not None:
                calls[name] = call
    times = in_turn({name: call for name, call in calls.items() if call})
    return {
        "case": case.name, "shape": x.shape, "bytes": x.nbytes, "dtype": dtype,
        "passes": case.passes, "times": {n: vars(t) for n, t in times.items()},
    }  # fmt: skip


def in_processes(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All cases, once per allocator, each in a process of its own."""
    results = []
    for retained in (False, True):
        for case in CASES:
            if arguments.cases and not any(text in case.name for text in arguments.cases):
                continue
            for nbytes in arguments.sizes:
                for dtype in arguments.dtypes:
                    job = [case.name, nbytes, dtype, arguments.peers, arguments.backward, retained]
                    run = subprocess.run(
                        [sys.executable, __file__, "--job", json.dumps(job)],
                        capture_output=True, text=True, env=os.environ,
                    )  # fmt: skip
                    if run.returncode:
                        print(
                            f"{case.name}: {run.stderr.strip().splitlines()[-1]}", file=sys.stderr
                        )
                        continue
                    result = json.loads(run.stdout.splitlines()[-1])
                    results.append({**result, "retained": retained})
                    print(line(results[-1]), flush=True)
    return results


def floor(result: dict[str, Any]) -> float:
    """Seconds of the least traffic that the operation needs."""
    times = result["times"]
    extra = (result["passes"] - 1) * times["read"]["seconds"]
    return float(times["copy"]["seconds"] + extra)


def line(result: dict[str, Any]) -> str:
    """One row of the table: each time as a multiple of the floor."""
    least = floor(result)
    ratios = "  ".join(
        f"{name} {time['seconds'] / least:.2f}"
        for name, time in result["times"].items()
        if name not in ("copy", "read")
    )
    noise = max(time["noise"] for time in result["times"].values())
    allocator = "retained" if result["retained"] else "ordinary"
    return (
        f"{result['case']:26} {result['bytes'] / 2**20:8.3f} MiB {result['dtype']:8} {allocator}  "
        f"floor {least * 1e3:8.3f} ms  {ratios}  noise {noise:.0%}"
    )


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Time against bytes, log-log, with the line of a copy."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 6))
    ordinary = [r for r in results if not r["retained"]]
    for name in sorted({r["case"] for r in ordinary}):
        points = sorted(
            (r["bytes"], next(t["seconds"] for n, t in r["times"].items() if "normscope" in n))
            for r in ordinary
            if r["case"] == name
        )
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    copies = sorted((r["bytes"], r["times"]["copy"]["seconds"]) for r in ordinary)
    axes.plot(*zip(*copies, strict=True), "k--", label="copy")
    axes.set(xscale="log", yscale="log", xlabel="bytes of the array", ylabel="seconds")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="*", help="parts of names; all without it")
    parser.add_argument("--sizes", nargs="*", type=size, default=[16 << 20])
    parser.add_argument("--dtypes", nargs="*", default=["float32"])
    parser.add_argument("--peers", nargs="*", default=["numpy", "torch", "jax", "scikit-learn"])
    parser.add_argument("--backward", action="store_true")
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks"))
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        name, nbytes, dtype, peers, backward, retained = json.loads(arguments.job)
        if retained:
            retain_memory()
        case = next(case for case in CASES if case.name == name)
        print(json.dumps(measure(case, nbytes, dtype, peers, backward)))
        return
    results = in_processes(arguments)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "normalizations.json").write_text(json.dumps(results, indent=1))
    plot(results, arguments.output / "normalizations.png")
    ours = [
        r["times"]["normscope, out="]["seconds"] / floor(r)
        for r in results
        if "normscope, out=" in r["times"]
    ]
    if ours:
        print(f"median over all: {statistics.median(ours):.2f} x floor, with out=")


if __name__ == "__main__":
    main()
