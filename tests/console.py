"""Runs the console examples of a Markdown file, and compares or rewrites what they print.

An example is a fenced block that opens with ```console:

    $ normscope explain "b [c]" --shape 8,128
    ...what it prints, exactly
    [exit 1]

A line that starts with "$ " is a command (a backslash at its end continues it on the next line).
Under it stands what it prints, output and errors together, blanks at the ends of lines aside. A
line `...` stands for any number of lines. The last line may be an exit status; without one it must
be 0. The commands of one file run one after the other in one new folder, in which `examples` is
that of the repository.

    python tests/console.py README.md            compares
    python tests/console.py --write README.md    puts the real output into the file
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMANDS = {"normscope", "cat", "echo"}
TIMEOUT = 120  # seconds for one command

FENCED_BLOCK = re.compile(r"^(`{3,})console\n(.*?)^\1$", re.M | re.S)
EXIT_LINE = re.compile(r"\[exit (\d+)\]")


class ExampleError(Exception):
    """An example cannot be run, or what it prints cannot be written down."""


@dataclass(frozen=True)
class Example:
    """One command of a Markdown file, and the lines that stand under it."""

    line: int  # its line in the file, from 1
    command: str  # as written, without the "$ "
    below: tuple[str, ...]
    start: int  # the lines below are text[start:stop] of the file
    stop: int

    @property
    def arguments(self) -> list[str]:
        """The words of the command. There is no shell, so nothing may stand there for one."""
        command = self.command.replace("\\\n", " ")
        unquoted = re.sub(r"'[^']*'", "", command)
        if re.search(r"[$`]", unquoted) or re.search(
            r"[;<>|&()*?~#]", re.sub(r'"[^"]*"', "", unquoted)
        ):
            raise ExampleError(f"line {self.line}: only a plain command is run: {self.command}")
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise ExampleError(f"line {self.line}: {error}: {self.command}") from None
        if not words or words[0] not in COMMANDS:
            raise ExampleError(f"line {self.line}: only {sorted(COMMANDS)} are run: {self.command}")
        return words


def examples(text: str) -> Iterator[Example]:
    """All examples of a Markdown text, from the first to the last."""
    for block in FENCED_BLOCK.finditer(text):
        body = block[2]
        commands = list(re.finditer(r"^\$ ((?:.*\\\n)*.*)\n", body, re.M))
        if not commands or body[: commands[0].start()].strip():
            line = text.count("\n", 0, block.start()) + 1
            raise ExampleError(f'line {line}: a console block starts with a "$ " line')
        ends = [command.start() for command in commands[1:]] + [len(body)]
        for command, end in zip(commands, ends, strict=True):
            start, stop = block.start(2) + command.end(), block.start(2) + end
            yield Example(
                line=text.count("\n", 0, block.start(2) + command.start()) + 1,
                command=command[1],
                below=visible(text[start:stop]),
                start=start,
                stop=stop,
            )


def visible(text: str) -> tuple[str, ...]:
    """The lines of a text without blanks at their ends and without empty lines at the end."""
    lines = [line.rstrip() for line in text.rstrip().split("\n")]
    return tuple(lines) if any(lines) else ()


def run(example: Example, folder: Path) -> tuple[str, ...]:
    """What the command prints, with the exit status as last line if it is not 0."""
    scripts = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "TERM": "dumb",
        "PYTHONIOENCODING": "utf-8",
        "KERAS_BACKEND": "jax",
        "TF_CPP_MIN_LOG_LEVEL": "3",  # its lines have the time in them
    }
    # Programs that see one of these take the terminal for a colourful one.
    for name in ("FORCE_COLOR", "PY_COLORS", "CLICOLOR_FORCE", "GITHUB_ACTIONS"):
        environment.pop(name, None)
    done = subprocess.run(
        example.arguments,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=TIMEOUT,
    )
    status = (f"[exit {done.returncode}]",) if done.returncode else ()
    return visible(done.stdout) + status


def agree(written: tuple[str, ...], printed: tuple[str, ...]) -> bool:
    """Whether lines and exit status are the same, a line `...` standing for any number of lines."""
    lines, status = without_status(written)
    real_lines, real_status = without_status(printed)
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "..." else re.escape(f"{line}\n") for line in lines
    )
    real = "".join(f"{line}\n" for line in real_lines)
    return status == real_status and re.fullmatch(pattern, real) is not None


def without_status(lines: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
    """The lines before the exit status, and the status."""
    match = EXIT_LINE.fullmatch(lines[-1]) if lines else None
    return (lines[:-1], int(match[1])) if match else (lines, 0)


def run_all(text: str) -> Iterator[tuple[Example, tuple[str, ...]]]:
    """Each example of a text with what it really prints."""
    with tempfile.TemporaryDirectory(prefix="normscope-") as name:
        folder = Path(name)
        (folder / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
        for example in examples(text):
            yield example, run(example, folder)


def differences(text: str) -> list[str]:
    """One report for each example of the text that prints something else than it says."""
    return [
        "\n".join(
            [
                f"line {example.line}: $ {example.command}",
                "--- written:",
                *example.below,
                "--- printed:",
                *printed,
            ]
        )
        for example, printed in run_all(text)
        if not agree(example.below, printed)
    ]


def rewritten(text: str) -> str:
    """The text with the real output under each command.

    What is written with `...` and agrees with the output stays as it is.
    """
    pieces, done = [], 0
    for example, printed in run_all(text):
        if "..." in (line.strip() for line in example.below):
            if not agree(example.below, printed):
                raise ExampleError(
                    f"line {example.line}: `...` here would be lost, write this by hand"
                )
            continue
        if any(line.startswith(("$ ", "```")) or line.strip() == "..." for line in printed):
            raise ExampleError(f"line {example.line}: this output would be read as something else")
        pieces += [text[done : example.start], *(f"{line}\n" for line in printed)]
        done = example.stop
    return "".join([*pieces, text[done:]])


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the console examples of Markdown files.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--write", action="store_true", help="put the real output into the file")
    options = parser.parse_args()
    failed = False
    for path in options.files:
        text = path.read_text(encoding="utf-8")
        try:
            if options.write:
                path.write_text(rewritten(text), encoding="utf-8")
            else:
                for report in differences(text):
                    failed = True
                    print(f"{path}, {report}\n")
        except ExampleError as error:
            failed = True
            print(f"{path}, {error}", file=sys.stderr)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
