"""An old model is adopted: what is known does not fail, what is new does; the file is stable."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from normscope import audit
from normscope.audit.baseline import Baseline, Entry
from normscope.audit.finding import Finding, Severity
from normscope.errors import ModelFileError

SEED = Path(__file__).parents[2] / "examples" / "seed_network_full_th.json"


def finding(path: str, code: str = "NS401") -> Finding:
    return Finding(code, "name", Severity.INFO, path, "message", "fix", {})


def sorted_out(
    known: dict[tuple[str, str, str], int], found: list[tuple[str, str, str]]
) -> tuple[set[int], list[str]]:
    baseline = Baseline("x", {"m": Counter({Entry(*key): n for key, n in known.items()})})
    entries = [Entry(*key) for key in found]
    findings = [finding(entry.path, entry.rule) for entry in entries]
    numbers, stale = baseline.sorted_out("m", findings, lambda number: entries[number])
    return set(numbers), [str(entry) for entry in stale]


CONV, NORM = ("conv1", "NS401", "[*] *"), ("norm", "NS101", "* [*]")


def test_what_is_known_and_what_is_new() -> None:
    assert sorted_out({CONV: 1}, [CONV, NORM]) == ({0}, [])
    assert sorted_out({CONV: 1}, [CONV, CONV]) == ({0}, [])
    assert sorted_out({CONV: 2}, [CONV, CONV]) == ({0, 1}, [])
    assert sorted_out({}, [CONV]) == (set(), [])


def test_what_is_no_longer_found_is_stale() -> None:
    assert sorted_out({CONV: 2, NORM: 1}, [CONV]) == ({0}, ["NS401 at conv1", "NS101 at norm"])


def test_another_rule_kind_or_layer_is_new() -> None:
    for other in (
        ("conv1", "NS402", "[*] *"),
        ("conv1", "NS401", "* [*]"),
        ("dense", "NS401", "[*] *"),
    ):
        known, stale = sorted_out({CONV: 1}, [other])
        assert known == set()
        assert stale == ["NS401 at conv1"]


def test_a_layer_with_another_number_is_known_again() -> None:
    moved = ("conv2", "NS401", "[*] *")
    assert sorted_out({CONV: 1}, [moved]) == ({0}, [])
    # the one at its old place comes first, so that it is the other one that is new
    assert sorted_out({CONV: 1}, [moved, CONV]) == ({1}, [])


def test_an_old_model_is_adopted(tmp_path: Path) -> None:
    before = audit(SEED)
    path = tmp_path / "known.json"
    Baseline(str(path)).with_model(SEED.name, before.entries).write()
    after = audit(SEED, baseline=path)
    assert before.findings
    assert after.findings == ()
    assert after.known == before.findings
    assert after.stale == ()
    assert after.entries == before.entries
    assert f"{len(before.findings)} findings are known, in the baseline." in str(after)
    # whoever mends something hears that it can go
    less = audit(SEED, baseline=path, ignore=["NS5"])
    assert {entry.rule for entry in less.stale} == {"NS501"}
    assert "No longer found, though in the baseline: NS501 at" in str(less)


def test_the_file_is_sorted_and_names_no_clock_and_no_folder(tmp_path: Path) -> None:
    entries = audit(SEED).entries
    one = Baseline("x").with_model("b", entries).with_model("a", entries[::-1]).to_json()
    other = Baseline("y").with_model("a", entries).with_model("b", entries[::-1]).to_json()
    assert one == other
    assert str(SEED.parent) not in one
    rows = json.loads(one)["models"]["a"]
    assert rows == sorted(rows, key=lambda row: (row["path"], row["rule"], row["kind"]))
    assert set(rows[0]) == {"rule", "path", "kind", "count"}
    path = tmp_path / "known.json"
    path.write_text(one)
    assert Baseline.read(path).to_json() == one


ROW = {"rule": "NS401", "path": "a", "kind": "", "count": 1}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        '{"version": 1}',
        '{"version": 2, "models": {}}',
        '{"version": true, "models": {}}',
        '{"version": 1, "models": []}',
        '{"version": 1, "models": {"m": {}}}',
        '{"version": 1, "models": {"m": [1]}}',
        '{"version": 1, "models": {}, "models": {}}',
        *(
            json.dumps({"version": 1, "models": {"m": [{**ROW, **wrong}]}})
            for wrong in ({"count": 0}, {"count": "1"}, {"count": True}, {"path": 1}, {"more": 1})
        ),
        "[" * 500 + "]" * 500,
        "\x1b[2J",
    ],
)
def test_a_damaged_baseline_is_one_line(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "known.json"
    path.write_text(content)
    with pytest.raises(ModelFileError) as caught:
        Baseline.read(path)
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).isprintable()
    assert str(path) in str(caught.value)
    with pytest.raises(ModelFileError):
        audit(SEED, baseline=path)


def test_a_baseline_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be read"):
        Baseline.read(tmp_path / "nothing.json")
