from __future__ import annotations

import einx
import numpy as np
import pytest
from hypothesis import given, settings

from normscope import PatternError, ShapeError, SpecError
from normscope.notation.layout import lay_out
from normscope.notation.pattern import MAX_LENGTH, parse
from strategies import Case, cases


@given(cases())
@settings(max_examples=100)
def test_einx_takes_the_same_means_and_variances(case: Case) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=case.shape)
    layout = lay_out(parse(case.pattern), case.shape, case.sizes)
    atomic = x.reshape(layout.known_sizes)
    for einx_operation, operation in ((einx.mean, np.mean), (einx.var, np.var)):
        ours = operation(atomic, axis=layout.shared)
        theirs = einx_operation(case.pattern, x, **case.sizes)
        np.testing.assert_allclose(ours.ravel(), np.ravel(theirs), rtol=1e-12, atol=1e-12)


@given(cases())
def test_the_layout_is_the_one_that_the_pattern_was_built_from(case: Case) -> None:
    layout = lay_out(parse(case.pattern), case.shape, case.sizes)
    assert tuple((axis.dim, axis.size, axis.shared) for axis in layout.axes) == case.atoms


# einx 0.4 rejects these; so must we, at the same place where the place is plain.
REJECTED = {
    "": 0,
    " ": 0,
    "b [c": 2,
    "b c]": 3,
    "(b [c)]": 5,
    "b ([c] d": 2,
    "b) [c]": 1,
    "b [c]]": 5,
    "b h[w]": 3,
    "b[c]": 1,
    "b [c]d": 5,
    "b ()[c]": 4,
    "b ...s": 5,
    "b ...[c]": 5,
    "b .. [w]": 2,
    "b [c....": 7,
    "b . [c]": 2,
    "b\t[c]": 1,
    "b [c]\n": 5,
    "b [1w]": 3,
    "b [é]": 3,
    "b [c:2]": 4,
    "b [c-1]": 4,
    "b [-1]": 3,
    "b [c*2]": 4,
    "b [0]": 3,
    "b c c [w]": 4,
    "b [c] c": 6,
    "s... [s...]": 6,
    "... ... [w]": 4,
    "... c [...]": 7,
    "b [c] -> b": 6,
    "b, [c]": 1,
    "b (h + w) [c]": 5,
    "s s... [c]": 2,
    "a... b... a... [c]": 10,
}


@pytest.mark.parametrize(("pattern", "position"), REJECTED.items())
def test_what_einx_rejects_is_rejected_with_its_place(pattern: str, position: int) -> None:
    with pytest.raises(PatternError) as raised:
        parse(pattern)
    assert raised.value.position == position
    text, carets = str(raised.value).splitlines()[1:3]
    assert carets.index("^") - 2 == position, (text, carets)
    with pytest.raises(Exception):  # noqa: B017, PT011  # einx has many classes of its own
        einx.mean(pattern, np.ones((2, 3, 4)))


@pytest.mark.parametrize("pattern", ["b [] c", "b c", "(s...)... [c]"])
def test_what_einx_accepts_and_we_do_not_is_told_why(pattern: str) -> None:
    from normscope import spec

    with pytest.raises((PatternError, SpecError), match=r"hold no axis|brackets|inside another"):
        spec(pattern)


def test_nesting_and_length_are_bounded() -> None:
    with pytest.raises(PatternError, match="nest too deeply"):
        parse("(" * 300 + "[c]" + ")" * 300)
    with pytest.raises(PatternError, match="characters"):
        parse("[c] " * MAX_LENGTH)


def test_the_same_text_is_parsed_once() -> None:
    assert parse("b [s...] c") is parse("b [s...] c")


@pytest.mark.parametrize(
    ("pattern", "shape", "sizes", "expected"),
    [
        ("b (g [c])", (2, 8), {"g": 4}, (2, 4, 2)),
        ("b (g [c])", (2, 8), {"c": 4}, (2, 2, 4)),
        ("b (2 [c])", (2, 8), {}, (2, 2, 4)),
        ("b [(c c)] w", (2, 9, 4), {}, (2, 3, 3, 4)),
        ("b [a] [a]", (2, 3, 3), {}, (2, 3, 3)),
        ("(b g) [(c g2)]", (6, 8), {"g": 3, "g2": 2}, (2, 3, 4, 2)),
        ("b [a] [(a k)]", (2, 3, 12), {}, (2, 3, 3, 4)),
        ("b (s [r])...", (2, 4, 6), {"r": (2, 3)}, (2, 2, 2, 2, 3)),
        ("(b s...) [c]", (24, 5), {"s": (3, 4)}, (2, 3, 4, 5)),
        ("b () [c]", (2, 1, 3), {}, (2, 3)),
        ("[...]", (), {}, ()),
        ("b [s...] c", (2, 3), {}, (2, 3)),
        ("[b] (g [c])", (None, None), {"g": 3}, (None, 3, None)),
    ],
)
def test_sizes_are_solved_by_division(pattern, shape, sizes, expected) -> None:  # type: ignore[no-untyped-def]
    assert lay_out(parse(pattern), shape, sizes).sizes == expected


@pytest.mark.parametrize(
    ("pattern", "shape", "sizes", "said"),
    [
        ("b [c]", (2, 3, 4), {}, "has 2 axes, the shape has 3"),
        ("b [s...] c", (2,), {}, "has at least 2 axes, the shape has 1"),
        ("[c]", (2, 3), {}, "has 1 axis, the shape has 2"),
        ("b (g [c])", (2, 8), {"g": 3}, "splits an axis of 8, which 3 does not divide"),
        ("b (g [c])", (2, 8), {}, "leaves the sizes of c and g open"),
        ("b (g [c])", (2, 8), {"g": 8, "c": 2}, "wants g * c = 16 for axis 1, the shape has 8"),
        ("b [a] [a]", (2, 3, 5), {}, "wants a = 3 for axis 2, the shape has 5"),
        ("b [(c c)]", (2, 8), {}, "no integer c makes an axis of 8"),
        ("b () [c]", (2, 2, 3), {}, "wants () = 1 for axis 1, the shape has 2"),
        ("a... b... [w]", (2, 3, 4), {}, "does not tell how many axes each ... stands for"),
        ("b (c s...) [w]", (2, 3, 4), {}, "does not tell how many axes each ... stands for"),
        ("b [3]", (2, 4), {}, "wants 3 = 3 for axis 1, the shape has 4"),
    ],
)
def test_a_shape_that_does_not_fit_says_why(pattern, shape, sizes, said) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ShapeError) as raised:
        lay_out(parse(pattern), shape, sizes)
    assert said in str(raised.value)
    assert raised.value.shape == shape
    assert raised.value.pattern == pattern


@pytest.mark.parametrize("shape", ["(2, 3)", 5, None, (2, -1), (2, 1.5), (2, True), (2, 10**400)])
def test_what_is_no_shape_is_refused(shape: object) -> None:
    with pytest.raises(ShapeError):
        lay_out(parse("b [c]"), shape)  # type: ignore[arg-type]


def test_the_message_of_a_rank_reads_well() -> None:
    with pytest.raises(ShapeError) as raised:
        lay_out(parse("b [h w] c"), (8, 32))
    assert str(raised.value) == (
        'pattern "b [h w] c" has 4 axes, the shape has 2\n'
        "  shape = (8, 32)\n"
        '  for (batch, features) write "b [c]" (layer norm) or "[b] c" (batch norm)'
    )
