"""Time `normalize` and its peers side by side; print ratios, write JSON and a plot.

    python benchmarks/normalizations.py                     # every case and peer, 49 MiB, float32
    python benchmarks/normalizations.py --quick             # some minutes; ends with a table
    python benchmarks/normalizations.py --cases RMS --sizes 4KiB 1MiB 512MiB --dtypes float16
    python benchmarks/normalizations.py --backward

Every process times a plain copy of the same array in turn with the candidates: on all threads of
`normscope`, as the candidates use them. The floor is that copy, plus one pass of reading for each
further array, and for each one again where a statistics set does not fit in cache. Peers run twice,
in processes of their own: as installed, and with an allocator that keeps its memory
(`normscope.retain_memory`); Keras once more for each further backend. glibc keeps blocks of up to
32 MiB by itself once one was freed, so smaller arrays show little of that difference.

Only a quiet machine gives fair numbers: where another process takes a core, torch, whose threads
wait for each other, has been seen to take 40 times as long.
"""

from __future__ import annotations

import argparse
import itertools
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
from timing import cache_of_a_core, in_turn

import normscope as ns
from normscope.engine import threads
from normscope.engine.allocator import retain_memory
from normscope.engine.gradients import gradients

OURS, OUT = "normscope", "normscope, out="
BACKWARD, BOTH = "normscope backward, out=", "normscope forward + backward, out="
PEERS = ["numpy", "torch", "torch.compile", "jax", "keras", "scikit-learn"]
BACKENDS = ["jax", "torch", "tensorflow"]
SLOW_TO_START = {"torch.compile"}

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
    stated = case.spec()
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
    case: Case, nbytes: int, dtype: str, peers: list[str], backward: bool, seconds: float
) -> dict[str, Any]:
    """Times of one case, in this process."""
    stated, x, learned = problem(case, nbytes, dtype_of(dtype))
    calls: dict[str, Any] = {"copy": copier(x, np.zeros_like(x)), "read": reader(x)}
    if backward:
        calls |= backward_calls(case, stated, x, learned, peers)
    else:
        calls |= forward_calls(case, stated, x, learned, peers)
    times = in_turn({name: call for name, call in calls.items() if call}, seconds)
    return {
        "case": case.name, "shape": x.shape, "bytes": x.nbytes, "dtype": dtype,
        "reads": case.traffic(x.shape, x.itemsize, cache_of_a_core()),
        "times": {n: vars(t) for n, t in times.items()},
    }  # fmt: skip


def forward_calls(
    case: Case, stated: ns.NormSpec, x: np.ndarray, learned: dict, peers: list[str]
) -> dict[str, Any]:
    from peers import MAKERS, keras_name

    out = np.zeros_like(x)
    slope = {"negative_slope": 0.1} if case.fused else {}
    calls: dict[str, Any] = {
        OUT: lambda: ns.normalize(x, stated, out=out, **learned, **slope),
        OURS: lambda: ns.normalize(x, stated, **learned, **slope),
    }
    if x.dtype == np.float32:  # not every peer has the others
        for name in peers:
            calls[keras_name() if name == "keras" else name] = MAKERS[name](case, x, learned)
    return calls


def backward_calls(
    case: Case, stated: ns.NormSpec, x: np.ndarray, learned: dict, peers: list[str]
) -> dict[str, Any]:
    from peers import torch_forward_backward

    dy = np.random.default_rng(1).normal(size=x.shape).astype(x.dtype)
    y, dx = np.zeros_like(x), np.zeros_like(x)
    _, stats = ns.normalize(x, stated, return_stats=True, **learned)

    def backward() -> object:
        return gradients(
            dy, x, stated, mean=stats.mean, rstd=stats.rstd, scale=learned.get("scale"), out=dx
        )

    def both() -> object:
        ns.normalize(x, stated, out=y, return_stats=True, **learned)
        return backward()

    calls: dict[str, Any] = {BACKWARD: backward, BOTH: both}
    if "torch" in peers and x.dtype == np.float32:
        calls["torch"] = torch_forward_backward(case, x, learned, dy)
    return calls


