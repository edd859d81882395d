"""Pages that are made of the package: each rule has one, each reference is a link."""

from __future__ import annotations

from pathlib import Path

import pytest

from generation import gallery, rule_pages, symptoms
from generation.references import REPOSITORIES, linked, named, numbers_alone, unlinked
from normscope.audit import all_rules, find_rule
from normscope.audit.rule import Rule


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.code)
def test_every_reference_of_a_rule_is_a_link(rule: Rule) -> None:
    references = rule.documentation.partition("References:")[2]
    assert "](https://" in linked(references)
    assert unlinked(references) == []
    assert numbers_alone(references) == []


def test_a_reference_that_is_no_link_is_noticed() -> None:
    assert unlinked("nobody#3, keras#1921, owner/name PR 4") == ["nobody#3"]
    assert numbers_alone("keras#1921 and #1922") == ["#1922"]
    assert linked("keras PR\n    7").endswith("](https://github.com/keras-team/keras/issues/7)")


def test_no_repository_is_known_that_no_rule_names() -> None:
    used = set().union(*(named(rule.documentation) for rule in all_rules()))
    assert sorted(REPOSITORIES.keys() - used) == []


def test_the_page_of_a_rule_has_all_that_its_docstring_has() -> None:
    page = rule_pages.page(find_rule("NS101"))
    assert "](https://github.com/pytorch/pytorch/issues/45687)" in page
    for heading in ("## What it finds", "## Measured", "## What one sees", "## References"):
        assert f"\n{heading}\n" in page


def test_every_rule_is_in_the_list_and_under_a_symptom(tmp_path: Path) -> None:
    symptoms.write(tmp_path)
    by_symptom = (tmp_path / "symptoms.md").read_text(encoding="utf-8")
    for rule in all_rules():
        assert f"| [{rule.code} {rule.name}](" in rule_pages.table()
        # those of NS0 are about what is allowed, which shows in no model
        assert (f"[{rule.name}](" in by_symptom) is not rule.code.startswith("NS0")


def test_what_the_gallery_shows_is_what_the_pattern_says(tmp_path: Path) -> None:
    gallery.write(tmp_path)
    page = (tmp_path / "gallery.md").read_text(encoding="utf-8")
    assert page.count("\n## ") + 1 == len(gallery.USUAL) + len(gallery.MORE)
    assert "`torch.nn.GroupNorm(num_groups=2, num_channels=8, eps=1e-05)`" in page
    usual = (tmp_path / "usual.md").read_text(encoding="utf-8")
    assert usual.count("<svg") == len(gallery.USUAL)
