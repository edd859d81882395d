"""Configuration of the documentation: `make docs` builds it, offline, with warnings as errors."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

import normscope
from normscope.audit import all_rules

if TYPE_CHECKING:
    from docutils.nodes import Element
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

    from normscope.audit.rule import Rule

project = "normscope"
author = "the normscope contributors"
copyright = author
version = release = normscope.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"normscope {version}"

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# Every reference to normscope must resolve; those to other projects would need their inventories.
# the built-in `type`, where several classes have an attribute of that name
suppress_warnings = ["ref.python"]
nitpick_ignore_regex = [(r"py:.*", r"(?!normscope\b).*")]


def resolve_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: Element
) -> Element | None:
    """A type is documented where users import it (normscope.NormSpec), not where it is written."""
    target = node.get("reftarget", "")
    python = env.get_domain("py")
    ending = "." + target.rpartition(".")[2]
    documented = [known for known in python.objects if known.endswith(ending)]
    if not target.startswith("normscope.") or len(documented) != 1:
        return None
    return python.resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], documented[0], node, contnode
    )


def add_rules(app: Sphinx, docname: str, source: list[str]) -> None:
    """The page of the rules is made of their docstrings, so that it cannot differ from them."""
    if docname == "rules":
        source[0] += "\n".join(rule_page(rule) for rule in all_rules())


def rule_page(rule: Rule) -> str:
    """One rule in Markdown: its headings become the terms of a definition list."""
    _, *lines = rule.documentation.splitlines()
    text = textwrap.dedent("\n".join(lines))
    text = re.sub(r"^(\S.*):$\n\s+", r"\n\1\n: ", text, flags=re.M)
    return (
        f"\n## {rule.code} {rule.name}\n\n{rule.summary[0].upper()}{rule.summary[1:]}\n"
        f"Severity: {rule.severity}; since {rule.since}.\n\n{text}\n"
    )


def described_already(
    app: Sphinx, what: str, name: str, member: object, skip: bool, options: object
) -> bool | None:
    """The fields of a named tuple are described in the docstring of their class."""
    return True if type(member).__name__ == "_tuplegetter" else None


def setup(app: Sphinx) -> None:
    app.connect("autodoc-skip-member", described_already)
    app.connect("missing-reference", resolve_public_name)
    app.connect("source-read", add_rules)
