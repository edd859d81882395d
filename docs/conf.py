"""Configuration of the documentation: `make docs` builds it, offline, with warnings as errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import normscope

if TYPE_CHECKING:
    from docutils.nodes import Element
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

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
nitpick_ignore_regex = [(r"py:.*", r"(?!normscope\b).*")]


def resolve_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, contnode: Element
) -> Element | None:
    """A type is documented where it is public (normscope.NormSpec), not where it is written."""
    target = node.get("reftarget", "")
    name = target.rpartition(".")[2]
    if not target.startswith("normscope.") or name not in normscope.__all__:
        return None
    python = env.get_domain("py")
    return python.resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], f"normscope.{name}", node, contnode
    )


def setup(app: Sphinx) -> None:
    app.connect("missing-reference", resolve_public_name)
