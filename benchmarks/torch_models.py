"""Time whole networks of PyTorch, a training step and inference, before and after `swap`.

    python -m benchmarks.torch_models
    python -m benchmarks.torch_models --cases founding --rounds 50
    python -m benchmarks.torch_models --readme            # then print the tables of both READMEs

Each network runs in two processes that are alike but for one call of `swap`, and take turns step by
step. Both begin with the same numbers, and must compute the same. With `--retained` the C library
keeps freed memory in both (`normscope.retain_memory`). With `--ceiling` a third process has no
normalization at all: how much faster its step is, is the most that any layer could bring.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import normscope as ns
from benchmarks import machine, options, processes, turns
from benchmarks.demands import Demand, report
from benchmarks.timing import shown, summary

MODES = TRAINING, INFERENCE = ("training step", "inference")
BEFORE, AFTER, WITHOUT = "torch", "swap", "without"
NEVER_SLOWER = 1.0
DRIFT = 1e-3
"""How far two losses may lie apart, relative to them: each step rounds anew."""
HEADS = (
    "| network | training step with PyTorch's layers | with `Norm` | times as fast "
    "| inference with PyTorch's layers | with `Norm` | times as fast |",
    "| 网络 | PyTorch 的层,一步训练 | 用 `Norm` | 快几倍 "
    "| PyTorch 的层,推理 | 用 `Norm` | 快几倍 |",
)


def steps(network: str, mode: str, layers: str, retained: bool) -> Callable[[], float]:
    """One step of a network in this process; it returns a number that shows what was computed."""
    import torch

    from benchmarks.torch_networks import named

    if retained:
        ns.retain_memory()
    torch.manual_seed(0)
    given = named(network)
    model, x = given.make(), given.inputs()
    if layers == WITHOUT:
        remove_normalizations(model)
    if layers == AFTER:
        from normscope.layers.torch import swap

        swap(model, inputs=x if given.own_forward else None)
    return training(model, x, given.loss) if mode == TRAINING else inference(model, x)


def remove_normalizations(model: Any) -> None:
    """Leave none of PyTorch's layers that these networks have."""
    from torch import nn

    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d | nn.LayerNorm | nn.RMSNorm):
                setattr(module, name, nn.Identity())


def training(model: Any, x: Any, loss_of: Callable[[Any, Any], Any]) -> Callable[[], float]:
    """Forward, backward, and a step of the optimizer; returns the loss."""
    import torch

    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step() -> float:
        optimizer.zero_grad()
        loss = loss_of(model(x), x)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def inference(model: Any, x: Any) -> Callable[[], float]:
    """The output alone; returns its mean size."""
    import torch

    model.eval()

    def step() -> float:
        with torch.inference_mode():
            return float(model(x).abs().mean())

    return step


def measure(
    network: str, mode: str, rounds: int, retained: bool, ceiling: bool = False
) -> dict[str, Any]:
    """Seconds of each step, before and after `swap`; with `ceiling` also without normalization.

    Raises:
        RuntimeError: the two compute something else.
    """
    jobs = {
        who: {"network": network, "mode": mode, "layers": who, "retained": retained}
        for who in (BEFORE, AFTER, *([WITHOUT] if ceiling else []))
    }
    found = turns.in_turn("torch_models", jobs, rounds)
    check_same(f"{network}, {mode}", found)
    times = {who: [seconds for seconds, _ in answers] for who, answers in found.items()}
    return {"network": network, "mode": mode, "retained": retained, "times": times}


def check_same(what: str, found: Mapping[str, list[tuple[float, float]]]) -> None:
    """Refuse to compare two that compute something else."""
    for (_, one), (_, other) in zip(found[BEFORE], found[AFTER], strict=True):
        if not math.isclose(one, other, rel_tol=DRIFT):
            raise RuntimeError(f"{what}: {one!r} with PyTorch's layers, {other!r} with Norm")


def times_as_fast(result: dict[str, Any], who: str = AFTER) -> float:
    """The median, over the rounds, of how many times as fast a step is as with PyTorch's layers."""
    pairs = zip(result["times"][BEFORE], result["times"][who], strict=True)
    return statistics.median(before / after for before, after in pairs)


def line(result: dict[str, Any]) -> str:
    """What is printed of a network in one mode."""
    before, after = (summary(result["times"][who]) for who in (BEFORE, AFTER))
    most = ""
    if WITHOUT in result["times"]:
        most = f"without normalization {times_as_fast(result, WITHOUT):5.2f}  "
    return (
        f"{result['network']:20} {result['mode']:14} torch {shown(before.seconds):>8}  "
        f"Norm {shown(after.seconds):>8}  torch / Norm {times_as_fast(result):5.2f}  {most}"
        f"noise {max(before.noise, after.noise):.0%}"
    )


def tables(results: list[dict[str, Any]]) -> str:
    """The table of README.md, and that of README.zh.md."""
    by_network: dict[str, list[str]] = {}
    for result in results:
        cells = by_network.setdefault(result["network"], [result["network"]])
        cells += [shown(summary(result["times"][who]).seconds) for who in (BEFORE, AFTER)]
        cells.append(f"{times_as_fast(result):.2f}")
    rows = [f"| {' | '.join(cells)} |" for cells in by_network.values()]
    return "\n\n".join("\n".join((head, "|" + " --- |" * 7, *rows)) for head in HEADS)


def demand(result: dict[str, Any], least: float) -> Demand:
    """What issue 17 asks of a network in one mode."""
    limit = least if result["mode"] == TRAINING else NEVER_SLOWER
    what = f"{result['network']}, {result['mode']}: times as fast after swap"
    return Demand(what, limit, times_as_fast(result), at_least=True)


def main() -> int:
    from benchmarks.torch_networks import NETWORKS, named

    parser = options.parser(__doc__, seconds=None, dtypes=0)
    parser.add_argument("--rounds", type=int, default=21, help="steps of each process")
    parser.add_argument("--retained", action="store_true", help="with retained memory")
    parser.add_argument("--ceiling", action="store_true", help="also without normalization")
    parser.add_argument("--readme", action="store_true", help="print its tables")
    arguments = parser.parse_args()
    print(machine.description())
    results = []
    for network in NETWORKS:
        if arguments.cases and not any(word in network.name for word in arguments.cases):
            continue
        for mode in MODES:
            results.append(
                measure(network.name, mode, arguments.rounds, arguments.retained, arguments.ceiling)
            )
            print(line(results[-1]), flush=True)
    processes.keep("torch_models", results)
    if arguments.readme:
        print(f"\n{tables(results)}")
    wanted = [demand(result, named(result["network"]).least) for result in results]
    return report(wanted, arguments.check)


if __name__ == "__main__":
    raise SystemExit(main())
