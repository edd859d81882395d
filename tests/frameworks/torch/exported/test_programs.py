"""An exported program runs as PyTorch runs it, and is seen as the live model is."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import normscope as ns
from frameworks.torch.exported.exported_models import (
    ByHand,
    exported_images,
    exported_texts,
    images,
    texts,
)
from normscope import SpecError
from normscope.frameworks.torch.exported.from_file import program_in
from normscope.frameworks.torch.exported.from_object import program_of
from normscope.frameworks.torch.exported.layers import stays
from normscope.frameworks.torch.exported.module import ProgramModule
from normscope.frameworks.torch.exported.program import Program, source_of

# torch.export itself warns of what it does, where a program has a branch
pytestmark = pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor:UserWarning",
    "ignore:The tensor attributes self.lstm:UserWarning",
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning",
)

FORMS = pytest.mark.parametrize("form", ["object", "decomposed", "file"])
MODES = pytest.mark.parametrize("training", [False, True])


def given(exported: Any, form: str, folder: Path) -> Any:
    """What a user gives: the program, or the path of its file."""
    if form == "decomposed":
        return exported.run_decompositions()
    if form == "object":
        return exported
    torch.export.save(exported, folder / "program.pt2")
    return folder / "program.pt2"


def program(exported: Any, form: str, folder: Path) -> Program:
    what = given(exported, form, folder)
    return program_in(what) if isinstance(what, Path) else program_of(what)


def leaves(tree: Any) -> list[Any]:
    return [
        leaf.detach() if isinstance(leaf, torch.Tensor) else leaf
        for leaf in torch.utils._pytree.tree_leaves(tree)
    ]


@FORMS
@MODES
@pytest.mark.parametrize("export", [exported_images, exported_texts])
def test_a_program_runs_as_pytorch_runs_it(
    tmp_path: Path, export: Any, form: str, training: bool
) -> None:
    _, exported = export(training)
    asked = program(exported, form, tmp_path)
    arguments, named = ((images(),), {}) if export is exported_images else texts()
    torch.manual_seed(5)
    other = exported.run_decompositions() if form == "decomposed" else exported
    wanted_module = copy.deepcopy(other).module()
    wanted = wanted_module(*arguments, **named)
    torch.manual_seed(5)
    module = ProgramModule(asked)
    found = module(*arguments, **named)
    assert torch.utils._pytree.tree_structure(found) == torch.utils._pytree.tree_structure(wanted)
    for one, two in zip(leaves(found), leaves(wanted), strict=True):
        if isinstance(one, torch.Tensor):
            torch.testing.assert_close(one, two, rtol=0, atol=0)
        else:
            assert one == two
    state = wanted_module.state_dict()
    for path in asked.held:
        if path in state:
            torch.testing.assert_close(module.tensor(path).detach(), state[path], rtol=0, atol=0)
    assert asked.trains is training


def sites(audit: Any) -> list[tuple[Any, ...]]:
    return [(site.path, site.type, site.input_shape, site.spec) for site in audit.layers]


@FORMS
def test_a_program_has_the_sites_of_its_model(tmp_path: Path, form: str) -> None:
    model, exported = exported_images()
    live = ns.audit(model.eval(), images())
    found = ns.audit(given(exported, form, tmp_path))
    wanted = [site for site in sites(live) if site[0] != "bn"]
    assert [site for site in sites(found) if site[0] != "bn"] == wanted
    assert [site.path for site in found.layers] == [site.path for site in live.layers]
    assert all(site.verified for site in found.layers)
    if form != "decomposed":
        assert {s.source.partition(":")[0] for s in found.layers} == {"exported_models.py"}
    for mode in ("training", "inference"):
        assert found.samples[mode].verdict == "proved apart"
    assert "one mode, that of its export: inference" in str(found)


@FORMS
def test_samples_that_meet_meet_in_a_program_too(tmp_path: Path, form: str) -> None:
    exported = torch.export.export(ByHand(), (torch.randn(4, 3),))
    found = ns.audit(given(exported, form, tmp_path))
    (site,) = found.layers
    assert site.spec is not None
    assert (site.spec.pattern, site.path) == ("[b] c", "")
    assert found.samples["inference"].verdict == "mixed"
    assert [finding.code for finding in found.findings] == ["NS302"]


@FORMS
def test_scope_takes_it(tmp_path: Path, form: str) -> None:
    _, exported = exported_images(training=True)
    found = ns.scope(given(exported, form, tmp_path), images())
    assert found.samples_independent["inference"] is False
    assert "bn (BatchNorm2d" in str(found)


def test_a_program_is_left_as_it_was() -> None:
    _, exported = exported_images(training=True)
    before = {name: t.detach().clone() for name, t in exported.state_dict.items()}
    ns.audit(exported)
    ns.scope(exported, images())
    for name, tensor in exported.state_dict.items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_example_inputs_are_small_where_that_is_free() -> None:
    _, exported = exported_images()
    found = ns.audit(exported)
    assert [site.input_shape[0] for site in found.layers if site.input_shape] == [2, 2, 2, 2]
    with pytest.raises(SpecError, match=r"for x of shape \(any, 3, 9, 9\), and .* \(2, 3, 8, 9\)"):
        ns.audit(exported, np.zeros((2, 3, 8, 9)))


def test_each_call_of_a_layer_is_one_stay() -> None:
    _, exported = exported_images()
    found = stays(program_of(exported).body)
    called = [stay.layer.path for stay in found if stay.layer.path.startswith("block")]
    inner = ["block.act", "block.norm", "block.act"]
    assert called == ["block", *inner, "block", *inner]
    block = next(stay for stay in found if stay.layer.path == "block")
    assert block.inputs == ("mean",)
    assert len(block.outputs) == 1


@FORMS
def test_an_input_whose_name_torch_changes(tmp_path: Path, form: str) -> None:
    exported = torch.export.export(torch.nn.LayerNorm(6), (torch.randn(2, 6),))
    found = ns.audit(given(exported, form, tmp_path))
    assert [site.spec and site.spec.pattern for site in found.layers] == ["b [c]"]


def test_the_line_of_the_user_is_told_from_those_of_torch() -> None:
    own = 'File "/site-packages/torch/norm.py", line 1, in f'
    assert source_of(f'File "/a/net.py", line 7, in forward\n  x\n{own}') == "net.py:7"
    assert source_of("") == source_of(own) == ""
