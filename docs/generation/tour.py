"""The report page of the tour: a live model, audited when the documentation is built."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import normscope as ns
from generation.pages import write_if_changed
from normscope.frameworks.layer_expression import layer_from_expression

EXAMPLE = Path(__file__).parents[2] / "examples" / "torch_network.py"


def write(folder: Path) -> None:
    """Write the report, which the page of the tour shows in a frame."""
    network = layer_from_expression(f"{EXAMPLE}:Network()")
    x = np.random.default_rng(0).standard_normal((4, 3, 56, 56)).astype(np.float32)
    write_if_changed(folder / "report.html", ns.audit(network, x).to_html())
