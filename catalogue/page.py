"""`computed.json` and the findings, as a page of the documentation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2

from catalogue.finding import KINDS, findings
from normscope import NormSpec
from normscope.explain.formula import plain_formula

DATA = Path(__file__).with_name("computed.json")
PAGE = Path(__file__).parents[1] / "docs" / "computed.md"
TEMPLATE = Path(__file__).with_name("page.md.j2")

BACKENDS = {"jax": "JAX", "tensorflow": "TensorFlow", "torch": "torch"}


def write(found: dict[str, Any]) -> None:
    """Keep what was found, and write the page."""
    DATA.write_text(_dumped(found), encoding="utf-8")
    PAGE.write_text(rendered(found), encoding="utf-8")


def _dumped(found: dict[str, Any]) -> str:
    """As JSON with one line per row, so that a change is seen as one."""
    parts = []
    for name, part in found.items():
        rows = ",\n".join(f"  {json.dumps(row)}" for row in part["rows"])
        head = json.dumps({key: value for key, value in part.items() if key != "rows"})
        parts.append(f'{json.dumps(name)}: {head[:-1]}, "rows": [\n{rows}\n]}}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def rendered(found: dict[str, Any]) -> str:
    """The page in Markdown."""
    environment = jinja2.Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    every = findings()
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        groups=list(_groups(found)),
        kinds={kind: [finding for finding in every if finding.kind == kind] for kind in KINDS},
        versions=_versions(found),
    )


def _versions(found: dict[str, Any]) -> dict[str, str]:
    return {name: v for part in found.values() for name, v in part["versions"].items()}


def _groups(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One table per framework; backends that find the same share a row."""
    titles = dict.fromkeys(part["title"] for part in found.values())
    for title in titles:
        parts = {name: part for name, part in found.items() if part["title"] == title}
        yield {"title": title, "rows": list(_rows(parts))}


def _rows(parts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for same_layer in zip(*(part["rows"] for part in parts.values()), strict=True):
        backends: dict[str, list[str]] = {}
        for name, row in zip(parts, same_layer, strict=True):
            backend = name.partition(" on ")[2]
            backends.setdefault(json.dumps(row), []).append(BACKENDS.get(backend, ""))
        for text, names in backends.items():
            yield _cells(json.loads(text), names if len(backends) > 1 else [])


def _cells(row: dict[str, Any], backends: list[str]) -> dict[str, Any]:
    train, infer = _spec(row["train"]), _spec(row["infer"])
    spec = train or infer
    return {
        "layer": row["layer"].removeprefix("lambda x: ").replace(", rngs=rngs", ""),
        "backends": backends,
        "shape": "×".join(str(length) for length in row["shape"]),
        "train": _statistics(row, "train", train),
        "declared": (row["declared"] or {}).get("pattern"),
        "infer": _inference(row, train, infer),
        "formula": "" if spec is None else _formula(spec),
        "learned": "" if spec is None else _learned(spec),
        "memory": "" if spec is None else _memory(spec),
    }


def _spec(fields: dict[str, Any] | None) -> NormSpec | None:
    return None if fields is None else NormSpec.from_dict(fields)


def _statistics(row: dict[str, Any], mode: str, spec: NormSpec | None) -> str:
    """Which elements share statistics; without a spec, who sees whom."""
    if spec is not None and spec.pattern is not None:
        sizes = ", ".join(f"{name}={size}" for name, size in spec.sizes.items())
        return f"`{spec.pattern}`" + (f" {sizes}" if sizes else "")
    if spec is not None:
        return "stored statistics"
    axes = row[f"{mode}_axes"].items()
    words = ", ".join(f"{name} {word}" for name, word in axes if word != "independent")
    words = words or ("each element alone" if axes else "")
    return f"unknown ({words})" if row["kind"] == "unknown" else words


def _inference(row: dict[str, Any], train: NormSpec | None, infer: NormSpec | None) -> str:
    """What differs from training, and whether samples see each other."""
    text = _statistics(row, "infer", infer)
    parts = [] if text == _statistics(row, "train", train) else [text]
    if row["infer_axes"].get("b", "independent") != "independent":
        parts.append("**samples see each other**")
    return ", ".join(parts)


def _formula(spec: NormSpec) -> str:
    """What is computed before scale and bias."""
    text = plain_formula(replace(spec, scale=None, scale_shift=0, bias=None))
    return text.removeprefix("y = ").replace("|", "\\|")  # a bar would end the cell


def _learned(spec: NormSpec) -> str:
    """Along which axes scale and bias vary; a single number varies along none."""
    if spec.scale is not None and spec.scale == spec.bias:
        return f"both: {spec.scale or 'one number'}"
    given = {"scale": spec.scale, "bias": spec.bias}
    parts = [f"{word}: {axes or 'one number'}" for word, axes in given.items() if axes is not None]
    return ", ".join(parts) or "none"


def _memory(spec: NormSpec) -> str:
    if spec.running is None:
        return ""
    if spec.running.decay == 1:
        return "never updated"
    return f"{spec.running.decay:g}, N − 1" if spec.running.ddof else f"{spec.running.decay:g}, N"
