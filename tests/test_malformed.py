"""Malformed patterns, shapes, specs and layers: one clear error each, at once, no traceback.

Malformed files are in keras1/files and keras1/network.
"""

from __future__ import annotations

import random
import sys
from contextlib import suppress

import pytest

from budget import budget
from normscope import NormscopeError, NormSpec, cli, explain, spec_of

PATTERNS = [
    *("", " ", "   ", "[", "]", "(", ")", "[]", "()", "[ ]", "[c", "c]", "(c", "c)", "[c)", "(c]"),
    *("[[c]", "[c]]", "((c)", "[(c])", "([c)]", "b [c] [", "b [c] (", "b[c]", "b [c]d", "[c]d"),
    *("b c", "b", "1", "b 3", "...", "b ...", "0 [c]", "[0]", "00 [c]", "-1 [c]", "[c-1]"),
    *("b [1c]", "b [c!]", "b [c?]", "b [c*]", "b [c.d]", "b [c,d]", "b, [c]", "b;[c]", "b|[c]"),
    *("b [c] -> b", "b -> [c]", "b [c] + d", "(a + b) [c]", "b [c=3]", "b [c:3]", "{b} [c]"),
    *("b [.]", "b [..]", "b [....]", "b [c....]", "... ... [c]", "... [...]", "s... [s...]"),
    *("s [s...]", "s... s [c]", "b b [c]", "b [b]", "(s...)... [c]", "[(s...)]...", "b ...s"),
    *(
        "b\t[c]",
        "b\n[c]",
        "b [c]\n",
        "b\u00a0[c]",
        "b [c]\x00",
        "b [é]",
        "b [中]",
        "b [\U0001d484]",
        "b [c]’",
    ),
    *("b [ⅷ]", "b [²]", "b [٣]", "[c]" * 400, "(" * 999, "[" * 999, "b " * 400 + "[c]"),
    *("a" * 5000, "[" + "a" * 5000 + "]", "[99999999999999999999]", "[1" + "0" * 400 + "]"),
    *(
        "b [c]]]",
        "[[[c]]",
        "b ((c) [d]",
        "b (c)) [d]",
        "b [c] )",
        "b [c] ]",
        "(b [c] (d)",
        "b [(c]",
    ),
    *("b [c] :", "b [c] ;", "b [c] !", "b [c] @", "b [c] #", "b [c] $", "b [c] %", "b [c] ^"),
    *("b [c] &", "b [c] ~", "b [c] `", "b [c] \\", "b [c] '", 'b [c] "', "b [c] <", "b [c] >"),
    *("b [c]-", "b [c]+", "b [c]=", "b [c]/", "b [c],", "b [c].", "b [c]..", "b [c]_", "b [c]1"),
    *("b [2c]", "2b [c]", "b [c 2d]", "b (g 3c [d])", "b [+c]", "b [*]", "b [?]", "b [c d,]"),
    "'; DROP TABLE axes; --",
    "%s%s%s%n [c]",
    "../../etc/passwd",
    "b [c] # comment",
    "<script>alert(1)</script>",
    "\ud800 [c]",
]

SHAPES = [
    *("", ",", "a", "2,a", "2,3.5", "2,-3", "-2,3", "2,1e3", "0x2,3", "2,,3", "2;3"),
    *("2,3,4", "2", "1" * 30 + ",3", "2," + "9" * 500, "2,٣", "2,²", "nan,3", "inf,3", "2,3)x"),
    *(",".join("2" * 100), ",".join("2" * 5000), "true,3", "2,[3]", "((2,3", "2,3\x00"),
]

SPECS: list[object] = [
    *(None, 1, "b [c]", [], {}, {"pattern": 1}, {"pattern": []}, {"pattern": {}}),
    {"pattern": "b [c]", "extra": 1},
    *(
        {"pattern": "b [c]", field: value}
        for field in ("eps", "eps_outside", "floor")
        for value in (-1, "1", None, [], {}, float("nan"), float("inf"), 10**400, True, 1j)
    ),
    *({"pattern": "b [c]", "measure": value} for value in ("", "std", 1, None, [], True)),
    *({"pattern": "b [c]", "ddof": value} for value in (-1, 0.5, "1", None, [], 10**30, True)),
    *({"pattern": "b [c]", "center": value} for value in (0, 1, "yes", None, [])),
    *({"pattern": "b [c]", "scale": value} for value in ("d", 1, [], True, "c c", "c...", "[c]")),
    *({"pattern": "b [c]", "bias": value} for value in ("d", 1, [], False, "b c d", "é")),
    *({"pattern": "b [c]", "scale_shift": value} for value in (1, 2, -1, "1", None, True)),
    *(
        {"pattern": "b [c]", "sizes": value}
        for value in (
            1,
            "c",
            ["c"],
            {"d": 2},
            {"c": 0},
            {"c": -1},
            {"c": 1.5},
            {"c": "2"},
            {"c": None},
            {"c": [2, 3]},
            {"c": 10**30},
            {1: 2},
            {"c": True},
        )
    ),
    *(
        {"pattern": "[b] c", "running": value}
        for value in (
            1,
            "0.9",
            [],
            True,
            {},
            {"decay": 2},
            {"decay": -0.1},
            {"decay": "x"},
            {"decay": None},
            {"decay": 0.9, "ddof": -1},
            {"decay": 0.9, "plus_eps": 1},
            {"decay": 0.9, "x": 1},
        )
    ),
]

