"""NS803: the group norm of opset 18, and that of opset 21."""

from __future__ import annotations

from typing import Any

import numpy as np

from normscope.audit.finding import Finding, Severity
from onnx_text import onnx_model
from rule_fixtures import Given, healthy, sick

X = np.random.default_rng(0).normal(size=(4, 8, 6, 6)).astype("float32")

NOT_IN = {
    "torch": "it is about operators of ONNX",
    "keras": "it is about operators of ONNX",
    "jax": "it is about operators of ONNX",
}


def _group_norm(opset: int, scales: int) -> Any:
    nodes = "[gn] y = GroupNormalization <num_groups = 4, epsilon = 0.001> (x, scale, bias)"
    scale = np.linspace(0.5, 2, scales)
    return onnx_model(nodes, X.shape, opset=opset, scale=scale, bias=np.zeros(scales)), X


@sick("onnx", at="gn")
def per_group_onnx() -> Any:
    return _group_norm(18, 4)


@sick("onnx", at="gn")
def per_channel_in_opset_18_onnx() -> Any:
    return _group_norm(18, 8)


@healthy("onnx")
def per_channel_onnx() -> Any:
    return _group_norm(21, 8)


def _layer_norm(length: int) -> Any:
    nodes = "[ln] y = LayerNormalization (x, scale, bias)"
    return onnx_model(nodes, X.shape, scale=np.ones(length), bias=np.zeros(length)), X


@sick("onnx", at="ln")
def wrong_length_onnx() -> Any:
    return _layer_norm(8)


@healthy("onnx")
def right_length_onnx() -> Any:
    return _layer_norm(6)


@healthy("onnx")
def one_number_onnx() -> Any:
    """A single scale fits every axis."""
    return _layer_norm(1)


def measured(finding: Finding, given: Given) -> None:
    """The lengths of the arrays in the file."""
    lengths = {int(tensor.dims[0]) for tensor in given.model.graph.initializer}
    if finding.severity is Severity.ERROR:
        assert finding.evidence["lengths"] == sorted(lengths)
        assert 6 not in lengths
        return
    assert {finding.evidence["scales"]} == lengths
    assert (finding.evidence["groups"], finding.evidence["channels"]) == (4, 8)
