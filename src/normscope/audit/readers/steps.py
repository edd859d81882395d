"""How often a training step updates running statistics, where it may be more than once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from normscope.audit.found.site import FoundSite
from normscope.audit.model_graph import Site
from normscope.audit.training_signs import moves_statistics
from normscope.frameworks.inputs import Inputs
from normscope.frameworks.live import Live
from normscope.graph.statistics_flow import before_moves


def with_steps(
    live: Live, given: Inputs, found: Sequence[FoundSite], sites: Sequence[Site]
) -> list[Site]:
    """The sites; those that may be updated more than once in a step with how often that is.

    These are layers that are called more than once in training, and those that activation
    checkpointing runs again, or may run again where gradients are recorded. A step is made of them
    alone, as it takes its time; where none can be made, it counts what the graph shows: calls of a
    layer with the very same value.
    """
    moving = {
        number: one.placed[True].site
        for number, (one, site) in enumerate(zip(found, sites, strict=True))
        if True in one.placed and moves_statistics(site)
    }
    calls: dict[str, list[int]] = {}
    for number, site in moving.items():
        calls.setdefault(site.call.path, []).append(number)
    any_again = bool(moving) and live.may_run_layers_again()
    doubtful = {
        path: numbers
        for path, numbers in calls.items()
        if any_again or len(numbers) > 1 or any(moving[n].call.again for n in numbers)
    }
    if not doubtful:
        return list(sites)
    counted = _counted(live, given, list(doubtful))
    shown = list(sites)
    for path, numbers in doubtful.items():
        values = {before_moves(moving[n].x) for n in numbers}
        updates, inputs = counted.get(path, (len(numbers), len(values)))
        for n in numbers:
            stands = replace(sites[n].condition, updates_per_step=updates, inputs_per_step=inputs)
            shown[n] = replace(sites[n], condition=stands)
    return shown


def _counted(live: Live, given: Inputs, paths: list[str]) -> dict[str, tuple[int, int]]:
    with live.kept():
        live.put_back()
        try:
            return live.updates_in_a_step(given, paths)
        except Exception:  # a model may refuse a backward pass by any exception
            return {}
