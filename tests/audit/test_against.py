"""`audit(against=...)`: which site of a model is which of the reference, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import normscope as ns
from normscope.audit.against import NUMBERS, ORDER, PATH, compared, parts_of
from normscope.audit.model_graph import ModelGraph, Site
from normscope.frameworks.registry import advice_of
from normscope.notation.spec import NormSpec, Running

RNG = np.random.default_rng(0)
BATCH = NormSpec("[b] c [s...]", scale="c", bias="c", running=Running(0.9))
LAYER = NormSpec("b [c] s...", scale="c", bias="c")
IMAGES = RNG.normal(size=(4, 3, 8, 8)).astype("float32")


def site(path: str, spec: NormSpec = BATCH, scale: Any = None, size: int = 4) -> Site:
    array = np.ones(size, np.float32) if scale is None else np.asarray(scale, np.float32)
    return Site(path, "", path, spec, spec.inference(), (2, size, 5), arrays={"scale": array})


def graph(*sites: Site, followed: bool = True) -> ModelGraph:
    return ModelGraph("", "net", "live", "torch", "", advice_of("torch"), sites, followed=followed)


def pairs(model: ModelGraph, reference: ModelGraph) -> list[tuple[str, str, str]]:
    found = compared(model, reference).pairs
    return [(pair.site.path, pair.reference.path, pair.by) for pair in found]


def test_paths_pair_whatever_stands_between_their_parts() -> None:
    assert (
        parts_of("a.layers.0.norm") == parts_of("a/layers_0/norm") == parts_of("a.layers[0].norm")
    )
    model, reference = graph(site("b.1.norm"), site("a")), graph(site("a"), site("b/1/norm"))
    assert pairs(model, reference) == [("b.1.norm", "b/1/norm", PATH), ("a", "a", PATH)]


def test_a_prefix_that_most_have_is_looked_through() -> None:
    inner = [site("layers.0.norm"), site("layers.1.norm"), site("norm")]
    outer = [site(f"module.{one.path}") for one in inner]
    assert [by for *_, by in pairs(graph(*inner), graph(*outer))] == [PATH] * 3
    assert pairs(graph(*outer), graph(*inner)) == [
        (f"module.{one.path}", one.path, PATH) for one in inner
    ]
    # of three sites, one has a namesake deeper in the reference: by chance
    others = [site("block.norm", size=5), site("x", size=6), site("y", size=7)]
    assert pairs(graph(*inner), graph(*others)) == []


def test_a_path_does_not_pair_what_has_other_lengths() -> None:
    assert pairs(graph(site("3", size=4)), graph(site("3", size=8))) == []


def test_calls_of_one_layer_pair_in_their_order() -> None:
    model = graph(site("a", BATCH), site("a", LAYER))
    reference = graph(site("a", BATCH), site("a", LAYER), site("a", LAYER))
    found = compared(model, reference)
    assert [pair.reference for pair in found.pairs] == list(reference.sites[:2])
    assert found.unpaired == reference.sites[2:]


def test_numbers_pair_what_order_would_not() -> None:
    one, other = RNG.normal(size=(2, 4))
    model = graph(site("a", scale=one), site("b", scale=other))
    reference = graph(site("x", scale=other), site("y", scale=one), site("z"))
    assert pairs(model, reference) == [("a", "y", NUMBERS), ("b", "x", NUMBERS)]
    twice = graph(site("x", scale=one), site("y", scale=one), site("z"))
    assert pairs(model, twice) == []  # which of the two is not known, and one is too many


def test_the_order_of_a_kind_pairs_where_both_have_as_many() -> None:
    last = NormSpec("b s... [c]", scale="c", bias="c")
    model = graph(site("a"), site("b", LAYER), site("c"))
    reference = graph(site("x"), site("y"), site("z", last))
    assert pairs(model, reference) == [("a", "x", ORDER), ("b", "z", ORDER), ("c", "y", ORDER)]
    assert pairs(model, graph(*reference.sites, followed=False)) == []
    # one batch norm too many: which of them has no counterpart is not known
    longer = graph(*reference.sites, site("w"))
    assert pairs(model, longer) == [("b", "z", ORDER)]


def test_another_formula_pairs_by_its_channels() -> None:
    model = graph(site("a", LAYER, size=4), site("b", LAYER, size=6))
    reference = graph(site("x", BATCH, size=4), site("y", BATCH, size=6))
    assert pairs(model, reference) == [("a", "x", ORDER), ("b", "y", ORDER)]


# --- models and files -----------------------------------------------------------------------------


def torch_net() -> Any:
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.GroupNorm(2, 6)
    )


@pytest.mark.framework
def test_a_reference_of_another_framework_has_its_channels_last() -> None:
    import keras

    layers = keras.layers
    reference = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(6, 3, use_bias=False),
            layers.BatchNormalization(name="bn"),
            layers.GroupNormalization(2, name="gn"),
        ]
    )
    audit = ns.audit(torch_net(), IMAGES, against=reference)
    assert audit.graph.against is not None
    named = [(site.path, audit.graph.counterpart(site)) for site in audit.layers]
    assert [(path, other and other.path) for path, other in named] == [("1", "bn"), ("3", "gn")]
    (note,) = (note for note in audit.graph.notes if note.startswith("compared with"))
    assert note.endswith("2 normalization layers paired by kind and order")
    assert note in str(audit).replace("\n  ", " ")
    details = audit.to_dict()["model"]["details"]["against"]
    assert details["framework"] == "keras"
    assert details["pairs"] == [["1", "bn", "order"], ["3", "gn", "order"]]


@pytest.mark.framework
def test_a_reference_may_be_a_file_of_weights_alone(tmp_path: Path) -> None:
    import torch

    net = torch_net()
    path = tmp_path / "net.pt"
    torch.save({f"module.{name}": array for name, array in net.state_dict().items()}, path)
    audit = ns.audit(net, IMAGES, against=path)
    other = audit.graph.counterpart(audit.layers[0])
    assert other is not None
    assert other.path == "module.1"
    assert other.parameters["running_var"] == "module.1.running_var"
    assert audit.graph.against is not None
    assert "module.0.weight" in audit.graph.against.graph.array_names
    # and it may be compared the other way round
    assert ns.audit(path, against=path).graph.against is not None


@pytest.mark.framework
def test_a_reference_that_cannot_be_called_is_said_to_be_it() -> None:
    from torch import nn

    with pytest.raises(ns.SpecError, match=r"the model to compare with: .*cannot be audited"):
        ns.audit(torch_net(), IMAGES, against=nn.Linear(7, 7))
    with pytest.raises(ns.SpecError, match=r"the model to compare with: .*not an object"):
        ns.audit(torch_net(), IMAGES, against=7)


def test_without_a_reference_there_is_none() -> None:
    seed = Path(__file__).parents[2] / "examples" / "seed_network_full_th.json"
    audit = ns.audit(seed)
    assert audit.graph.against is None
    assert audit.graph.counterpart(audit.layers[0]) is None
    assert "against" not in audit.to_dict()["model"]["details"]
    twin = ns.audit(seed, against=seed)
    assert [twin.graph.counterpart(one).path for one in twin.layers] == [  # type: ignore[union-attr]
        one.path for one in twin.layers
    ]


@pytest.mark.framework
def test_an_optimizer_that_does_not_tell_what_it_decays_is_noted() -> None:
    audit = ns.audit(torch_net(), IMAGES, optimizer=object())
    (note,) = (note for note in audit.graph.notes if "optimizer" in note)
    assert note.startswith("what the optimizer (builtins.object) decays is not known")
    assert not audit.graph.decays
