"""Every hostile file is refused in one line, or read as far as that goes; nothing else happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from hostile import corpus
from hostile.case import Case, Expected
from hostile.judgement import problems
from hostile.pool import Job, Outcome, Pool
from hostile.worker import CANARY

pytestmark = [
    pytest.mark.framework,
    pytest.mark.skipif(sys.platform == "win32", reason="pipes and limits of POSIX"),
]

CASES = corpus.cases()


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """What came of each file; all are run in a few processes, by the first worker that asks."""
    import fcntl  # there is none on Windows, where these tests are left out

    own = tmp_path_factory.mktemp("hostile")
    shared = own.parents[1] if "PYTEST_XDIST_WORKER" in os.environ else own
    with (shared / "hostile.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may be at it, and then writes them here
        kept = shared / "hostile.json"
        if not kept.exists():
            base = shared / "corpus"
            corpus.base_folders(base)
            found = corpus.outcomes(CASES, base)
            kept.write_text(json.dumps({name: asdict(one) for name, one in found.items()}))
        return {name: Outcome(**one) for name, one in json.loads(kept.read_text()).items()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case.name))
def test_each_file(case: Case, outcomes: dict[str, Outcome]) -> None:
    assert not problems(outcomes[case.name], case.expected, case.said)


def test_there_are_enough() -> None:
    assert len(CASES) == len({case.name for case in CASES}) > 600
    for family in corpus.FAMILIES:
        if family.title not in corpus.WITHOUT_GOOD_ONES:
            assert any(case.expected is Expected.READ for case in family.cases), family.title


# --- the guard itself -----------------------------------------------------------------------------


HARM = {
    "os.system": "import os; os.system('true')",
    "subprocess": "import subprocess; subprocess.run(['true'])",
    "socket": "import socket; socket.socket().connect(('127.0.0.1', 9))",
    "a file outside": "open('{outside}/secret').read()",
    "a file made": "open('{outside}/fired', 'w').close()",
    "a folder made": "import os; os.mkdir('{outside}/folder')",
    "the canary": f"import {CANARY}",
    "marshalled code": "import marshal; marshal.loads(marshal.dumps(compile('1', 'a', 'eval')))",
    "a pickle": "import pickle; pickle.loads(b'cos\\nsystem\\n.')",
}


@pytest.fixture(scope="module")
def harm(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """Python of the user's own that does what no file may; the guard sees it."""
    base = tmp_path_factory.mktemp("harm")
    outside = corpus.base_folders(base)
    jobs = []
    for number, code in enumerate(HARM.values()):
        folder = base / "cases" / f"{number}"
        folder.mkdir(parents=True)
        text = f"try:\n    {code.format(outside=outside)}\nexcept BaseException:\n    pass\n"
        (folder / "net.py").write_text(text + "net = abs\n")
        jobs.append(Job(["audit", f"{folder}/net.py:net", "--shape", "2,3"], folder))
    return Pool(base, size=1).run(jobs)


@pytest.mark.parametrize("number", range(len(HARM)), ids=list(HARM))
def test_the_guard_sees_what_is_done(number: int, harm: list[Outcome]) -> None:
    assert harm[number].events


# --- the real command -----------------------------------------------------------------------------


SHOWN = (
    "torch checkpoint: as torch writes it",
    "torch checkpoint: os.system, protocol 2",
    "torch checkpoint: pickle: a name of 10 MB",
    "ONNX: numbers at ../",
    "ONNX: an array that is too short",
    "safetensors: a header of 2**63 bytes",
)


@pytest.mark.parametrize("name", SHOWN)
def test_the_command_itself_does_the_same(
    name: str, outcomes: dict[str, Outcome], tmp_path: Path
) -> None:
    case = next(case for case in CASES if case.name == name)
    corpus.base_folders(tmp_path)
    job = corpus.job(case, 0, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "normscope", *job.arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=corpus.environment(),
        check=False,
    )
    in_process = outcomes[name]
    assert done.returncode == in_process.status
    # a long message is cut, and the folders are not of the same length
    shown = [line.replace(str(job.folder), "")[:500] for line in done.stderr.splitlines()[:1]]
    assert shown == [
        line.replace(folder_in(line), "")[:500] for line in in_process.err.splitlines()[:1]
    ]


def folder_in(line: str) -> str:
    """The folder of a case that a message names."""
    found = [word for word in line.split() if "/cases/" in word]
    return found[0].rpartition("/")[0] if found else "\0"
