"""What synchronized statistics cost: bytes and seconds against the number of processes.

    python -m benchmarks.synchronization                  # 2, 4, 8 processes here; model to 1,000
    python -m benchmarks.synchronization --sets 2048 --latency 5e-6 --bandwidth 25e9

A collective of n numbers over W processes in a ring, as gloo runs it, takes

    gathering   W - 1 messages of n numbers           each process sees the statistics of all
    summing     2 (W - 1) messages of n/W numbers     bytes do not grow with W

one after the other, each with the header of gloo, and so

    seconds = messages * latency + bytes / bandwidth

The forward pass sends 1 + 2 numbers per statistics set (count, mean, M2) in float64, the backward
pass 2 in the dtype of the statistics, here float32. The forward pass gathers up to `GATHERED_UP_TO`
processes and sums beyond; the backward pass sums.

Real processes check the bytes, which the kernel counts, and the seconds, for which latency and
bandwidth are fitted to two processes. More processes than cores wait for a core with each message,
which the model takes as a latency that grows with the processes per core. The table to 1,000
processes is arithmetic, for a network with one process per core; a backend with trees in place of
rings (NCCL) has about 2 log2(W) messages instead of 2 (W - 1).
"""

from __future__ import annotations

import math
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from benchmarks import machine, options, processes
from benchmarks.demands import Demand, report
from benchmarks.timing import shown
from normscope.layers.torch import synchronization

HEADER = 288
"""Bytes of gloo's own before and after the numbers of each message, as counted."""
DOUBLE, SINGLE = 8, 4
WORLDS = (2, 4, 8, 16, 64, 256, 1000)
SMALL, LARGE = 64, 32768
"""Sets with which latency and bandwidth are fitted."""
BYTES_OFF, TIMES_OFF = 0.05, 2.5


@dataclass(frozen=True)
class Cost:
    """Of one collective, for each process."""

    messages: int
    nbytes: int

    def seconds(self, latency: float, bandwidth: float) -> float:
        return self.messages * latency + self.nbytes / bandwidth


def gathering(numbers: int, world: int) -> Cost:
    messages = world - 1
    return Cost(messages, messages * (DOUBLE * numbers + HEADER))


def summing(numbers: int, world: int, itemsize: int = DOUBLE) -> Cost:
    messages = 2 * (world - 1)
    return Cost(messages, messages * (itemsize * math.ceil(numbers / world) + HEADER))


def forward(sets: int, world: int) -> Cost:
    few = world <= synchronization.GATHERED_UP_TO
    return (gathering if few else summing)(1 + 2 * sets, world)


def backward(sets: int, world: int) -> Cost:
    return summing(2 * sets, world, SINGLE)


# --- real processes -------------------------------------------------------------------------------


def measure(world: int, sets: list[int], rounds: int) -> list[dict[str, Any]]:
    """Bytes and seconds of the calls that the layer makes, in `world` processes of this machine."""
    context = multiprocessing.get_context("fork")
    told = context.SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        started = [
            context.Process(target=_one, args=(rank, world, f"{folder}/store", sets, rounds, told))
            for rank in range(world)
        ]
        for process in started:
            process.start()
        for process in started:
            process.join()
    if any(process.exitcode for process in started):
        raise RuntimeError(f"{world} processes: {[process.exitcode for process in started]}")
    found: list[dict[str, Any]] = told.get()
    return found


def _one(rank: int, world: int, store: str, sets: list[int], rounds: int, told: Any) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", rank=rank, world_size=world, store=distributed.FileStore(store, world)
    )
    found = []
    for number in sets:
        for way, call in _calls(number).items():
            nbytes, seconds = _measured(call, rounds)
            found.append(
                {"world": world, "sets": number, "way": way, "bytes": nbytes, "seconds": seconds}
            )
    if rank == 0:
        told.put(found)
    distributed.destroy_process_group()


def _calls(sets: int) -> dict[str, Callable[[], object]]:
    processes = synchronization.Processes()
    values = torch.ones(sets, requires_grad=True)
    own = synchronization.Joined(values.detach(), values, values, torch.tensor(4.0))
    joined = processes.join(own)
    total = joined.rest.sum() + joined.squares.sum()
    return {
        "forward": lambda: processes.join(own),
        "backward": lambda: total.backward(retain_graph=True),
    }


