"""Explanations are true: every number is checked by disturbing elements of random inputs."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st

from normscope import NormSpec, explain, normalize, reference
from normscope.explain import Explanation
from strategies import Case, cases


@given(st.data())
@settings(max_examples=150)
def test_sets_sizes_and_sight_are_what_disturbing_an_element_shows(data: st.DataObject) -> None:
    case = data.draw(cases(max_size=3))
    assume(int(np.prod(case.shape)) <= 200)
    sees = who_sees_whom(case)
    explanation = explain(case.pattern, case.shape, sizes=case.sizes)
    facts = explanation.facts

    assert facts.num_sets == len({tuple(row) for row in sees})
    assert {int(row.sum()) for row in sees} == {facts.set_size}
    for dim, axis in enumerate(facts.axes):
        assert axis.size == case.shape[dim]
        assert axis.word == word_along(sees, case.shape, dim, axis.word), axis
    samples = [axis for axis in facts.axes if axis.role == "sample"]
    if len(samples) == 1 and samples[0].size != 1:  # a single sample has no others to see
        dim = facts.axes.index(samples[0])
        coupled = along(sees, case.shape, dim).any(axis=0)
        assert facts.sample_independent == (
            not (coupled & ~np.eye(case.shape[dim], dtype=bool)).any()
        )
        if facts.sample_independent:
            assert facts.sets_per_sample == facts.num_sets // case.shape[dim]
    check_words(explanation)


def who_sees_whom(case: Case) -> np.ndarray:
    """[i, j]: whether the output of element i changes with the input of element j."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=case.shape)
    spec = NormSpec(case.pattern, sizes=case.sizes, eps=0.1)
    plain = reference(x, spec).ravel()
    count = x.size
    sees = np.zeros((count, count), bool)
    for j in range(count):
        disturbed = x.copy().ravel()
        disturbed[j] += 1.7
        sees[:, j] = reference(disturbed.reshape(case.shape), spec).ravel() != plain
    if count == 0:
        return sees
    # an element that is alone in its set is always the bias: it changes with nothing, but is there
    return sees | np.eye(count, dtype=bool)


def along(sees: np.ndarray, shape: tuple[int, ...], dim: int) -> np.ndarray:
    """[other, i, j] of the lines along one axis: whether i sees j on the same line."""
    numbers = np.moveaxis(np.arange(int(np.prod(shape))).reshape(shape), dim, -1)
    lines = numbers.reshape(-1, shape[dim])
    return np.array([sees[np.ix_(line, line)] for line in lines])


def word_along(sees: np.ndarray, shape: tuple[int, ...], dim: int, stated: str) -> str:
    """The word for an axis, from what was seen; `stated` if there is a single index."""
    length = shape[dim]
    (line, *others) = along(sees, shape, dim)
    assert all((other == line).all() for other in others)
    if length == 1:
        return stated
    if (line == np.eye(length, dtype=bool)).all():
        return "independent"
    if line.all():
        return "shared"
    for number in range(2, length):
        if length % number == 0:
            index = np.arange(length)
            if (
                line == np.equal.outer(index // (length // number), index // (length // number))
            ).all():
                return f"grouped {number}"
            if (line == np.equal.outer(index % number, index % number)).all():
                return f"interleaved {number}"
    return "mixed"


def check_words(explanation: Explanation) -> None:
    """The numbers in the prose are those of the facts, and no internal name shows."""
    text = str(explanation)
    facts = explanation.facts
    numbers = {int(n.replace(",", "")) for n in re.findall(r"\b\d[\d,]*\b", text)}
    assert {facts.set_size, facts.num_sets} <= numbers
    for axis in facts.axes:
        assert axis.label in text
    assert not re.search(r"\bNone\b|(?<!\w)_\d|object at|<[a-z]", text), text


@given(st.data())
@settings(max_examples=60)
def test_parameters_vary_along_the_axes_that_are_stated(data: st.DataObject) -> None:
    case = data.draw(cases(max_size=3))
    usable = [name for name in case.names if name]
    assume(usable)
    names = data.draw(st.lists(st.sampled_from(usable), min_size=1, max_size=3, unique=True))
    spec = NormSpec(case.pattern, sizes=case.sizes, scale=" ".join(names), eps=0.1)
    fact = explain(spec, case.shape).facts.scale
    assert fact is not None
    x = np.random.default_rng(1).normal(size=case.shape)
    assert fact.count is not None
    index = np.arange(1, fact.count + 1, dtype=float)
    # a scale of 1, 2, 3... shows at each element which of its values acted there
    with np.errstate(invalid="ignore"):
        acted = normalize(x, spec, scale=index) / normalize(x, spec, scale=np.ones(fact.count))
    seen = acted[np.isfinite(acted)].round(6)
    assert set(np.unique(seen)) <= set(index)
    if seen.size == x.size:
        assert len(np.unique(seen)) == fact.count


@given(st.data())
@settings(max_examples=60)
def test_unknown_sizes_are_written_in_words(data: st.DataObject) -> None:
    case = data.draw(cases(max_size=3))
    unknown = data.draw(st.lists(st.sampled_from(range(len(case.shape))), max_size=2))
    shape = tuple(None if dim in unknown else size for dim, size in enumerate(case.shape))
    text = str(explain(case.pattern, shape, sizes=case.sizes))
    assert not re.search(r"\bNone\b|(?<!\w)_\d|object at|\?", text), text


@pytest.mark.parametrize("mode", ["train", "infer"])
def test_sample_independence_by_mode(mode: str) -> None:
    found = explain("torch.BatchNorm2d(6)", (4, 6, 5, 3)).to_dict()["sample_independent"]
    assert found == {"train": False, "infer": True}
    assert (
        explain("BatchNormalization(mode=2)", (4, 6)).to_dict()["sample_independent"][mode] is False
    )


def test_an_unknown_batch_is_written_as_such() -> None:
    explanation = explain("b c h [w]", (None, 128, 56, 56))
    assert explanation.facts.num_sets is None
    assert explanation.facts.sets_per_sample == 7168
    assert "b × 128 × 56 statistics sets in all, 7,168 per sample" in str(explanation)


def test_names_for_axes_restate_the_pattern() -> None:
    explanation = explain("BatchNormalization(mode=1)", (8, 128, 56, 56), axes="b c h w")
    assert explanation.spec.pattern == "b c h [w]"
    assert explanation.spec.scale == "w"
    assert explanation.facts.scale is not None
    assert explanation.facts.scale.count == 56
    assert not explanation.contract_met


@pytest.mark.parametrize("axes", ["b c h", "b c h h", "b c h (w)", "", "b c h 7"])
def test_names_that_do_not_fit_are_refused(axes: str) -> None:
    with pytest.raises(ValueError, match=r"axis|axes|name"):
        explain("... [c]", (8, 128, 56, 56), axes=axes)


@given(st.data())
@settings(max_examples=60)
def test_naming_the_axes_changes_no_fact(data: st.DataObject) -> None:
    case = data.draw(cases(max_size=3))
    plain = explain(case.pattern, case.shape, sizes=case.sizes)
    names = " ".join(f"n{dim}" for dim in range(len(case.shape)))
    named = explain(case.pattern, case.shape, axes=names, sizes=case.sizes)
    for one, other in zip(plain.facts.axes, named.facts.axes, strict=True):
        assert (one.size, one.word) == (other.size, other.word)
    x = np.random.default_rng(2).normal(size=case.shape)
    np.testing.assert_array_equal(normalize(x, plain.spec), normalize(x, named.spec))
