"""Rules are found: by their code, name or family, and a new one by standing in its folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from normscope import SpecError
from normscope.audit import find_rule
from normscope.audit.catalogue import selected_rules

SEED = Path(__file__).parents[2] / "examples" / "seed_network_full_th.json"

NEW_RULE = """NS999 layer-exists: a layer is there.

What it finds:
    Every layer.
"""

CHECK = f'''"""{NEW_RULE}"""
from normscope.audit.finding import Severity
from normscope.audit.rule import Rule

class LayerExists(Rule):
    code, name, since = "NS999", "layer-exists", "9.9"
    severity = Severity.INFO

    def check(self, site, graph):
        yield self.finding(site, "it is there", fix="leave it", evidence={{}})
'''


def test_rules_are_found_by_code_name_and_family() -> None:
    assert find_rule("ns103") is find_rule("rank-outside-contract")
    assert {rule.code for rule in selected_rules(["NS1"])} == {f"NS10{n}" for n in range(1, 9)}
    assert "NS103" not in {rule.code for rule in selected_rules(ignore=["NS1"])}
    for wrong in ("NS99", "N", "", "what"):
        with pytest.raises(SpecError, match="there is no rule"):
            selected_rules([wrong])


def test_a_rule_that_few_models_need_is_selected_by_its_name_alone() -> None:
    assert "NS207" not in {rule.code for rule in (*selected_rules(), *selected_rules(["NS2"]))}
    for own in ("NS207", "ns207", "batch-invariance"):
        assert [rule.code for rule in selected_rules([own])] == ["NS207"]


def test_a_new_rule_is_its_file(tmp_path: Path) -> None:
    (tmp_path / "ns999_layer_exists.py").write_text(CHECK)
    code = f"""
from normscope.audit import audit, find_rule, rules
rules.__path__.append({str(tmp_path)!r})
report = audit({str(SEED)!r}, select=["NS9"])
print({{found.code for found in report.findings}}, len(report.findings))
print(find_rule("layer-exists").summary)
print("NS999 info layer-exists" in str(report), "NS999" in report.to_html())
print(report.to_sarif()["runs"][0]["tool"]["driver"]["rules"][-1]["id"])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "{'NS999'} 8\na layer is there.\nTrue True\nNS999\n"
