"""Reports that programs read: each is valid by its published schema, and the same every time."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

from audits_by_hand import (
    ALL,
    EVIL,
    accepted,
    audit_of,
    batch_norm,
    empty,
    layer_norm,
    mixed,
    model,
    resnet,
)
from keras1_models import conv, dense, norm, sequential, write_json
from normscope import audit, cli
from normscope.audit.reports.junit import as_junit
from normscope.audit.result import SCHEMA_VERSION, Audit, audit_schema
from normscope.cli.output import as_json
from normscope.notation.spec import NormSpec
from xsd import Schema

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data"

MODELS = {
    "no normalization": ((None, 5), [dense()]),
    "modes": ((None, 3, 8, 6), [conv(), norm(mode=1), norm(mode=2), norm(axis=1), norm(axis=3)]),
    "no eps": ((None, 3, 8, 6), [norm(mode=1, epsilon=0.0)]),
}


@pytest.fixture(params=[*ALL, *MODELS, "the seed"])
def report(request: pytest.FixtureRequest, tmp_path: Path) -> Audit:
    name = request.param
    if name in ALL:
        return ALL[name]()
    if name == "the seed":
        return audit(ROOT / "examples" / "seed_network_full_th.json")
    shape, layers = MODELS[name]
    return audit(write_json(tmp_path / "m.json", sequential(shape, *layers)))


def sarif_schema() -> dict[str, Any]:
    return json.loads((DATA / "sarif-schema-2.1.0.json").read_text(encoding="utf-8"))


def test_json_is_valid(report: Audit) -> None:
    schema = audit_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(as_json(report.to_dict())))


def test_sarif_is_valid(report: Audit) -> None:
    checker = jsonschema.Draft4Validator.FORMAT_CHECKER
    log = json.loads(as_json(report.to_sarif()))
    jsonschema.Draft4Validator(sarif_schema(), format_checker=checker).validate(log)
    (run,) = log["runs"]
    others = len(report.allowed) + len(report.known)
    assert len(run["results"]) == len(report.findings) + others
    assert sum("suppressions" in result for result in run["results"]) == others
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


def test_junit_is_valid(report: Audit) -> None:
    root = ElementTree.fromstring(report.to_junit().encode())
    assert Schema(DATA / "junit-10.xsd").problems(root) == []
    (suite,) = root
    cases = suite.findall("testcase")
    assert int(suite.get("tests", "")) == len(cases) == len(report.layers) + 1
    failed = [case for case in cases if case.find("failure") is not None]
    assert int(suite.get("failures", "")) == len(failed)
    assert len({case.get("name") for case in cases}) == len(cases)
    told = "".join(text for case in cases for text in case.itertext())
    assert told.count("\n  -> ") == sum(len(f.fix.splitlines()) for f in report.findings)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema_version",), "2.0"),
        (("more",), 1),
        (("layers", 0, "kind"), "stored."),
        (("layers", 0, "spec_train", "eps"), "1e-5"),
        (("findings", 0, "severity"), "fatal"),
        (("summary", "errors"), -1),
        (("model", "samples", "training", "verdict"), "perhaps"),
    ],
)
def test_the_schema_refuses_what_is_wrong(path: tuple[str | int, ...], value: object) -> None:
    facts: Any = mixed().to_dict()
    inner = facts
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(facts, audit_schema())


def test_the_schema_of_sarif_refuses_what_is_wrong() -> None:
    log = mixed().to_sarif()
    log["runs"][0]["results"][0]["level"] = "fatal"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(log, sarif_schema())


@pytest.mark.parametrize(
    "text",
    [
        "<testsuite/>",
        '<testsuites><testsuite name="a" tests="1" failures="0" errors="0" at="1"/></testsuites>',
        "<testsuites><testcase/></testsuites>",
        "<testsuites>words</testsuites>",
        "<other/>",
        '<testsuite name="a" tests="1" failures="0" errors="0" time="a while"/>',
    ],
)
def test_the_schema_of_junit_refuses_what_is_wrong(text: str) -> None:
    assert Schema(DATA / "junit-10.xsd").problems(ElementTree.fromstring(text))


def test_the_version_of_the_schema_is_said_in_the_report() -> None:
    facts = empty().to_dict()
    assert facts["$schema"] == audit_schema()["$id"]
    assert facts["schema_version"] == SCHEMA_VERSION


def test_a_case_of_junit() -> None:
    audit = audit_of(
        model(
            [
                batch_norm("stem.bn", 8, 6, bias=True),
                layer_norm("a.norm"),
                layer_norm("a.norm", train=NormSpec("b s [c]", eps=0.0)),
            ]
        )
    )
    suite = ElementTree.fromstring(audit.to_junit().encode())[0]
    whole, stem, first, second = suite.findall("testcase")
    assert suite.get("name") == whole.get("classname") == "Net"
    assert [case.get("name") for case in (whole, stem, first, second)] == [
        "the model as a whole",
        "stem.bn",
        "a.norm",
        "a.norm (2)",
    ]
    assert len(first) == len(whole) == 0  # they passed
    assert [part.tag for part in stem] == ["system-out"]  # good to know, no failure
    assert (stem[0].text or "").startswith("NS401 info redundant-bias, stem.bn\n")
    assert second[0].get("type") == "error"
    assert (second[0].get("message") or "").startswith("NS201 eps-below-dtype: ")


def test_findings_about_the_model_come_first() -> None:
    audit = mixed()
    assert audit.to_dict()["findings"][0]["path"] == ""
    result = audit.to_sarif()["runs"][0]["results"][0]
    assert result["locations"][0]["logicalLocations"][0] == {
        "name": "the model as a whole",
        "kind": "module",
    }
    case = ElementTree.fromstring(audit.to_junit().encode())[0].find("testcase")
    assert case is not None
    assert "12 of the 16 convolutions" in "".join(case.itertext())


def test_what_does_not_count_is_told_and_does_not_fail() -> None:
    audit = accepted()
    results = audit.to_sarif()["runs"][0]["results"]
    suppressed = {
        result["ruleId"]: (result["suppressions"][0]["justification"], result["baselineState"])
        for result in results
        if "suppressions" in result
    }
    assert suppressed == {
        "NS302": ("test-time adaptation", "new"),
        "NS102": ("it is in the baseline", "unchanged"),
    }
    cases = ElementTree.fromstring(audit.to_junit().encode())[0].findall("testcase")
    told = {case.get("name"): case for case in cases}
    for path, words in (
        ("stem.bn", "allowed: test-time adaptation"),
        ("body.rows", "known, in the baseline"),
    ):
        assert told[path].find("failure") is None
        assert words in (told[path].findtext("system-out") or "")


def test_several_models_are_several_suites() -> None:
    root = ElementTree.fromstring(as_junit([mixed(), resnet()]).encode())
    assert Schema(DATA / "junit-10.xsd").problems(root) == []
    assert [suite.get("name") for suite in root] == ["Mixed", "Net"]
    assert root.get("tests") == f"{23 + 54}"


def fingerprints(audit: Audit) -> list[str]:
    return [
        result["partialFingerprints"]["normscope/v1"]
        for result in audit.to_sarif()["runs"][0]["results"]
    ]


def test_fingerprints_stay_where_lines_and_numbers_change() -> None:
    before = resnet(bias=True)
    sites = [replace(site, source="resnet.py:99", max_ulp=3.0) for site in before.layers]
    after = audit_of(replace(before.graph, sites=tuple(sites)))
    assert fingerprints(before) == fingerprints(after)
    assert len(set(fingerprints(before))) == 53


def test_fingerprints_tell_apart_two_findings_of_one_layer() -> None:
    eps = NormSpec("b s [c]", eps=0.0)
    audit = audit_of(model([layer_norm("n", train=eps, infer=eps)] * 2))
    one, two = fingerprints(audit)
    assert one != two


def test_what_xml_forbids_is_escaped() -> None:
    text = ALL["hostile"]().to_junit()
    assert "\\x1b[31m\\n\\u202e\\x00&amp;amp;\\ud800\\uffff" in text
    assert EVIL not in text


@pytest.mark.parametrize("name", ["mixed", "hostile"])
def test_reports_are_the_same_every_time(name: str) -> None:
    one, two = ALL[name](), ALL[name]()
    assert one.to_junit() == two.to_junit()
    assert as_json(one.to_sarif()) == as_json(two.to_sarif())
    assert as_json(one.to_dict()) == as_json(two.to_dict())
    assert one.to_html() == two.to_html()
    assert str(one) == str(two)


def test_the_reports_as_they_are(snapshot: Any) -> None:
    audit = audit_of(
        model(
            [
                batch_norm("stem.bn", 8, 6, bias=True),
                layer_norm("", train=NormSpec("b s [c]", eps=0.0), source="net.py:9"),
            ]
        )
    )
    folder = Path(__file__).parent / "snapshots"
    log = audit.to_sarif()
    driver = log["runs"][0]["tool"]["driver"]
    driver["rules"] = [rule["id"] for rule in driver["rules"]][:0]  # they grow with each release
    driver["version"] = driver["semanticVersion"] = "0"
    for result in log["runs"][0]["results"]:
        del result["ruleIndex"]
    snapshot(folder / "audit.sarif", as_json(log) + "\n")
    snapshot(folder / "audit.json", as_json(audit.to_dict()) + "\n")
    snapshot(folder / "audit.xml", audit.to_junit() + "\n")
    snapshot(folder / "audit.txt", str(audit) + "\n")


def printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["normscope", "audit", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0), capsys.readouterr().out


def test_the_command_prints_the_schema(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = printed(monkeypatch, capsys, "--schema")
    assert (status, json.loads(text)) == (0, audit_schema())


def test_the_command_prints_junit_of_several_models(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = [str(path) for path in sorted((ROOT / "examples").glob("seed_network_full_*.json"))]
    status, text = printed(monkeypatch, capsys, "--no-config", "--format", "junit", *seeds)
    assert status == 1
    names = [suite.get("name") for suite in ElementTree.fromstring(text.encode())]
    assert names == [Path(seed).name for seed in seeds]