def in_processes(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All cases, once per allocator, each in a process of its own."""
    chosen = [
        case.name
        for case in CASES
        if not arguments.cases or any(text in case.name for text in arguments.cases)
        # the gradient of the activation is the caller's
        if not (arguments.backward and case.fused)
    ]
    peers = [(arguments.peers, arguments.backends[0])]
    if "keras" in arguments.peers and not arguments.backward:
        peers += [(["keras"], backend) for backend in arguments.backends[1:]]
    results = []
    for retained, name, nbytes, dtype, (some, backend) in itertools.product(
        (False, True), chosen, arguments.sizes, arguments.dtypes, peers
    ):
        if some == ["keras"] and name == "add, batch NCHW, LeakyReLU":
            continue  # no single layer
        job = [name, nbytes, dtype, some, arguments.backward, arguments.seconds, retained]
        run = subprocess.run(
            [sys.executable, __file__, "--job", json.dumps(job)],
            capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": backend},
        )  # fmt: skip
        if run.returncode:
            print(f"{name}: {run.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            continue
        results.append({**json.loads(run.stdout.splitlines()[-1]), "retained": retained})
        print(line(results[-1]), flush=True)
    return results


def floor(result: dict[str, Any], name: str = OUT) -> float:
    """Seconds of the least traffic that the call needs."""
    copy, read = (result["times"][n]["seconds"] for n in ("copy", "read"))
    ways = ["forward"]
    if BOTH in result["times"]:
        ways = ["backward"] if name == BACKWARD else ["forward", "backward"]
    return float(sum(copy + result["reads"][way] * read for way in ways))


def line(result: dict[str, Any]) -> str:
    """One row of the table: each time as a multiple of its floor."""
    times = result["times"]
    ratios = "  ".join(
        f"{name} {time['seconds'] / floor(result, name):.2f}"
        for name, time in times.items()
        if name not in ("copy", "read")
    )
    noise = max(time["noise"] for time in times.values())
    allocator = "retained" if result["retained"] else "ordinary"
    return (
        f"{result['case']:26} {result['bytes'] / 2**20:8.3f} MiB {result['dtype']:8} {allocator}  "
        f"copy {times['copy']['seconds'] * 1e3:8.3f} ms, read {times['read']['seconds'] * 1e3:.3f}"
        f"  x floor: {ratios}  noise {noise:.0%}"
    )


def table(results: list[dict[str, Any]]) -> str:
    """The comparison as Markdown.

    Multiples of a copy and of the floor are the worst of all processes: threads of a peer that go
    on spinning after its call slow the copy down, and would flatter us.
    """
    lines = [
        "| normalization | × a copy, `out=` | × floor, `out=` | fastest peer as installed, × ours "
        "| torch with retained memory, × ours | noise |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in dict.fromkeys(r["case"] for r in results):
        of = [r for r in results if r["case"] == name and OUT in r["times"]]
        ordinary = [r for r in of if not r["retained"]]
        peers = {
            peer: time["seconds"] / r["times"][OURS]["seconds"]
            for r in ordinary
            for peer, time in r["times"].items()
            if peer not in ("copy", "read", OURS, OUT)
        }
        retained = [
            r["times"]["torch"]["seconds"] / r["times"][OURS]["seconds"]
            for r in of
            if r["retained"] and "torch" in r["times"]
        ]
        best = min(peers, key=lambda peer: peers[peer], default=None)
        copies, floors = (
            max(r["times"][OUT]["seconds"] / part(r) for r in of)
            for part in (lambda r: r["times"]["copy"]["seconds"], floor)
        )
        noise = max(time["noise"] for r in of for time in r["times"].values())
        cells = [
            name,
            f"{copies:.2f}",
            f"{floors:.2f}",
            f"{peers[best]:.1f} ({best})" if best else "",
            f"{retained[-1]:.2f}" if retained else "",
            f"{noise:.0%}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


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
    parser.add_argument("--sizes", nargs="*", type=size, default=[49 << 20])
    parser.add_argument("--dtypes", nargs="*", default=["float32"])
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS)
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, help="of Keras; all without it")
    parser.add_argument("--backward", action="store_true")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each case")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="half a second each, Keras on JAX alone, no torch.compile; print a table in Markdown",
    )
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks"))
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        name, nbytes, dtype, peers, backward, seconds, retained = json.loads(arguments.job)
        if retained:
            retain_memory()
        case = next(case for case in CASES if case.name == name)
        print(json.dumps(measure(case, nbytes, dtype, peers, backward, seconds)))
        return
    if arguments.quick:
        arguments.seconds = min(arguments.seconds, 0.5)
        arguments.peers = [peer for peer in arguments.peers if peer not in SLOW_TO_START]
    arguments.backends = arguments.backends or (BACKENDS[:1] if arguments.quick else BACKENDS)
    results = in_processes(arguments)
    arguments.output.mkdir(parents=True, exist_ok=True)
    name = "backward" if arguments.backward else "normalizations"
    (arguments.output / f"{name}.json").write_text(json.dumps(results, indent=1))
    plot(results, arguments.output / f"{name}.png")
    for way in (OUT, BACKWARD, BOTH):
        ours = [r["times"][way]["seconds"] / floor(r, way) for r in results if way in r["times"]]
        if ours:
            print(f"median over all: {statistics.median(ours):.2f} x floor, {way}")
    if not arguments.backward:
        print(table(results))


if __name__ == "__main__":
    main()
