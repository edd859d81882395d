"""What a conversion did and found, and the report of it in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from normscope.errors import printable
from normscope.wording import counted

TOLERANCE_FILE = 1e-4  # float32 against float64, relative to the largest output
TOLERANCE_SAVED = 1e-6


@dataclass(frozen=True)
class LayerReport:
    """One call of a layer: what it became, and how far the checks are off (None: not checked)."""

    path: str
    layer_class: str
    became: str
    output_shape: tuple[int, ...]
    changes: tuple[str, ...]
    off_file: float | None
    off_saved: float


@dataclass(frozen=True)
class Conversion:
    """What a conversion did and found; `str` gives the report."""

    source: str
    target: str
    release: str | None
    backend: str | None
    input_shapes: tuple[tuple[int, ...], ...]
    layers: tuple[LayerReport, ...]
    off_whole: float
    assumed: tuple[str, ...]
    contracts: tuple[str, ...]
    data: str = ""

    @property
    def differs(self) -> bool:
        """Whether a check failed, or something of the file was assumed or left out."""
        off_file = any((layer.off_file or 0) > TOLERANCE_FILE for layer in self.layers)
        off_saved = any(layer.off_saved > TOLERANCE_SAVED for layer in self.layers)
        return off_file or off_saved or self.off_whole > TOLERANCE_FILE or bool(self.assumed)

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def _lines(report: Conversion) -> Iterator[str]:
    written = f"Keras {report.release or '1'}"
    by = f" on {report.backend}" if report.backend else ""
    yield f"{printable(report.source)} -> {printable(report.target)}"
    yield f"written by {written}{by}; {counted(len(report.layers), 'call')} of layers"
    yield ""
    rows = [
        (
            layer.path,
            layer.became,
            "x".join(map(str, layer.output_shape[1:])) or "1",
            "not checked" if layer.off_file is None else f"{layer.off_file:.1e}",
            "equal" if layer.off_saved == 0 else f"{layer.off_saved:.1e}",
            "; ".join(layer.changes),
        )
        for layer in report.layers
    ]
    yield from _table([("layer", "became", "output", "file", "saved", "changed"), *rows])
    yield ""
    shapes = ", ".join(map(str, report.input_shapes))
    checked = [layer.off_file for layer in report.layers if layer.off_file is not None]
    yield f"largest differences, relative to the largest output, on random input {shapes}:"
    yield (
        f"  file   {max(checked, default=0.0):.1e}  {len(checked)} of "
        f"{counted(len(report.layers), 'layer')} computed anew in NumPy from the old file"
    )
    others = sorted({layer.layer_class for layer in report.layers if layer.off_file is None})
    if others:
        yield f"                  not computed: {', '.join(others)}"
    off_saved = max((layer.off_saved for layer in report.layers), default=0.0)
    yield f"  saved  {off_saved:.1e}  the new file, loaded again, against the model in memory"
    yield f"  whole  {report.off_whole:.1e}  model.predict against its layers one by one"
    if report.data:
        yield from ("data: " + report.data).splitlines()
    for kind, messages in (("assumed", report.assumed), ("note", report.contracts)):
        yield from (f"{kind}: {printable(message)}" for message in messages)
    yield ""
    yield f"to load it: normscope.keras1.load_model({report.target!r})"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield ("  " + "  ".join(cells)).rstrip()
