"""Loops that were followed, run again round by round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from normscope.graph.replay import CannotReplayError, replay
from normscope.graph.rules import Repeat

MOST_ROUNDS = 10_000


def repeated(rule: Repeat, arrays: Sequence[Any], stacked: int) -> list[Any]:
    """Run a loop on tensors.

    Args:
        rule: the loop.
        arrays: constants, carried and sliced.
        stacked: how many results are stacked.
    """
    constants = list(arrays[: rule.constants])
    carried = list(arrays[rule.constants : rule.constants + rule.carried])
    sliced = arrays[rule.constants + rule.carried :]
    stacks: list[list[Any]] = [[] for _ in range(stacked)]
    number = 0
    while _goes_on(rule, constants + carried, sliced, number):
        given = constants + carried + [one[number] for one in sliced]
        known = dict(zip(rule.body.inputs, given, strict=True))
        made = replay(rule.body, rule.body.outputs, known)
        carried = made[: rule.carried]
        for stack, one in zip(stacks, made[rule.carried :], strict=True):
            stack.append(one)
        number += 1
    return carried + [tf.stack(stack) for stack in stacks]


def _goes_on(rule: Repeat, given: Sequence[Any], sliced: Sequence[Any], number: int) -> bool:
    if rule.condition is None:
        return number < len(sliced[0])
    if number >= MOST_ROUNDS:
        raise CannotReplayError(f"a loop has more than {MOST_ROUNDS} rounds")
    known = dict(zip(rule.condition.inputs, given, strict=True))
    return bool(replay(rule.condition, rule.condition.outputs, known)[0])
