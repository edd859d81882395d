"""The outermost fields of a protobuf message are found without believing its lengths."""

from __future__ import annotations

import io

import onnx
import pytest
from onnx import helper

from budget import budget
from normscope.files.protobuf import MAX_FIELDS, MESSAGE, VARINT, top_level_fields


def test_the_fields_are_those_that_onnx_wrote() -> None:
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, 3]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, producer_name="somebody")
    found = top_level_fields(io.BytesIO(model.SerializeToString()))
    numbers = {field.name: field.number for field, _ in model.ListFields()}
    assert {number for number, _ in found} == set(numbers.values())
    assert found[numbers["ir_version"], VARINT] == model.ir_version
    assert found[numbers["graph"], MESSAGE] == len(graph.SerializeToString())


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # a length of 2**63 - 1
        b"\x0a\x05ab",  # longer than the file
        b"\x08",  # no number
        b"\x08" + b"\xff" * 11,  # a number without an end
        b"\x00\x01",  # field 0
        b"\x0b",  # a wire type that is no longer written
    ],
    ids=["huge", "too long", "cut", "endless", "field 0", "group"],
)
def test_what_is_no_message_has_no_fields(data: bytes) -> None:
    with budget():
        assert top_level_fields(io.BytesIO(data)) == {}


def test_only_the_first_of_very_many_fields_are_looked_at() -> None:
    data = b"\x08\x01" * MAX_FIELDS
    assert top_level_fields(io.BytesIO(data + b"\x10\x01")) == {(1, VARINT): 1}
    assert top_level_fields(io.BytesIO(data[2:] + b"\x10\x01" + data)) == {
        (1, VARINT): 1,
        (2, VARINT): 1,
    }
