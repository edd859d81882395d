"""Configuration of the documentation: `make docs` builds it, offline, with warnings as errors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import normscope

sys.path.insert(0, str(Path(__file__).parent))

from generation import write_all

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
# parts of pages, which the pages include
exclude_patterns = [
    "_build",
    "generated/usual.md",
    "generated/gallery.md",
    "generated/symptoms.md",
    "generated/rules/list.md",
]
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["cards.css"]
html_extra_path = ["generated/report.html"]
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


def write_pages(app: Sphinx, config: object) -> None:
    """Pages that are made of the package are written anew, so that they cannot differ from it."""
    write_all(Path(app.srcdir))


def described_already(
    app: Sphinx, what: str, name: str, member: object, skip: bool, options: object
) -> bool | None:
    """The fields of a named tuple are described in the docstring of their class."""
    return True if type(member).__name__ == "_tuplegetter" else None


def setup(app: Sphinx) -> None:
    app.connect("autodoc-skip-member", described_already)
    app.connect("missing-reference", resolve_public_name)
    app.connect("config-inited", write_pages, priority=1)  # before it looks for what is written
