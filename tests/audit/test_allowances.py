"""What is allowed with a reason, what is meant, and what of that is not needed any more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from normscope import audit
from normscope.audit.allowances import AtPaths, allowances, tags
from normscope.errors import SpecError

SEED = Path(__file__).parents[2] / "examples" / "seed_network_full_th.json"
"""Its eight layers `batchnormalization_N` are outside the contract of their mode (NS103, NS501)."""

FIRST = audit(SEED).layers[0].path


def codes(report: Any) -> set[tuple[str, str]]:
    return {(finding.code, finding.path) for finding in report.findings}


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("encoder.bn1", "encoder.bn1", True),
        ("encoder.bn1", "encoderXbn1", False),
        ("encoder.*", "encoder.block.1.bn", True),
        ("encoder.?", "encoder.10", False),
        ("*", "", True),
        ("", "", True),
        ("layers[0].*", "layers[0].norm", True),
        ("layers[0].*", "layers0.norm", False),
    ],
)
def test_paths_are_globs_in_which_brackets_are_letters(glob: str, path: str, matches: bool) -> None:
    assert AtPaths(glob, "allow").matches(path) is matches


def test_an_allowed_finding_does_not_count_and_is_kept_with_its_reason() -> None:
    plain = audit(SEED)
    report = audit(SEED, allow={FIRST: ["NS103: as trained in 2016", "porting: never ported"]})
    assert codes(plain) - codes(report) == {("NS103", FIRST), ("NS501", FIRST)}
    assert {(a.finding.code, a.reason) for a in report.allowed} == {
        ("NS103", "as trained in 2016"),
        ("NS501", "never ported"),
    }
    assert "as trained in 2016" in str(report)
    said = [one["reason"] for one in report.to_dict()["allowed"]]
    assert sorted(said) == ["as trained in 2016", "never ported"]


def test_one_entry_for_all_layers() -> None:
    report = audit(SEED, allow={"*": "rank-outside-contract, porting: an old network"})
    assert not [f for f in report.findings if f.code in ("NS103", "NS501")]
    assert len(report.allowed) == len(audit(SEED, select=["NS103", "NS501"]).findings)


@pytest.mark.parametrize(
    ("allow", "part"),
    [
        ({"a.b": "NS103"}, "says no reason"),
        ({"a.b": "NS103:  "}, "says no reason"),
        ({"a.b": "NS999: old"}, "there is no rule 'NS999'"),
        ({"a.b": ["rank-outside-contrac: old"]}, "did you mean rank-outside-contract"),
        ({"a": {"b": "NS103: old"}}, '"a.b" ='),
        ({"a": 3}, "holds 3"),
        (["NS103"], "write a table of paths"),
    ],
)
def test_a_wrong_allowance_is_said_before_anything_is_read(allow: Any, part: str) -> None:
    with pytest.raises(SpecError) as caught:
        audit("no such file.h5", allow=allow)
    assert part in str(caught.value)
    assert str(caught.value).startswith("allow")


def test_an_allowance_that_is_not_needed_is_a_finding() -> None:
    allow = {"batchnormalisation_1": "NS103: gone", FIRST: "NS401: no bias is left"}
    report = audit(SEED, allow=allow)
    unused = {f.path: f.message for f in report.findings if f.code == "NS001"}
    assert set(unused) == set(allow)
    assert (
        "nothing is normalized or found at 'batchnormalisation_1'; did you mean"
        in unused["batchnormalisation_1"]
    )
    assert unused[FIRST].endswith(f"NS401 finds nothing at '{FIRST}'")
    assert not audit(SEED, allow=allow, ignore=["NS001", "NS103", "NS5"]).findings


def test_an_allowance_of_a_rule_that_did_not_run_is_not_judged() -> None:
    report = audit(SEED, allow={FIRST: "NS103: old"}, select=["NS5", "NS001"])
    assert {f.code for f in report.findings} == {"NS501"}


def test_what_is_no_intent() -> None:
    with pytest.raises(SpecError, match="did you mean train-mode-teacher"):
        tags({"teacher.*": "train-mode-teachr"})
    assert [str(tag.intent) for tag in tags({"*": ["transductive", "zero-init"]})] == [
        "transductive",
        "zero-init",
    ]


def test_an_intent_for_a_layer_that_is_not_there() -> None:
    report = audit(SEED, intents={"teacher.*": "train-mode-teacher"}, select=["NS001"])
    (finding,) = report.findings
    assert (finding.path, finding.severity) == ("teacher.*", "warning")
    assert audit(SEED, intents={FIRST: "train-mode-teacher"}, select=["NS001"]).findings == ()


@pytest.mark.framework
def test_what_is_meant_silences_the_rules_that_say_so() -> None:
    import numpy as np
    from torch import nn

    x = np.random.default_rng(0).normal(size=(4, 3, 8, 8)).astype("float32")
    net = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3))
    report = audit(net, x, independent="b", intents={"0": "transductive"}, select=["NS7"])
    assert codes(report) == {("NS701", "1")}
    assert report.allowed == ()


def test_every_allowance_has_its_reason_in_its_order() -> None:
    (one, other) = allowances({"b": "NS103: x: y", "a": "NS1: z"})
    assert (one.path, one.reason, other.path, other.reason) == ("b", "x: y", "a", "z")
