from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given, strategies as st

from normscope import Measure, NormSpec, PatternError, Running, SpecError, spec
from strategies import cases, specs


@given(st.data())
def test_json_round_trip(data: st.DataObject) -> None:
    stated = data.draw(specs(data.draw(cases())))
    if data.draw(st.booleans()):
        stated = replace(stated, running=Running(0.9, ddof=1, plus_eps=True))
    again = NormSpec.from_dict(json.loads(json.dumps(stated.to_dict())))
    assert again == stated
    assert hash(again) == hash(stated)
    assert eval(repr(stated), {"NormSpec": NormSpec, "Running": Running}) == stated
    assert "\n" not in str(stated)


def test_a_spec_cannot_change() -> None:
    stated = spec("b (g [c])", g=4)
    with pytest.raises(FrozenInstanceError):
        stated.eps = 1.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        stated.sizes["g"] = 8  # type: ignore[index]


def test_fields_and_sizes_by_keyword() -> None:
    stated = spec("b [s...] (g [c])", g=4, scale="g  c", measure="mean_square", center=False)
    assert stated.sizes == {"g": 4}
    assert stated.scale == "g c"
    assert stated.measure is Measure.MEAN_SQUARE
    assert spec("b (eps [c])", sizes={"eps": 2}, eps=1e-3).layout((3, 4)).sizes == (3, 2, 2)


def test_inference_takes_no_statistic_if_there_are_running_ones() -> None:
    train = spec("[b] c", scale="c", running=Running(0.9))
    assert train.inference().pattern is None
    assert train.inference().scale == "c"
    assert spec("b [c]").inference() == spec("b [c]")
    with pytest.raises(SpecError, match="no pattern"):
        train.inference().layout((2, 3))


@pytest.mark.parametrize(
    ("stated", "line"),
    [
        (spec("b [c]"), '"b [c]", eps=1e-05'),
        (
            spec("b (g [c])", g=4, scale="g c", bias="g c"),
            '"b (g [c])" with g=4, eps=1e-05, scale and bias along g c',
        ),
        (
            spec("... [c]", center=False, measure="l2", eps=0, floor=1e-12),
            '"... [c]", not centred, measure l2, eps=0, floor=1e-12',
        ),
        (
            spec("... [c]", scale="c", scale_shift=1, ddof=1),
            '"... [c]", ddof=1, eps=1e-05, 1 + scale along c',
        ),
        (spec("b [c]", bias=""), '"b [c]", eps=1e-05, bias (one number)'),
        (
            spec("[b] c", running=Running(0.99, plus_eps=True)),
            '"[b] c", eps=1e-05, running decay 0.99 (torch momentum 0.01) of the variance plus eps',
        ),
    ],
)
def test_one_line(stated: NormSpec, line: str) -> None:
    assert str(stated) == line


WRONG = [
    (("b c",), {}, 'put brackets around the axes that share statistics, for example "b \\[c\\]"'),
    (("b [c]",), {"g": 3}, "neither a field nor an axis"),
    (("b [c]",), {"epsilon": 1e-3}, "did you mean eps"),
    (("b [c]",), {"eps": -1}, "not negative"),
    (("b [c]",), {"eps": "x"}, "a number"),
    (("b [c]",), {"eps": float("nan")}, "finite"),
    (("b [c]",), {"eps": float("inf")}, "finite"),
    (("b [c]",), {"eps": 10**400}, "a number"),
    (("b [c]",), {"eps": True}, "a number"),
    (("b [c]",), {"eps": None}, "a number"),
    (("b [c]",), {"eps_outside": -1e-9}, "not negative"),
    (("b [c]",), {"floor": "0"}, "a number"),
    (("b [c]",), {"scale": "d"}, 'varies along "d"'),
    (("b [s...] c",), {"scale": "s"}, 'it is called "s..."'),
    (("b [s] c",), {"scale": "s..."}, 'it is called "s"'),
    (("b [c]",), {"scale": 1.0}, "names the axes"),
    (("b [c]",), {"scale": "c c"}, "twice"),
    (("b [c]",), {"scale": "c,b"}, "not the name of an axis"),
    (("b [c c]",), {"scale": "c"}, "stands for several axes"),
    (("b [c]",), {"measure": "std"}, "measure is one of"),
    (("b [c]",), {"measure": 3}, "measure is one of"),
    (("b [c]",), {"center": 1}, "True or False"),
    (("b [c]",), {"ddof": -1}, "ddof"),
    (("b [c]",), {"ddof": 0.5}, "ddof is an integer"),
    (("b [c]",), {"measure": "l2", "ddof": 1}, "no meaning"),
    (("b [c]",), {"scale_shift": 2, "scale": "c"}, "0 or 1"),
    (("b [c]",), {"scale_shift": 1}, "needs a scale"),
    (("b [c]",), {"running": 0.9}, "is a Running"),
    (("b [c]",), {"c": 0}, "positive"),
    (("b [c]",), {"c": -2}, "integer from 0"),
    (("b [c]",), {"c": 2.0}, "is an integer"),
    (("b [c]",), {"c": True}, "is an integer"),
    (("b [c]",), {"c": 10**30}, "integer from 0"),
    (("b [c]",), {"c": (2, 3)}, "is one axis"),
    (("b [c]",), {"sizes": 3}, "sizes is a mapping"),
    (("b [c]",), {"sizes": {1: 2}}, "keys of sizes"),
    ((7,), {}, "a pattern is a text"),
    ((b"b [c]",), {}, "a pattern is a text"),
]


