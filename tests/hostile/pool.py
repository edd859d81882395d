"""A few processes that run commands, each one file after the other; one that ends is replaced."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import normscope

WORKER = Path(__file__).with_name("worker.py")
LONGEST = 120
"""Seconds of the wall clock after which a process is ended."""


@dataclass(frozen=True)
class Job:
    """A command.

    Attributes:
        arguments: of the command.
        folder: whose files it may read.
        trusted: what it does is not looked at, as where frameworks are loaded for the first time.
    """

    arguments: Sequence[str]
    folder: Path
    trusted: bool = False


@dataclass
class Outcome:
    """What came of a command.

    Attributes:
        status: of the command; a text where it did not end by itself.
        out, err: what it wrote.
        events: what it did that no file may cause.
        seconds: of the processor.
        memory: bytes beyond those that the process had before.
    """

    status: int | str
    out: str = ""
    err: str = ""
    events: list[str] = field(default_factory=list)
    seconds: float = 0
    memory: int = 0
    wall: float = 0


class Pool:
    """Runs jobs in processes of its own, which share nothing with the caller."""

    def __init__(self, base: Path, warm: Sequence[Job] = (), size: int = 2) -> None:
        """`warm` is run first in each process."""
        self._base = base
        self._warm = [replace(job, trusted=True) for job in warm]
        self._size = size

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """What came of each, in their order."""
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(len(jobs)):
            waiting.put(number)
        found: list[Outcome] = [Outcome("was not run")] * len(jobs)

        def serve(which: int) -> None:
            process = None
            while True:
                try:
                    number = waiting.get_nowait()
                except queue.Empty:
                    break
                if process is None:
                    process = _Process(self._base, which)
                    for job in self._warm:
                        process.run(job)
                found[number] = process.run(jobs[number])
                if process.ended:
                    process = None
            if process is not None:
                process.end()

        threads = [threading.Thread(target=serve, args=(n,)) for n in range(self._size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found


class _Process:
    def __init__(self, base: Path, which: int) -> None:
        scratch = base / f"scratch{which}"
        scratch.mkdir(exist_ok=True)
        self.ended = False
        self._errors = (scratch / "errors").open("w+b")
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER), str(base / "outside"), str(scratch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
            cwd=scratch,
            env=environment() | {"TMPDIR": str(scratch)},
        )

    def run(self, job: Job) -> Outcome:
        """What came of a job."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(LONGEST, self._process.kill)
        timer.start()
        try:
            asked = {
                "arguments": list(job.arguments),
                "folder": str(job.folder),
                "trusted": job.trusted,
            }
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        finally:
            timer.cancel()
        if answer:
            return Outcome(**json.loads(answer))
        self.ended = True
        code = self._process.wait()
        name = signal.Signals(-code).name if code < 0 else f"status {code}"
        self._errors.seek(0)
        said = self._errors.read()[-2000:].decode("utf-8", "replace")
        self._errors.close()
        return Outcome(f"the process ended by {name}", err=said)

    def end(self) -> None:
        """End it, as there are no more jobs."""
        self._process.communicate()
        self._errors.close()


def environment() -> dict[str, str]:
    """The surroundings of a process that runs the normscope that is tested."""
    own = {name: value for name, value in os.environ.items() if "PROXY" not in name.upper()}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return (
        own
        | threads
        | {
            "JAX_COMPILATION_CACHE_DIR": "",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(Path(normscope.__file__).parent.parent),
        }
    )
