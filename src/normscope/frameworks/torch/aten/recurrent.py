"""Recurrent layers, linear algebra and embeddings of bags, each as one operator of PyTorch."""

from __future__ import annotations

from collections.abc import Callable

from normscope.frameworks.torch.aten.application import Application, Meaning, Slot
from normscope.graph.labels import labels
from normscope.graph.operators import Role
from normscope.graph.rules import Dims, Labels, Scan


def walked(op: Application) -> Meaning:
    """LSTM, GRU, RNN: along time each step sees those before it, in both directions all."""
    first = bool(op["batch_first"])
    batch, time = ("n", "t") if first else ("t", "n")
    both = bool(op["bidirectional"])
    label = {"n": "n", "t": None if both else "t"}
    operands: dict[int, Dims] = {0: (label[batch], label[time], None)}
    states = op.slots("hx")
    states = [states] if isinstance(states, Slot) else states
    for slot in states:
        operands[slot.number] = (None, "n", None)
    for slot in op.slots("params"):
        operands[slot.number] = (None,) * op.ranks[slot.number]
    output = (label[batch], label[time], None)
    results = (output, *[(None, "n", None)] * (len(op.results) - 1))
    rule = Labels(operands, results, {} if both else {"t": Scan()})
    return Meaning(Role.OTHER, rule, channel_axis=2)


def of_matrices(op: Application) -> Meaning:
    """Linear algebra on stacks of matrices: each matrix sees itself alone."""
    stack = labels(op.ranks[0])[:-2]
    operands: dict[int, Dims] = {}
    for number, rank in enumerate(op.ranks):
        lead = rank - 2
        if lead < 0:
            raise ValueError("a vector among stacks of matrices")
        operands[number] = (*stack[len(stack) - min(lead, len(stack)) :], None, None)
        if len(operands[number]) != rank:
            raise ValueError("stacks of different ranks")
    results = tuple(
        (*stack, *[None] * (result.dim() - len(stack))) if result.dim() >= len(stack) else None
        for result in op.results
    )
    if any(result is None for result in results):
        raise ValueError("a result without the axes of the stack")
    return Meaning(Role.OTHER, Labels(operands, results))  # type: ignore[arg-type]


_MATRICES = """linalg_inv_ex linalg_inv linalg_cholesky_ex cholesky linalg_qr _linalg_svd
_linalg_eigh linalg_eig _linalg_det _linalg_slogdet linalg_lu_factor_ex linalg_lu linalg_matrix_exp
linalg_solve_triangular _linalg_solve_ex linalg_pinv inverse triangular_solve cholesky_solve
cholesky_inverse linalg_householder_product linalg_eigvals linalg_lu_solve logdet
_linalg_eigvals"""
RULES: dict[str, Callable[[Application], Meaning]] = {
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), walked),
    **dict.fromkeys(_MATRICES.split(), of_matrices),
}
