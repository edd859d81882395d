"""Which steps of a body lie in which call of a layer, and what goes in and comes out of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from normscope.frameworks.torch.exported.program import Body, Layer, Ref, Step


@dataclass(frozen=True)
class Stay:
    """Neighbouring steps that lie in one call of a layer.

    Attributes:
        layer: the call.
        start, stop: the numbers of the first step, and of that behind the last.
        inputs: the names of what is used in it and was made before.
        outputs: the names of what is made in it and used behind it.
    """

    layer: Layer
    start: int
    stop: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def stays(body: Body) -> list[Stay]:
    """All stays in calls of layers, the outer before the inner where they begin together."""
    made = {
        name: number for number, step in enumerate(body.steps) for name in names_in(step.results)
    }
    used = [tuple(dict.fromkeys(refs_in((*s.arguments, *s.named.values())))) for s in body.steps]
    last: dict[str, int] = {}
    for number, names in enumerate(used):
        last.update(dict.fromkeys(names, number))
    last.update(dict.fromkeys(refs_in(body.outputs), len(body.steps)))
    found = []
    for start, stop, layer in _spans(body.steps):
        inside = range(start, stop)
        inputs = [n for number in inside for n in used[number] if made.get(n, start) < start]
        outputs = [
            name
            for number in inside
            for name in names_in(body.steps[number].results)
            if last.get(name, -1) >= stop
        ]
        found.append(Stay(layer, start, stop, tuple(dict.fromkeys(inputs)), tuple(outputs)))
    return found


def _spans(steps: Sequence[Step]) -> Iterator[tuple[int, int, Layer]]:
    open_at: list[tuple[Layer, int]] = []
    found: list[tuple[int, int, int, Layer]] = []
    for number in range(len(steps) + 1):
        layers = steps[number].layers if number < len(steps) else ()
        kept = 0
        while kept < min(len(layers), len(open_at)) and layers[kept] == open_at[kept][0]:
            kept += 1
        for depth in range(len(open_at) - 1, kept - 1, -1):
            layer, start = open_at.pop()
            found.append((start, depth, number, layer))
        open_at += [(layer, number) for layer in layers[kept:]]
    for start, _, stop, layer in sorted(found, key=lambda span: span[:2]):
        yield start, stop, layer


def names_in(results: Any) -> Iterator[str]:
    """The names of results."""
    if isinstance(results, str):
        yield results
    elif isinstance(results, tuple):
        for part in results:
            yield from names_in(part)


def refs_in(value: Any) -> Iterator[str]:
    """The names to which arguments refer; those of bodies are their own."""
    if isinstance(value, Ref):
        yield value.name
    elif isinstance(value, list | tuple):
        for part in value:
            yield from refs_in(part)
    elif isinstance(value, dict):
        yield from refs_in(tuple(value.values()))


def last_uses(body: Body) -> list[tuple[str, ...]]:
    """For each step, the names that nothing behind it uses."""
    last: dict[str, int] = {}
    for number, step in enumerate(body.steps):
        names = [*names_in(step.results), *refs_in((*step.arguments, *step.named.values()))]
        last.update(dict.fromkeys(names, number))
    for name in refs_in(body.outputs):
        last.pop(name, None)
    found: list[list[str]] = [[] for _ in body.steps]
    for name, number in last.items():
        found[number].append(name)
    return [tuple(names) for names in found]
