"""Processes that take turns: what differs between them is all that differs between their times.

Two networks in one process would share its threads, its caches and its freed memory. Here each has
a process, which waits while another one works: a slow minute of the machine falls on all of them.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from benchmarks.processes import ROOT
from benchmarks.timing import settle


class Worker:
    """A process that does one step each time it is asked to.

    Args:
        module: its name in this package; `MODULE.steps(**job)` returns the step, a function of
            nothing which returns a number.
        job: the arguments, which JSON can hold.
    """

    def __init__(self, module: str, job: Mapping[str, Any]) -> None:
        self.what = f"{module} {dict(job)}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.turns", module, json.dumps(dict(job))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True, env=os.environ,
        )  # fmt: skip

    def step(self) -> tuple[float, float]:
        """Seconds of one step, and the number that it returned.

        Raises:
            RuntimeError: the process has ended; what it said stands in the terminal.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended before: there is no answer either
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.what} ended with status {self._process.wait()}")
        seconds, value = json.loads(answer)
        return seconds, value

    def close(self) -> None:
        """End it, and wait until it has."""
        self._process.communicate()


def in_turn(
    module: str, jobs: Mapping[str, Mapping[str, Any]], rounds: int, warm_up: int = 2
) -> dict[str, list[tuple[float, float]]]:
    """Steps of all processes in turn, each round beginning with another one.

    Args:
        module: as for `Worker`.
        jobs: by name.
        rounds: steps of each that count.
        warm_up: steps of each before, which do not.

    Returns:
        By name: what `Worker.step` returned.
    """
    workers = {name: Worker(module, job) for name, job in jobs.items()}
    names = list(jobs)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    try:
        for turn in range(warm_up + rounds):
            for offset in range(len(names)):
                name = names[(turn + offset) % len(names)]
                answer = workers[name].step()
                if turn >= warm_up:
                    found[name].append(answer)
    finally:
        for worker in workers.values():
            worker.close()
    return found


def main() -> None:
    """The other side of `Worker`."""
    name, job = sys.argv[1:]
    step = importlib.import_module(f"benchmarks.{name}").steps(**json.loads(job))
    for _ in sys.stdin:
        settle()
        began = time.perf_counter()
        value = step()
        seconds = time.perf_counter() - began
        settle()  # or threads that still spin would take a core from the next process
        print(json.dumps([seconds, value]), flush=True)


if __name__ == "__main__":
    main()
