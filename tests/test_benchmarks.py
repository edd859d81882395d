"""The benchmarks measure what they say, and the tables of the READMEs are those that they print."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from benchmarks import backward, large, machine, paces, processes, rows, sizes
from benchmarks.cases import CASES, Case, chosen
from benchmarks.demands import Demand, report
from benchmarks.floor import best, copies, is_peer, reads
from benchmarks.peers import numpy_by_hand, torch_eager
from benchmarks.problem import problem, size, size_name
from benchmarks.timing import Candidate, Time, in_turn, settle, shown

ROOT = Path(__file__).parents[1]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def test_a_rest_lasts_until_the_threads_of_the_last_candidate_sleep() -> None:
    spinning = threading.Thread(target=_spin, args=(0.03,))
    began = time.perf_counter()
    spinning.start()
    settle()
    assert time.perf_counter() - began >= 0.03
    spinning.join()


def _spin(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def test_what_comes_before_a_call_is_not_timed() -> None:
    said: list[str] = []
    before = Candidate(lambda: said.append("call"), before=lambda: _wait(said))
    time_of = in_turn({"slow before": before}, seconds=0, rounds=3)["slow before"]
    assert time_of.rounds == 3
    assert time_of.seconds < 0.005
    # twice for caches; then in each round once for nothing, and once timed right after `before`
    assert said == ["call"] * 2 + ["call", "before", "call"] * 3


def _wait(said: list[str]) -> None:
    said.append("before")
    time.sleep(0.005)


def test_candidates_take_turns_and_short_calls_are_timed_many_at_once() -> None:
    counts = {"a": 0, "b": 0}

    def count(name: str) -> None:
        counts[name] += 1

    times = in_turn({name: lambda name=name: count(name) for name in counts}, 0, rounds=2)
    assert all(time.rounds == 2 for time in times.values())
    assert min(counts.values()) > 100


def test_sizes_and_times_are_read_and_written_as_people_do() -> None:
    assert [size(text) for text in ("4KiB", "1.5MiB", "17")] == [4096, 3 << 19, 17]
    assert [size_name(size(text)) for text in ("4KiB", "1.5MiB")] == ["4 KiB", "1.5 MiB"]
    assert [shown(s) for s in (1.5, 0.0123, 1e-6, 2.5e-7)] == [
        "1.50 s", "12.3 ms", "1.00 us", "0.25 us",
    ]  # fmt: skip


def test_an_unmet_demand_is_said_and_fails_only_when_that_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    demands = [
        Demand("floors", 1.3, 1.304),  # to the digits that are printed
        Demand("times as fast", 3.0, 2.9, at_least=True),
    ]
    assert (report(demands, check=False), report(demands, check=True)) == (0, 1)
    assert report(demands[:1], check=True) == 0
    said = capsys.readouterr().out
    assert "2.90  NOT MET" in said
    assert "1 of 2 demands are met" in said


def test_every_demand_beside_torch_is_of_a_case() -> None:
    assert set(large.BESIDE_TORCH) <= {case.name for case in CASES}
    assert chosen(["NHWC"]) == [case for case in CASES if "NHWC" in case.name]


@every_case
def test_a_case_has_a_shape_of_about_the_size(case: Case) -> None:
    for nbytes in map(size, sizes.SIZES):
        shape = case.shape(nbytes, 4)
        case.spec().layout(shape)
        if nbytes >= 1 << 20:  # small arrays would have no room for 128 channels or 4096 features
            assert 0.75 <= np.prod(shape) * 4 / nbytes <= 1.05


@every_case
def test_the_peer_by_hand_computes_the_same(case: Case) -> None:
    given = problem(case, 64 << 10, "float32")
    _assert_same(given.forward()(), numpy_by_hand(case, given.x, given.learned)())


@pytest.mark.framework
@every_case
def test_torch_computes_the_same(case: Case) -> None:
    given = problem(case, 64 << 10, "float32")
    _assert_same(given.forward()(), torch_eager(case, given.x, given.learned)().numpy())


def _assert_same(own: np.ndarray, other: np.ndarray) -> None:
    # peers add up in float32, and L2 of torch has its eps elsewhere
    np.testing.assert_allclose(own, other, rtol=1e-3, atol=1e-3)


@pytest.mark.framework
def test_rows_are_differentiated_alike() -> None:
    x, dy = np.random.default_rng(0).normal(size=(2, 8, 768)).astype(np.float32)
    scale, bias = np.random.default_rng(1).normal(size=(2, 768)).astype(np.float32)
    own, other = rows.ours(x, scale, bias, dy), rows.torchs(x, scale, bias, dy)
    _assert_same(own[0](), other[0]()[0].numpy())
    for gradient, theirs in zip(own[1](), other[1](), strict=True):
        _assert_same(gradient, theirs.numpy())


def test_a_copy_is_a_copy_in_every_way() -> None:
    x = np.random.default_rng(0).normal(size=300_000)
    for name, copy in copies(x, out := np.zeros_like(x)).items():
        out[:] = 0
        copy()
        assert (out == x).all(), name
    for read in reads(x).values():
        read()


def test_the_floor_is_the_faster_way() -> None:
    times = {name: Time(s, 0, 7) for name, s in (("copy", 3.0), ("copy, all cores", 2.0))}
    assert best(times, "copy") == 2
    assert [n for n in ("copy, all cores", "normscope, out=", "torch") if is_peer(n)] == ["torch"]


def test_a_case_is_measured_in_a_process_of_its_own() -> None:
    found = processes.measured(
        "large", case="RMS 784", nbytes=1 << 14, dtype="float32", peers=["numpy"], seconds=0
    )
    result = large.with_times(found)
    assert {"copy", "read", large.OUT, large.OURS, "numpy"} == set(result["times"])
    assert "numpy" in large.line(result)
    assert large.row(result).startswith("| RMS 784 | ")
    assert [demand.limit for demand in large.demands([result])] == [large.FLOORS]


@pytest.mark.framework
def test_the_other_tables_have_all_their_figures() -> None:
    quick = {"dtype": "float32", "seconds": 0}
    found = processes.measured("sizes", case="RMS 784", sizes=[1 << 12, 1 << 14], **quick)
    assert "-" not in sizes.table(found, [1 << 12, 1 << 14]).split()
    both = processes.measured("rows", rows=8, **quick)["times"]
    assert len(both) == len(rows.PASSES) * len(rows.PACES) * 2
    found = processes.measured(
        "paces", case="RMS 784", nbytes=1 << 14, after_torch=True, apart=[1], **quick
    )
    assert [demand.limit for demand in paces.demands(found)] == [1.1, 1.15]
    found = processes.measured("backward", case="RMS 784", nbytes=1 << 14, **quick)
    assert "x ours" in backward.line(large.with_times(found))


def test_what_fails_in_a_process_is_said() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        processes.measured("large", case="no", nbytes=1, dtype="float32", peers=[], seconds=0)


def test_the_machine_is_described() -> None:
    said = machine.description()
    assert f"{machine.cores()} for this process" in said
    assert f"numpy {np.__version__}" in said


@pytest.mark.parametrize(
    ("path", "head"), [("README.md", large.HEADS[0]), ("README.zh.md", large.HEADS[1])]
)
def test_a_readme_has_the_table_that_is_printed(path: str, head: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    table = text[text.index(head) :].split("\n\n")[0].splitlines()
    assert [line.split(" | ")[0] for line in table[2:]] == [f"| {case.name}" for case in CASES]
