"""Pages that are made of the package: each rule has one, each reference is a link."""

from __future__ import annotations

from pathlib import Path

import pytest

from generation import gallery, rule_pages, symptoms
from generation.references import unlinked
from normscope.audit import all_rules
from normscope.audit.rule import Rule


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.code)
def test_every_reference_of_a_rule_is_a_link(rule: Rule) -> None:
    references = rule.documentation.partition("References:")[2]
    assert references.strip()
    assert unlinked(references) == []


def test_the_page_of_a_rule_has_all_that_its_docstring_has() -> None:
    page = rule_pages.page(all_rules()[0])
    assert "](https://github.com/pytorch/pytorch/issues/45687)" in page
    for heading in ("## What it finds", "## Measured", "## What one sees", "## References"):
        assert f"\n{heading}\n" in page


def test_every_rule_is_in_the_list_and_under_a_symptom(tmp_path: Path) -> None:
    symptoms.write(tmp_path)
    by_symptom = (tmp_path / "symptoms.md").read_text(encoding="utf-8")
    for rule in all_rules():
        assert f"| {rule.name} |" in rule_pages.table()
        assert f"[{rule.name}](" in by_symptom


def test_what_the_gallery_shows_is_what_the_pattern_says(tmp_path: Path) -> None:
    gallery.write(tmp_path)
    page = (tmp_path / "gallery.md").read_text(encoding="utf-8")
    assert page.count("\n## ") + 1 == len(gallery.USUAL) + len(gallery.MORE)
    assert "`torch.nn.GroupNorm(num_groups=2, num_channels=8, eps=1e-05)`" in page
    usual = (tmp_path / "usual.md").read_text(encoding="utf-8")
    assert usual.count("<svg") == len(gallery.USUAL)