@pytest.mark.parametrize(("positional", "keywords", "said"), WRONG)
def test_a_wrong_field_says_what_and_what_instead(positional, keywords, said) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SpecError, match=said):
        spec(*positional, **keywords)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"patern": "b [c]"},
        {"pattern": "b [c]", "momentum": 0.9},
        {"pattern": 3},
        {"pattern": ["b", "[c]"]},
        {"pattern": "b [c]", "sizes": [["c", 3]] * 2 + [3]},
        {"pattern": "b [c]", "running": {}},
        {"pattern": "b [c]", "running": {"decay": 2}},
        {"pattern": "b [c]", "running": {"decay": 0.9, "ddof": -1}},
        {"pattern": "b [c]", "running": {"decay": 0.9, "what": 1}},
        {"pattern": "b [c]", "running": {"decay": 0.9, "plus_eps": 1}},
        {"pattern": "b [c]", "eps": []},
        "b [c]",
        None,
        ["pattern", "b [c]"],
    ],
)
def test_what_is_no_dictionary_of_a_spec_is_refused(values: object) -> None:
    with pytest.raises(SpecError):
        NormSpec.from_dict(values)  # type: ignore[arg-type]


def test_a_wrong_pattern_is_a_pattern_error() -> None:
    with pytest.raises(PatternError):
        NormSpec.from_dict({"pattern": "b [c"})


def test_nothing_is_divided_with_the_measure_none() -> None:
    centred = NormSpec("[b] c", measure="none")
    assert centred.eps == 0
    assert str(centred) == '"[b] c", divided by nothing'
    assert NormSpec.from_dict(centred.to_dict()) == centred


@pytest.mark.parametrize(
    "fields",
    [
        {"center": False},
        {"eps": 1e-3},
        {"eps_outside": 1e-3},
        {"floor": 1e-3},
        {"unit_below": 0.0},
        {"ddof": 1},
    ],
)
def test_what_acts_on_the_divisor_contradicts_the_measure_none(fields: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=next(iter(fields)) if "center" not in fields else "centr"):
        NormSpec("[b] c", measure="none", **fields)


def test_a_guard_is_said_and_kept() -> None:
    guarded = NormSpec("[b] c", eps=0, unit_below=0)
    assert str(guarded) == '"[b] c", eps=0, divisor 1 where it is 0'
    assert str(NormSpec("[b] c", eps=0, unit_below=0.5)).endswith("divisor 1 below 0.5")
    assert NormSpec.from_dict(guarded.to_dict()) == guarded


@pytest.mark.parametrize("fields", [{}, {"eps": 0, "floor": 0.1}, {"eps": 0, "eps_outside": 1e-3}])
def test_a_guard_that_contradicts_or_never_acts_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(SpecError, match="unit_below"):
        NormSpec("[b] c", unit_below=0, **fields)


def test_a_stored_deviation_that_holds_eps_stands_for_the_whole_root() -> None:
    running = Running(0.9, plus_eps=True, deviation=True)
    old = NormSpec("[b] c", eps=1e-6, eps_outside=1e-6, running=running)
    assert old.inference().eps == 0
    assert old.inference().eps_outside == 1e-6
    assert "of the root of the variance plus eps" in str(old)
    assert "of the deviation" in str(NormSpec("[b] c", running=Running(0.9, deviation=True)))
