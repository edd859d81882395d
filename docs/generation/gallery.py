"""The gallery: every usual normalization with picture, formula and the layer of each framework."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import normscope as ns
from generation.pages import stacked, write_if_changed
from normscope.explain.reports.mathml import mathml_formula
from normscope.explain.reports.picture import picture
from normscope.explain.reports.sentence import what_is_normalized
from normscope.explain.reports.svg import draw_svg
from normscope.frameworks.registry import advice_of

FRAMEWORKS = {"torch": "PyTorch", "keras": "Keras", "flax": "Flax", "onnx": "ONNX"}


@dataclass(frozen=True)
class Entry:
    """One normalization.

    Attributes:
        name: as people call it.
        pattern: the pattern.
        shape: of the input that is drawn.
        said: one sentence on what it is for.
        fields: of the spec, and sizes.
    """

    name: str
    pattern: str
    shape: tuple[int, ...]
    said: str
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def explanation(self) -> ns.Explanation:
        """What explain says of it."""
        return ns.explain(ns.spec(self.pattern, **self.fields), self.shape)


_AFFINE = {"scale": "c", "bias": "c"}
_RUNNING = {"running": ns.Running(decay=0.9)}
FIRST, LAST, TOKENS = (4, 8, 5, 5), (4, 5, 5, 8), (4, 6, 8)

USUAL = (
    Entry(
        "Batch norm",
        "[b] c [h w]",
        FIRST,
        "Each channel over the whole batch: samples see each other in training, and inference uses "
        "what was remembered.",
        {**_AFFINE, **_RUNNING},
    ),
    Entry(
        "Layer norm",
        "b t [c]",
        TOKENS,
        "Each token over its features: nothing leaks between tokens or samples.",
        _AFFINE,
    ),
    Entry(
        "Instance norm",
        "b c [h w]",
        FIRST,
        "Each channel of each image over its positions: contrast and style are removed.",
        _AFFINE,
    ),
    Entry(
        "Group norm",
        "b (g [c]) [h w]",
        FIRST,
        "Groups of channels of each image: between layer norm and instance norm, for any batch "
        "size.",
        {"scale": "g c", "bias": "g c", "g": 2},
    ),
    Entry(
        "RMS norm",
        "b t [c]",
        TOKENS,
        "Each token divided by its root mean square: layer norm without a mean.",
        {"scale": "c", "center": False, "measure": "mean_square"},
    ),
)

MORE = (
    Entry(
        "Batch norm, channels last",
        "[b h w] c",
        LAST,
        "The same with the channels on the last axis, as in Keras and Flax.",
        {**_AFFINE, **_RUNNING},
    ),
    Entry(
        "Batch norm of vectors",
        "[b] c",
        (6, 8),
        "Each feature over the batch.",
        {**_AFFINE, **_RUNNING},
    ),
    Entry(
        "Layer norm of pixels, channels first",
        "b [c] h w",
        FIRST,
        "Each pixel over its channels, as in ConvNeXt.",
        _AFFINE,
    ),
    Entry(
        "Layer norm of whole samples",
        "b [c h w]",
        FIRST,
        "Everything of one sample: group norm with one group.",
        _AFFINE,
    ),
    Entry(
        "Instance norm, channels last", "b [h w] c", LAST, "Each channel of each image.", _AFFINE
    ),
    Entry(
        "Group norm, channels last",
        "b [h w] (g [c])",
        LAST,
        "Groups of channels of each image.",
        {"scale": "g c", "bias": "g c", "g": 2},
    ),
    Entry(
        "Ghost batch norm",
        "(p [b]) c [h w]",
        FIRST,
        "Batch norm of parts of the batch, each on its own.",
        {**_AFFINE, "p": 2},
    ),
    Entry(
        "Unit norm",
        "b [c]",
        (4, 8),
        "Each vector is divided by its length.",
        {"center": False, "measure": "l2", "eps": 0.0, "floor": 1e-12},
    ),
    Entry(
        "QK norm, one head at a time",
        "b n t [c]",
        (2, 4, 5, 6),
        "Queries and keys of attention, each head on its own.",
        {"scale": "c", "center": False, "measure": "mean_square"},
    ),
    Entry(
        "Keras 1 mode=1, as coded",
        "b c h [w]",
        FIRST,
        "The founding question: each image row on its own.",
        {"scale": "w", "bias": "w"},
    ),
)


def write(folder: Path) -> None:
    """Write what the first page and the gallery include."""
    write_if_changed(folder / "usual.md", "\n".join(_cards(USUAL)) + "\n")
    entries = "\n\n".join(_whole(entry) for entry in (*USUAL, *MORE))
    write_if_changed(folder / "gallery.md", f"{entries}\n")


def _cards(entries: tuple[Entry, ...]) -> Iterator[str]:
    """Pictures side by side, one sentence and one line of code each."""
    yield '```{raw} html\n<div class="cards">'
    for entry in entries:
        yield (
            f'<section class="card"><h3>{entry.name}</h3>{_svg(entry)}'
            f"<p>{entry.said}</p><pre>{_code(entry)}</pre></section>"
        )
    yield "</div>\n```"


def _whole(entry: Entry) -> str:
    """Picture, formula, and the layer in each framework."""
    explanation = entry.explanation
    layers = []
    for name, title in FRAMEWORKS.items():
        layer = advice_of(name).layer(explanation.spec, explanation.layout)
        code = f"`{layer.code}`" if layer else "none"
        more = f" ({layer.difference})" if layer and layer.difference else ""
        layers.append(f"| {title} | {code}{more} |")
    keywords = "".join(f", {name}={size}" for name, size in explanation.spec.sizes.items())
    return "\n".join(
        [
            f"## {entry.name}",
            "",
            f'`"{entry.pattern}"{keywords}`: {entry.said} It normalizes '
            f"{what_is_normalized(explanation)}, for an input of shape {entry.shape}.",
            "",
            "```{raw} html",
            f'<figure class="scrolls">{_svg(entry)}</figure>',
            f'<div class="formula scrolls">{mathml_formula(explanation.spec)}</div>',
            "```",
            "",
            stacked("\n".join(["| framework | layer |", "|-|-|", *layers])),
        ]
    )


def _svg(entry: Entry) -> str:
    explanation = entry.explanation
    return draw_svg(picture(explanation.layout, explanation.labels), least_width=0)


def _code(entry: Entry) -> str:
    """One line that runs it."""
    spec = entry.explanation.spec
    keywords = "".join(f", {name}={size}" for name, size in spec.sizes.items())
    if not spec.center:
        keywords += f', center=False, measure="{spec.measure}"'
    return f'ns.normalize(x, "{entry.pattern}"{keywords})'
