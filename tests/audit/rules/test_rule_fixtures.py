"""Every rule fires on its sick models, at the right place, and on none of their healthy twins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import normscope as ns
from normscope.audit import all_rules, find_rule
from normscope.audit.configuration import policy_of
from normscope.audit.judging import judged_by
from normscope.audit.model_graph import ModelGraph
from normscope.audit.rule import Intent
from rule_fixtures import FRAMEWORKS, Fixture, fixtures, modules


@pytest.mark.framework
@pytest.mark.usefixtures("quick_compiler")
@pytest.mark.parametrize("fixture", fixtures(True), ids=str)
def test_a_rule_fires(fixture: Fixture, tmp_path: Path) -> None:
    given = fixture.given(tmp_path)
    audit = given.audit(fixture.code)
    findings = audit.findings
    assert {finding.path for finding in findings} == set(fixture.at)
    for finding in findings:
        assert finding.code == fixture.code
        assert finding.message
        assert not finding.message.endswith(".")
        assert finding.fix
        json.dumps(finding.to_dict(), allow_nan=False)
        modules()[fixture.code].measured(finding, given)
    check_intents(audit.graph, fixture)


def check_intents(graph: ModelGraph, fixture: Fixture) -> None:
    """The rule is silent where the place is said to be meant so, in a way that it heeds."""
    heeded = find_rule(fixture.code).intents
    for intent in Intent:
        policy = policy_of([fixture.code], intents=dict.fromkeys(fixture.at, str(intent)))
        assert bool(judged_by(graph, policy).findings) is (intent not in heeded)


def test_every_intent_is_heeded_by_a_rule() -> None:
    assert {intent for rule in all_rules() for intent in rule.intents} == set(Intent)


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.code)
def test_a_rule_is_there_since_a_release_that_is_not_to_come(rule) -> None:  # type: ignore[no-untyped-def]
    since, now = ([int(part) for part in text.split(".")] for text in (rule.since, ns.__version__))
    assert since <= now


@pytest.mark.framework
@pytest.mark.usefixtures("quick_compiler")
@pytest.mark.parametrize("fixture", fixtures(False), ids=str)
def test_a_rule_is_silent(fixture: Fixture, tmp_path: Path) -> None:
    said = fixture.given(tmp_path).audit(fixture.code).findings
    assert [finding.message for finding in said] == []


@pytest.mark.parametrize("code", modules())
def test_a_rule_has_models_in_every_framework(code: str) -> None:
    """Where it has none, its file says why."""
    module = modules()[code]
    for is_sick in (True, False):
        there = {f.framework for f in fixtures(is_sick) if f.code == code}
        missing = set(FRAMEWORKS) - there - set(getattr(module, "NOT_IN", {}))
        assert not missing, f"{code}: neither models nor a reason in NOT_IN for {missing}"
    assert all(len(reason) > 10 for reason in getattr(module, "NOT_IN", {}).values())


HEADINGS = (
    "What it finds:",
    "Why it matters:",
    "How it is found:",
    "Measured:",
    "Known limits:",
    "Use instead:",
    "References:",
)


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.code)
def test_a_rule_is_documented(rule) -> None:  # type: ignore[no-untyped-def]
    first, blank, *_ = rule.documentation.splitlines()
    assert first.startswith(f"{rule.code} {rule.name}: ")
    assert first.endswith(".")
    assert not blank
    places = [rule.documentation.find(f"\n{heading}\n    ") for heading in HEADINGS]
    assert -1 not in places, f"{rule.code} lacks a part: {places}"
    assert places == sorted(places)
    of_settings = rule.code.startswith("NS0")  # no user sees a symptom of what is written
    assert rule.symptoms or of_settings, "the index by symptom needs one"
    assert rule.code in modules(), f"tests/audit/rules has no models for {rule.code}"
