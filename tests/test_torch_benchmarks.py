"""The benchmarks of the PyTorch layer compare what computes the same; pages have their tables."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from benchmarks import processes, torch_choice, torch_layers, torch_models, turns
from benchmarks.problem import size
from benchmarks.torch_kinds import KINDS, Kind, chosen
from benchmarks.torch_networks import NETWORKS, LanguageModel, convnext, founding_network, resnet18

ROOT = Path(__file__).parents[1]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@every_kind
def test_a_kind_has_a_shape_of_about_the_size(kind: Kind) -> None:
    for nbytes in map(size, torch_layers.SIZES):
        for itemsize in (2, 4, 8):
            shape = torch.Size(kind.shape(nbytes, itemsize))
            assert 0.7 <= shape.numel() * itemsize / nbytes <= 1.05
            assert shape[1] % 32 == 0 or len(shape) == 2


@every_kind
def test_both_layers_compute_the_same(kind: Kind) -> None:
    calls = torch_layers.calls(kind, 8 << 10, "float32")
    torch.testing.assert_close(calls["forward, Norm"](), calls["forward, torch"]())
    name = torch_layers.BOTH
    torch.testing.assert_close(calls[f"{name}, Norm"](), calls[f"{name}, torch"]())


def test_a_format_says_how_feature_maps_lie_and_nothing_else() -> None:
    last, first = (chosen(["GroupNorm"])[i].tensor((2, 4, 3, 3), torch.float32, 0) for i in (1, 0))
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert first.is_contiguous()
    assert torch.equal(last, first)


def test_a_kind_is_measured_as_installed_and_with_retained_memory() -> None:
    sizes = [1 << 10, 1 << 13]
    job = {"kind": "LayerNorm", "sizes": sizes, "dtype": "bfloat16", "seconds": 0}
    found = processes.measured("torch_layers", **job)
    table = torch_layers.table(found, sizes)
    assert table.count("torch / Norm") == len(torch_layers.PASSES) * len(found["times"])
    assert {demand.limit for demand in torch_layers.demands(found)} == {0.95}
    found["dtype"] = "float32"
    assert torch_layers.page_table([found], 1 << 10).splitlines()[-1].count("|") == 6


def test_each_demand_names_the_size_that_is_furthest_from_it() -> None:
    def times(own: float, other: float) -> dict[str, object]:
        seconds = {"Norm": own, "torch": other}
        return {
            f"{name}, {who}": {"seconds": seconds[who], "noise": 0.0, "rounds": 9}
            for name in torch_layers.PASSES
            for who in seconds
        }

    by_size = {"1024": times(1.0, 0.9), str(16 << 20): times(1.0, 2.9), str(32 << 20): times(1, 4)}
    for memory, large in (("as installed", [3.0, 2.5]), ("retained", [1.0, 1.0])):
        kind = {"kind": "RMSNorm", "dtype": "float32", "times": {memory: by_size}}
        demands = torch_layers.demands(kind)
        assert [demand.limit for demand in demands] == [0.95, large[0], 0.95, large[1]]
        assert [demand.what.rpartition(", ")[2] for demand in demands] == ["1 KiB", "16 MiB"] * 2
        assert [demand.measured for demand in demands] == [0.9, 2.9] * 2


def test_every_network_computes_something_of_its_input() -> None:
    small = {
        "founding network": (founding_network(8, blocks=1), torch.randn(2, 8, 6, 6)),
        "ResNet-18": (resnet18(), torch.randn(2, 3, 64, 64)),
        "ConvNeXt-tiny": (convnext((1, 1, 1, 1), (8, 8, 8, 8)), torch.randn(2, 3, 64, 64)),
        "language model": (LanguageModel(64, 24), torch.randint(64, (2, 8))),
    }
    assert list(small) == [network.name for network in NETWORKS]
    for network in NETWORKS:
        model, x = small[network.name]
        step = torch_models.training(model, x, network.loss)
        before = step()
        assert step() != before
        torch_models.remove_normalizations(model)
        assert "Norm" not in str(model)


def test_processes_take_turns_and_must_agree() -> None:
    found = torch_models.measure("language model", "inference", rounds=2, retained=False)
    assert [len(times) for times in found["times"].values()] == [2, 2]
    assert torch_models.line(found).startswith("language model       inference")
    assert torch_models.demand(found, 1.15).limit == 1.0
    assert torch_models.tables([found]).count("| language model | ") == len(torch_models.HEADS)
    found["times"]["without"] = [time / 2 for time in found["times"]["torch"]]
    assert "without normalization  2.00" in torch_models.line(found)
    answers = {"torch": [(1.0, 0.5)], "swap": [(1.0, 0.51)]}
    with pytest.raises(RuntimeError, match=r"a step: 0\.5 with PyTorch's layers, 0\.51 with Norm"):
        torch_models.check_same("a step", answers)


def test_a_process_that_ends_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="ended with status 1"):
        turns.in_turn("machine", {"one": {"no": "steps"}}, rounds=1)
    assert "has no attribute 'steps'" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("path", "head"),
    [("README.md", torch_models.HEADS[0]), ("README.zh.md", torch_models.HEADS[1])],
)
def test_a_readme_has_the_table_that_is_printed(path: str, head: str) -> None:
    assert _first_cells(path, head) == [network.name for network in NETWORKS]


def test_the_page_has_the_table_that_is_printed() -> None:
    assert _first_cells("docs/torch.md", torch_layers.HEAD) == [kind.name for kind in KINDS]


def _first_cells(path: str, head: str) -> list[str]:
    text = (ROOT / path).read_text(encoding="utf-8")
    rows = text[text.index(head) :].split("\n\n")[0].splitlines()[2:]
    return [row.split("|")[1].strip() for row in rows]


def test_the_least_size_is_the_one_from_which_all_are_quicker() -> None:
    assert torch_choice.least({"16384": 2.0, "65536": 0.9, "1048576": 1.04, "2097152": 1.5}) == (
        "from 1 MiB"
    )
    assert torch_choice.least({"16384": 2.0, "65536": 1.02}) == "never"


def test_kernels_and_operators_are_both_timed() -> None:
    job = {"kind": "layer norm over axis 1", "sizes": [8 << 10], "dtype": "float32"}
    result = processes.measured("torch_choice", seconds=0.01, **job)
    assert len(torch_choice.lines(result).splitlines()) == len(torch_layers.PASSES)
