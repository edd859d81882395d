"""Time `normalize` on large arrays beside every peer and a plain copy of the same array.

    python -m benchmarks.large                          # every case and peer, 49 MiB, float32
    python -m benchmarks.large --readme                 # then print the tables of both READMEs
    python -m benchmarks.large --cases RMS --sizes 16MiB 512MiB --dtype float16
    python -m benchmarks.large --backends jax torch tensorflow --peers keras

Each case runs in a process of its own. The floor is a plain copy, on all cores if that is faster,
plus a pass of reading for each further array, and for each one again where a statistics set does
not fit in cache. Peers run as installed; PyTorch then once more with an allocator that keeps its
memory (`normscope.retain_memory`), beside ours in the same minute. glibc keeps blocks of up to
32 MiB by itself once one was freed, so smaller arrays show little of that difference.
"""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from benchmarks import machine, options, processes
from benchmarks.cases import CASES, Case, chosen, named
from benchmarks.demands import Demand, report
from benchmarks.floor import best, copies, is_peer, reads
from benchmarks.peers import MAKERS, SLOW_TO_START, Call, keras_name
from benchmarks.problem import Problem, problem, size, size_name
from benchmarks.timing import Time, in_turn
from normscope import retain_memory

OURS, OUT = "normscope", "normscope, out="
BACKENDS = ["jax", "torch", "tensorflow"]

FLOORS, MEDIAN_FLOORS = 1.3, 1.1
BESIDE_TORCH = {  # with retained memory: at least so many times as fast; the others: not slower
    "batch NCHW": 3.0,
    "instance NCHW": 3.5,
    "layer over axis 1 of NCHW": 4.0,
    "RMS 784": 3.0,
    "add, batch NCHW, LeakyReLU": 3.0,
    "batch NHWC": 1.3,
    "group-32 NHWC": 1.3,
    "layer over CHW, affine": 1.1,
}
HEADS = (
    "| normalization | × a copy | × floor | fastest peer as installed, × ours "
    "| PyTorch with retained memory, × ours |",
    "| 归一化 | × 拷贝 | × 下限 | 照常安装的最快对手,是我们的几倍 "
    "| 保留内存的 PyTorch,是我们的几倍 |",
)


def measure(case: str, nbytes: int, dtype: str, peers: list[str], seconds: float) -> dict[str, Any]:
    """Times of one case, in this process: as installed, then with retained memory."""
    given = problem(named(case), nbytes, dtype)
    x = given.x
    ours = {OUT: given.forward(out=np.zeros_like(x)), OURS: given.forward()}
    floor = copies(x, np.zeros_like(x)) | reads(x)
    found = {
        "case": case, "bytes": x.nbytes, "dtype": dtype,
        "traffic": given.case.traffic(x.shape, x.itemsize, machine.cache_of_a_core()),
        "times": in_turn(floor | ours | peer_calls(given, peers), seconds),
    }  # fmt: skip
    again = peer_calls(given, [peer for peer in peers if peer == "torch"])
    if again and retain_memory():
        found["retained"] = in_turn({OURS: ours[OURS]} | again, seconds / 2)
    return found


def peer_calls(given: Problem, peers: list[str]) -> dict[str, Call]:
    """The calls of those that have such an operation."""
    if given.x.dtype != np.float32:  # not every peer has the others
        return {}
    calls = {
        keras_name() if name == "keras" else name: MAKERS[name](given.case, given.x, given.learned)
        for name in peers
    }
    return {name: call for name, call in calls.items() if call is not None}


def with_times(result: dict[str, Any]) -> dict[str, Any]:
    """The figures of another process, its times made `Time` again."""
    found = dict(result)
    for key in ("times", "retained"):
        if key in result:
            found[key] = {name: Time(**time) for name, time in result[key].items()}
    return found


def floors(result: dict[str, Any], way: str = "forward") -> float:
    """Seconds of the least traffic that the call needs."""
    copy, read = (best(result["times"], what) for what in ("copy", "read"))
    return copy + int(result["traffic"][way]) * read


