"""Every console example of README and docs prints what stands under it."""

from __future__ import annotations

from pathlib import Path

import pytest

import console

DOCUMENTS = [
    path
    for pattern in ("README.md", "docs/*.md")
    for path in sorted(console.ROOT.glob(pattern))
    if console.FENCED_BLOCK.search(path.read_text(encoding="utf-8"))
]


def test_readme_has_examples() -> None:
    assert console.ROOT / "README.md" in DOCUMENTS


def test_both_readmes_have_the_same_examples() -> None:
    one, other = (
        [block[2] for block in console.FENCED_BLOCK.finditer((console.ROOT / name).read_text())]
        for name in ("README.md", "README.zh.md")
    )
    assert one == other


@pytest.mark.framework
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_examples_print_what_is_written(path: Path) -> None:
    reports = console.differences(path.read_text(encoding="utf-8"))
    assert not reports, "\n\n".join(reports)


# --- its twin: an example that is wrong is noticed ------------------------------------------------


def block(*lines: str) -> str:
    return "\n".join(["Text.", "", "```console", *lines, "```", "", "More text.", ""])


@pytest.mark.parametrize(
    "lines",
    [
        ["$ echo a"],
        ["$ echo a", "b"],
        ["$ echo a", "a", "b"],
        ["$ echo a", "a", "$ echo b", "a"],
        ["$ echo a", "A"],
        ["$ echo .", "x"],
        ["$ echo a", "...", "b"],
        ["$ echo a", "[exit 1]"],
        ["$ echo a", "a", "[exit 1]"],
        ["$ cat missing", "..."],
        ["$ cat missing", "...", "[exit 2]"],
    ],
)
def test_a_wrong_example_is_noticed(lines: list[str]) -> None:
    assert len(console.differences(block(*lines))) == 1


@pytest.mark.parametrize(
    "lines",
    [
        ["$ echo a", "a"],
        ["$ echo a  ", "a", "", "$ echo 'b c'  d", "b c d"],
        ["$ echo a \\", "  b", "a b"],
        ["$ echo ''"],
        ["$ cat examples/seed_network_full_th.json", "..."],
        ["$ echo a", "...", "a", "..."],
        ["$ cat missing", "cat: missing: No such file or directory", "[exit 1]"],
        ["$ cat missing", "...", "[exit 1]"],
        ["$ echo '(|)' \"b [s...] (g [c])\"", "(|) b [s...] (g [c])"],
    ],
)
def test_a_right_example_passes(lines: list[str]) -> None:
    assert console.differences(block(*lines)) == []


@pytest.mark.parametrize(
    "lines",
    [
        ["$ ls"],
        ["$ echo a | cat", "a"],
        ["$ echo a > b"],
        ["$ echo $?", "0"],
        ["$ echo `echo a`", "a"],
        ["$ echo 'a"],
        ["echo a", "a"],
        ["text", "$ echo a", "a"],
        [],
    ],
)
def test_what_is_no_plain_command_is_refused(lines: list[str]) -> None:
    with pytest.raises(console.ExampleError):
        console.differences(block(*lines))


def test_write_puts_the_real_output_in_place() -> None:
    wrong = block("$ echo a", "old", "lines", "$ cat missing", "$ echo b", "b") + block("$ echo c")
    right = block(
        "$ echo a",
        "a",
        "$ cat missing",
        "cat: missing: No such file or directory",
        "[exit 1]",
        "$ echo b",
        "b",
    ) + block("$ echo c", "c")

    assert console.rewritten(wrong) == right
    assert console.rewritten(right) == right
    assert console.differences(right) == []


def test_write_leaves_what_is_cut_short_and_right() -> None:
    right = block("$ echo 'a b'", "...", "$ echo a", "a")
    assert console.rewritten(right) == right


@pytest.mark.parametrize("lines", [["$ echo a", "...", "b"], ["$ echo ...", "b"], ["$ echo '$ x'"]])
def test_write_refuses_what_it_would_spoil(lines: list[str]) -> None:
    with pytest.raises(console.ExampleError):
        console.rewritten(block(*lines))
