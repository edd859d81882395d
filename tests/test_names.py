"""Names of files are untrusted: none reaches a screen or a report but escaped, on any terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from normscope import audit, cli
from normscope.cli.output import as_json

ROOT = Path(__file__).parents[1]
SEED = (ROOT / "examples" / "seed_network_full_th.json").read_bytes()

NAMES = {
    "line break": b"a\nnormscope: b.json",
    "colour": b"\x1b[31mred\x1b[0m.json",
    "turned writing": "a\u202egnp.json".encode(),
    "not UTF-8": b"\xff\xfe.json",
    "control in Latin-1": "\x9b31m.json".encode(),
    "markup": b"<img src=x onerror=alert(1)> [bold].json",
    "format": b"a%s {0} %0a.json",
}
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["normscope", *arguments])
        try:
            cli.main()
            status = 0
        except SystemExit as ended:
            status = int(ended.code or 0)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def can_be_shown(text: str) -> bool:
    text.encode()  # no surrogates
    return all(line.isprintable() for line in text.split("\n"))


@pytest.fixture(params=NAMES.values(), ids=NAMES)
def name(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file of such a name in the working directory."""
    monkeypatch.chdir(tmp_path)
    path = os.fsdecode(request.param)
    Path(path).write_bytes(SEED)
    return path


def test_a_report_shows_the_name_escaped(run: Run, name: str) -> None:
    for form in ("text", "json", "sarif", "html"):
        status, out, err = run("audit", "--format", form, "--", name)
        assert (status, err) == (1, "")
        assert can_be_shown(out)
        path = Path("report")
        assert run("audit", "--format", form, "-o", "report", "--", name)[0] == 1
        assert path.read_text(encoding="utf-8") == out
    for text in (str(report := audit(name)), report.to_html()):
        assert can_be_shown(text)


def test_the_name_stays_one_line_and_no_markup(run: Run, name: str) -> None:
    first, second, *_ = run("audit", "--", name)[1].splitlines()
    assert first.startswith("Each of the 8 normalization layers")
    assert second.endswith(": model model_1, written by Keras 1.2.2, JSON without weights")
    tags: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append(tag)  # type: ignore[method-assign]
    parser.feed(run("audit", "--format", "html", "--", name)[1])
    assert "h1" in tags
    assert "img" not in tags


def test_sarif_names_the_file_as_a_uri(run: Run, name: str) -> None:
    log = json.loads(run("audit", "--format", "sarif", "--", name)[1])
    place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    uri = place["artifactLocation"]["uri"]
    assert uri.isascii()
    assert unquote_to_bytes(uri) == os.fsencode(name)


@pytest.mark.parametrize(
    "arguments",
    [
        ["audit", "--", "{}.missing"],
        ["audit", "-o", "missing/{}", "--", "{}"],
        ["audit", "--select", "{}", "--", "{}"],
        pytest.param(["convert", "--", "{}", "new.keras"], marks=pytest.mark.framework),
        pytest.param(["convert", "--", "{}.missing", "new.keras"], marks=pytest.mark.framework),
        pytest.param(["convert", "--", "{}", "{}"], marks=pytest.mark.framework),
        pytest.param(["convert", "--", "{}", "missing/{}.keras"], marks=pytest.mark.framework),
        ["scope", "--shape", "2,3", "--", "{}.py:f"],
        ["scope", "--shape", "2,3", "--", "{}"],
        ["scope", "--input", "{}.npy", "--", "math:sqrt"],
        ["identify", "--shape", "2,3", "--", "{}"],
        ["identify", "--shape", "2,3", "--axes", "{}", "--", "math:sqrt"],
        ["explain", "--shape", "2,3", "--", "{}"],
        ["explain", "--shape", "{}", "--", "b [c]"],
        ["rules", "--", "{}"],
        ["warmup", "--", "{}"],
        ["{}"],
        ["audit", "--{}"],
    ],
    ids=" ".join,
)
def test_every_command_refuses_such_a_name_in_words(
    run: Run, name: str, arguments: list[str]
) -> None:
    status, out, err = run(*(argument.replace("{}", name) for argument in arguments))
    assert (status, out) == (2, "")
    assert can_be_shown(err)
    assert "Traceback" not in err
    assert "fault of normscope" not in err


def test_json_escapes_what_cannot_be_shown_and_means_the_same() -> None:
    value = {"a\x7f": "\u202e\ud800 \U000e0001 é\n\x9b"}
    text = as_json(value)
    assert can_be_shown(text)
    assert json.loads(text) == value
    assert "é" in text


# ------------------------------------------------------------- terminals, pipes, exit statuses


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "normscope", *arguments],
        capture_output=True,
        cwd=ROOT,
        env=os.environ | environment,
        check=False,
    )


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
    ids=["PYTHONIOENCODING", "LC_ALL"],
)
def test_a_terminal_of_ascii_gets_what_looks_alike(environment: dict[str, str]) -> None:
    environment = {"PYTHONUTF8": "0", **environment}
    done = command(
        "explain", "b [s...] (g [c])", "--size", "g=2", "--shape", "2,3,4", **environment
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"# one statistics set: 6 values   . the other 3 sets" in done.stdout
    assert done.stdout.isascii()
    helped = command("explain", "--help", **environment)
    assert (helped.returncode, helped.stderr) == (0, b"")


CLEAN = ["audit", "examples/seed_network_full_th.json", "--select", "NS4"]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["rules"], 0), (["--help"], 0), (CLEAN, 0), (CLEAN[:2], 1), (["audit", "missing"], 2)],
    ids=["rules", "help", "clean", "findings", "missing"],
)
def test_a_closed_pipe_leaves_the_status_of_the_answer(
    arguments: list[str], status: int, unbuffered: str
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "normscope", *arguments],
            stdout=writer,
            stderr=subprocess.PIPE if status < 2 else writer,
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr or b"") == (status, b"")


@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_closed_errors_are_no_findings(closed: str) -> None:
    line = f'"$@" {closed}'
    shell = ["sh", "-c", line, "sh", sys.executable, "-m", "normscope", "audit", "missing"]
    done = subprocess.run(shell, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError("Unable to allocate 9 GiB"), "there is not enough memory for this: Unable to"),
        (MemoryError(), "there is not enough memory for this"),
        (KeyError("a\nb"), "this is a fault of normscope, please report it"),
        (RecursionError("too deep"), "RecursionError: too deep (in "),
    ],
    ids=repr,
)
def test_whatever_is_raised_is_one_line_and_status_2(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fail(*arguments: object, **named: object) -> None:
        raise error

    monkeypatch.setattr(sys.modules["normscope.audit.audit"], "audited", fail)
    status, out, err = run("audit", "m.h5")
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("text", ["raise SystemExit(0)", "raise SystemExit(1)", "1 +", "1 / 0"])
def test_a_file_that_ends_the_program_is_no_answer(run: Run, tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.py"
    path.write_text(f"def f(x):\n    return x\n{text}\n")
    for verb in ("scope", "identify"):
        status, out, err = run(verb, f"{path}:f", "--shape", "2,3")
        assert (status, out) == (2, "")
        assert err.startswith("normscope: ")