def over_floor(result: dict[str, Any]) -> float:
    """Ours, with `out=`, as a multiple of the floor."""
    return float(result["times"][OUT].seconds / floors(result))


def beside_torch(result: dict[str, Any]) -> float | None:
    """How many times as long PyTorch takes, with retained memory; None if it was not asked."""
    if "retained" not in result:
        return None
    return float(result["retained"]["torch"].seconds / result["retained"][OURS].seconds)


def line(result: dict[str, Any]) -> str:
    """Each time as a multiple of the floor, and how far the figures vary."""
    times = result["times"]
    ratios = "  ".join(
        f"{name} {time.seconds / floors(result):.2f}"
        for name, time in times.items()
        if is_peer(name) or name in (OUT, OURS)
    )
    noise = max(time.noise for time in times.values())
    torch = beside_torch(result)
    retained = "" if torch is None else f"  torch, retained {torch:.2f} x ours"
    return (
        f"{result['case']:26} {size_name(result['bytes']):>9} {result['dtype']}  "
        f"floor {floors(result) * 1e3:.2f} ms  {ratios}{retained}  noise {noise:.0%}"
    )


def row(result: dict[str, Any]) -> str:
    """The row of the README."""
    times = result["times"]
    peers = {name: time.seconds for name, time in times.items() if is_peer(name)}
    fastest = min(peers, key=lambda name: peers[name], default=None)
    torch = beside_torch(result)
    cells = (
        result["case"],
        f"{times[OUT].seconds / best(times, 'copy'):.2f}",
        f"{over_floor(result):.2f}",
        f"{peers[fastest] / times[OURS].seconds:.1f} ({fastest})" if fastest else "",
        "" if torch is None else f"{torch:.2f}",
    )
    return f"| {' | '.join(cells)} |"


def tables(results: list[dict[str, Any]]) -> str:
    """The table of README.md, and that of README.zh.md."""
    rows = [row(result) for result in results]
    return "\n\n".join("\n".join((head, "|" + " --- |" * 5, *rows)) for head in HEADS)


def demands(results: list[dict[str, Any]]) -> list[Demand]:
    """What issue 16 asks of 49 MiB of float32."""
    over = {result["case"]: over_floor(result) for result in results}
    found = [Demand(f"{name}: times its floor", FLOORS, ratio) for name, ratio in over.items()]
    if len(results) == len(CASES):
        median = statistics.median(over.values())
        found.append(Demand("all cases: times their floors, median", MEDIAN_FLOORS, median))
    for result in results:
        torch = beside_torch(result)
        if torch is not None:
            what = f"{result['case']}: times as fast as torch with retained memory"
            found.append(Demand(what, BESIDE_TORCH.get(result["case"], 1.0), torch, at_least=True))
    return found


def run(cases: list[Case], sizes: list[int], **job: Any) -> list[dict[str, Any]]:
    """All cases at all sizes, a process each; a line of each is printed at once."""
    results = []
    for nbytes in sizes:
        for case in cases:
            found = processes.measured("large", case=case.name, nbytes=nbytes, **job)
            results.append(with_times(found))
            print(line(results[-1]), flush=True)
    return results


def main() -> int:
    parser = options.parser(__doc__, seconds=1.0)
    parser.add_argument("--sizes", nargs="+", type=size, default=[49 << 20])
    peers = [peer for peer in MAKERS if peer not in SLOW_TO_START]
    parser.add_argument("--peers", nargs="*", choices=MAKERS, default=peers)
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=BACKENDS[:1])
    parser.add_argument("--readme", action="store_true", help="print its tables")
    arguments = parser.parse_args()
    print(machine.description())
    results = []
    for backend in arguments.backends:
        results += run(
            chosen(arguments.cases), arguments.sizes, backend=backend, dtype=arguments.dtype,
            peers=arguments.peers, seconds=arguments.seconds,
        )  # fmt: skip
    processes.keep("large", results)
    if arguments.readme:
        print(f"\n{tables(results)}")
    return report(demands(results), arguments.check)


if __name__ == "__main__":
    raise SystemExit(main())