def _measured(call: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Bytes that this process wrote in one call, and its seconds (median)."""
    call()
    taken = []
    distributed.barrier()
    before = _written()
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return (_written() - before) / rounds, statistics.median(taken)


def _written() -> int:
    """Bytes that this process has given to the system, for sockets too, as Linux counts them."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


# --- model and measurement ------------------------------------------------------------------------


def fitted(found: list[dict[str, Any]]) -> tuple[float, float]:
    """Latency and bandwidth of two processes, from few and from many sets."""
    of = {row["sets"]: row["seconds"] for row in found if row["way"] == "forward"}
    small, large = forward(SMALL, 2), forward(LARGE, 2)
    bandwidth = (large.nbytes - small.nbytes) / max(of[LARGE] - of[SMALL], 1e-9)
    return max(of[SMALL] - small.nbytes / bandwidth, 1e-9) / small.messages, bandwidth


def modelled(row: dict[str, Any]) -> Cost:
    return {"forward": forward, "backward": backward}[row["way"]](row["sets"], row["world"])


def crowded(latency: float, world: int) -> float:
    """Every message waits until its receiver has a core."""
    return latency * max(1.0, world / machine.cores())


def compared(found: list[dict[str, Any]], latency: float, bandwidth: float) -> list[Demand]:
    """A line for each measurement, and the largest deviations as demands."""
    off, times = [], []
    print(
        f"\n{'processes':>9} {'sets':>6}  {'pass':9} {'bytes':>10} {'model':>10} {'time':>9} model"
    )
    for row in found:
        cost = modelled(row)
        expected = cost.seconds(crowded(latency, row["world"]), bandwidth)
        off.append(abs(row["bytes"] / cost.nbytes - 1))
        times.append(max(row["seconds"] / expected, expected / row["seconds"]))
        print(
            f"{row['world']:9} {row['sets']:6}  {row['way']:9} {row['bytes']:10.0f} "
            f"{cost.nbytes:10} {shown(row['seconds']):>9} {shown(expected)}"
        )
    return [
        Demand("bytes: off from the model, largest", BYTES_OFF, max(off)),
        Demand("seconds: factor off from the model, median", TIMES_OFF, statistics.median(times)),
    ]


def table(sets: int, latency: float, bandwidth: float) -> str:
    """What a process sends and how long it takes, to 1,000 processes."""
    lines = [
        f"\n{sets} sets, {shown(latency)} a message, {bandwidth / 1e9:.3g} GB/s",
        f"{'processes':>9} {'gathering':>22} {'summing':>22} {'forward':>22} {'backward':>22}",
    ]
    for world in WORLDS:
        costs = (
            gathering(1 + 2 * sets, world), summing(1 + 2 * sets, world),
            forward(sets, world), backward(sets, world),
        )  # fmt: skip
        cells = (
            f"{cost.nbytes / 1024:9.1f} KiB {shown(cost.seconds(latency, bandwidth)):>8}"
            for cost in costs
        )
        lines.append(f"{world:9} " + " ".join(f"{cell:>22}" for cell in cells))
    return "\n".join(lines)


def main() -> int:
    parser = options.parser(__doc__, seconds=1.0, cases=False)
    parser.add_argument("--processes", nargs="+", type=int, default=[2, 4, 8])
    parser.add_argument("--sets", nargs="+", type=int, default=[64, 2048])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--latency", type=float, default=20e-6, help="seconds, of the network")
    parser.add_argument("--bandwidth", type=float, default=10e9, help="bytes a second, of the same")
    arguments = parser.parse_args()
    print(machine.description())
    job = {"rounds": arguments.rounds}
    two = processes.measured("synchronization", world=2, sets=[SMALL, LARGE], **job)
    latency, bandwidth = fitted(two)
    print(f"\ntwo processes here: {shown(latency)} a message, {bandwidth / 1e9:.2f} GB/s")
    found = []
    for world in arguments.processes:
        found += processes.measured("synchronization", world=world, sets=arguments.sets, **job)
    demands = compared(found, latency, bandwidth)
    processes.keep("synchronization", found)
    for sets in arguments.sets:
        print(table(sets, arguments.latency, arguments.bandwidth))
    return report(demands, arguments.check)


if __name__ == "__main__":
    raise SystemExit(main())
