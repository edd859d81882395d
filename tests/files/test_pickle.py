"""A pickle is read as data: plain values are themselves, and nothing is imported or called."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
from argparse import Namespace
from collections import OrderedDict
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, strategies as st

from budget import budget
from normscope.files.pickle import MAX_OPERATIONS, Made, PickleError, read_pickle

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
KEYS = st.text() | st.integers(-(2**59), 2**59) | st.booleans() | st.none()
VALUES = st.recursive(
    SCALARS | st.binary(),
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner, max_size=5)
    ),
)


def read(data: bytes) -> Any:
    return read_pickle(io.BytesIO(data))


@given(VALUES, st.integers(2, 5))
def test_plain_values_are_themselves(value: object, protocol: int) -> None:
    read_again = read(pickle.dumps(value, protocol))
    if protocol > 2:  # before, bytes are what an encoder makes of a text
        assert read_again == value


@given(st.binary(max_size=60))
def test_any_bytes_are_a_value_or_an_error(data: bytes) -> None:
    with suppress(PickleError):
        read(data)


class Trap:
    """Whoever loads it has called `os.abort`."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.abort, ()


@pytest.mark.parametrize("protocol", range(6))
def test_what_would_be_called_is_only_described(protocol: int) -> None:
    found = read(pickle.dumps([Trap(), Namespace(a=1), OrderedDict(b=2)], protocol))
    trap, namespace, ordered = found
    assert trap.path in ("posix.abort", "nt.abort")
    assert isinstance(namespace, Made)
    assert namespace.state == {"a": 1}
    assert ordered == {"b": 2}


def test_the_operations_that_call() -> None:
    for data in (
        b"(cos\nabort\no.",
        b"(ios\nabort\n.",
        b"cos\nabort\n)\x81.",
        b"cos\nabort\n)}\x92.",
    ):
        assert read(data).path == "os.abort"
    with pytest.raises(PickleError, match="EXT1"):
        read(b"\x82\x01.")


def test_a_stream_stands_behind_each_pickle() -> None:
    stream = io.BytesIO(pickle.dumps(1) + pickle.dumps(2) + b"rest")
    assert (read_pickle(stream), read_pickle(stream), stream.read()) == (1, 2, b"rest")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b".",
        b"0.",
        b"t.",
        b"e.",
        b"h\x05.",
        b"N(NNu.",
        b"](Nu.",
        b"\x8e" + (2**62).to_bytes(8, "little") + b"abc.",
        b"\x8b\xff\xff\xff\x7fabc.",
        b"I" + b"9" * 10_000 + b"\n.",
        pickle.dumps([1, 2, 3])[:-2],
    ],
)
def test_damage_is_an_error(data: bytes) -> None:
    with budget(), pytest.raises(PickleError):
        read(data)


def test_long_and_deep_pickles_cost_little() -> None:
    with budget(), pytest.raises(PickleError, match="too many operations"):
        read(b"(" + b"]" * (MAX_OPERATIONS + 2) + b"l.")
    with budget():
        read(b"]" * 200_000 + b"a" * 199_999 + b".")
    with budget():  # an index of the memo is not the size of a table
        read(b"Nr\xff\xff\xff\x7f.")


def test_keys_that_are_slow_to_hash_become_no_keys() -> None:
    collide = (2**61 - 1) * 7
    found = read(pickle.dumps({collide: 1, "a": 2}))
    assert [key for key in found if isinstance(key, str)] == ["a"]
    assert len(found) == 2
    assert not any(isinstance(key, int) for key in found)
    nested = b"}" + b")" + b"\x85" * 100_000 + b"Ns."
    with budget():
        assert len(read(nested)) == 1


def test_all_operations_are_known_or_refused() -> None:
    """Those of extensions and of memory outside the pickle are refused."""
    from normscope.files import pickle as reading

    known = reading._PUSHED | set(reading._CONSTANTS) | set(reading._EMPTY) | reading._GETS
    known |= reading._PUTS | {"MEMOIZE", "PROTO", "FRAME", "STOP"}
    left = {
        op.name
        for op in pickletools.opcodes
        if op.name not in known and not hasattr(reading._Machine, f"_{op.name.lower()}")
    }
    assert left == {"EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER"}
