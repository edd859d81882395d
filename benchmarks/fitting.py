"""Time `fit` against scikit-learn's StandardScaler: the statistics of all columns of a table.

    python -m benchmarks.fitting --sizes 1MiB 64MiB

Each takes the whole table at once, and in batches (`partial_fit`). Both run in turn in one process.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler

import normscope as ns
from benchmarks import machine
from benchmarks.problem import size
from benchmarks.timing import in_turn

BATCH_ROWS = 8192


def in_batches(x: np.ndarray) -> StandardScaler:
    scaler = StandardScaler()
    for start in range(0, len(x), BATCH_ROWS):
        scaler.partial_fit(x[start : start + BATCH_ROWS])
    return scaler


def batches(x: np.ndarray) -> Any:
    return (x[start : start + BATCH_ROWS] for start in range(0, len(x), BATCH_ROWS))


def compare(nbytes: int, columns: int, dtype: str, seconds: float) -> None:
    """Print both times, and how far the results lie apart."""
    rows = max(2, nbytes // columns // np.dtype(dtype).itemsize)
    x = np.random.default_rng(0).normal(1000, 2, (rows, columns)).astype(dtype)
    calls = {
        "fit": lambda: ns.fit("[b] c", x, progress=False),
        "StandardScaler": lambda: StandardScaler().fit(x),
        "fit, batches": lambda: ns.fit("[b] c", batches(x), progress=False),
        "StandardScaler, batches": lambda: in_batches(x),
    }
    times = in_turn(calls, seconds)
    found, other = ns.fit("[b] c", x), StandardScaler().fit(x.astype(np.float64))
    apart = max(
        np.abs(found.mean / other.mean_ - 1).max(), np.abs(found.var / other.var_ - 1).max()
    )
    shown = "  ".join(f"{name} {time.seconds * 1e3:.3f} ms" for name, time in times.items())
    ratios = [
        times["StandardScaler" + end].seconds / times["fit" + end].seconds
        for end in ("", ", batches")
    ]
    noise = max(time.noise for time in times.values())
    print(
        f"{x.nbytes / 2**20:8.2f} MiB, {columns:5} columns, {dtype}:  {shown}  "
        f"times faster {ratios[0]:.2f}, {ratios[1]:.2f}  relative difference {apart:.0e}  "
        f"noise {noise:.0%}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="*", type=size, default=[1 << 20, 64 << 20])
    parser.add_argument("--columns", nargs="*", type=int, default=[4, 1024])
    parser.add_argument("--dtypes", nargs="*", default=["float32"])
    parser.add_argument("--seconds", type=float, default=1.0)
    arguments = parser.parse_args()
    print(machine.description())
    for dtype in arguments.dtypes:
        for nbytes in arguments.sizes:
            for columns in arguments.columns:
                compare(nbytes, columns, dtype, arguments.seconds)


if __name__ == "__main__":
    main()