LAYERS = [
    *("BatchNormalization(mode=3)", "BatchNormalization(mode=-1)", "BatchNormalization(mode='x')"),
    *("BatchNormalization(mode=None)", "BatchNormalization(mode=[1])", "BatchNormalization()"),
    *("keras1.BatchNormalization(axis=0)", "keras1.BatchNormalization(axis=99)"),
    *("keras1.BatchNormalization(axis=None)", "keras1.BatchNormalization(axis=[1])"),
    *("keras1.BatchNormalization(epsilon=-1)", "keras1.BatchNormalization(epsilon='a')"),
    *("keras1.BatchNormalization(momentum=2)", "keras1.BatchNormalization(momentum=None, mode=9)"),
    *("keras1.BatchNormalization(release='1.3.0')", "keras1.BatchNormalization(release='0.3.3')"),
    *("keras1.BatchNormalization(release=None)", "keras1.BatchNormalization(release='')"),
    *("torch.GroupNorm()", "torch.GroupNorm(0)", "torch.GroupNorm(-1)", "torch.GroupNorm(1.5)"),
    *("torch.GroupNorm(3, 8)", "torch.GroupNorm(0, 8)", "torch.GroupNorm(2, 8, 1, 1, 1)"),
    *("torch.LayerNorm(-1)", "torch.LayerNorm('a')", "torch.LayerNorm([])", "torch.LayerNorm(0)"),
    *("torch.BatchNorm2d(momentum=3)", "torch.BatchNorm2d(eps='x')", "torch.Nothing(3)"),
    *("keras.GroupNormalization(groups=0)", "keras.GroupNormalization(axis=2)"),
    *(
        "keras.BatchNormalization(axis=0)",
        "keras.BatchNormalization(axis=9)",
        "batch(channels='c')",
    ),
    *(
        "os.system('true')",
        "__import__('os')",
        "(lambda: 1)()",
        "batch(**{'eps': 1})",
        "batch(*[1])",
    ),
    *("batch()()", "batch.x", "batch[0]", "batch(eps=eps)", "batch(" * 200, "f'{1}'", "torch."),
]


def test_there_are_enough() -> None:
    assert len(PATTERNS) + len(SHAPES) + len(SPECS) + len(LAYERS) > 300


def one_clear_error(function, *arguments) -> None:  # type: ignore[no-untyped-def]
    with budget(), pytest.raises(NormscopeError) as raised:
        function(*arguments)
    message = str(raised.value)
    assert message.strip()
    assert len(message) < 3000
    assert "Error" not in message
    assert "object at 0x" not in message


@pytest.mark.parametrize("pattern", PATTERNS, ids=ascii)
def test_patterns(pattern: str) -> None:
    one_clear_error(explain, pattern, (2, 3))


@pytest.mark.parametrize("values", SPECS, ids=repr)
def test_specs(values: object) -> None:
    one_clear_error(NormSpec.from_dict, values)


@pytest.mark.parametrize("layer", LAYERS)
def test_layers(layer: str) -> None:
    one_clear_error(spec_of, layer)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: ascii(shape[:40]))
def test_shapes_on_the_command_line(
    shape: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["normscope", "explain", "b [c]", "--shape", shape])
    with budget(), pytest.raises(SystemExit) as ended:
        cli.main()
    captured = capsys.readouterr()
    assert ended.value.code == 2
    assert captured.out == ""
    assert captured.err.startswith("normscope: ")
    assert "Traceback" not in captured.err


def test_random_texts_never_end_in_another_exception() -> None:
    generator = random.Random(0)
    letters = "bcs123 .[]()_,->+\t\n" + "[]() "
    for _ in range(20_000):
        text = "".join(generator.choices(letters, k=generator.randint(0, 14)))
        shape = tuple(generator.choices((0, 1, 2, 3, 4, 6, 8, None), k=generator.randint(0, 4)))
        with suppress(NormscopeError):
            explain(text, shape)
