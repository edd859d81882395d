"""Programs made to fool the proof: what it says, against a coupling that is measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from normscope.frameworks.jax.trace import traced
from normscope.graph.operators import CannotTraceError, Graph
from normscope.graph.proof import Verdict, samples_apart

X = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
APART, MEET, UNKNOWN = Verdict.APART, Verdict.MEET, Verdict.UNKNOWN
RANGE = jnp.arange(4)
LIKE_X: Any = jax.eval_shape(lambda: X)
pmean: Any = lax.pmean

Function = Callable[[Any], Any]
PROGRAMS: dict[str, tuple[Verdict, Function]] = {}


def program(word: Verdict) -> Callable[[Function], Function]:
    def added(function: Function) -> Function:
        PROGRAMS[function.__name__] = (word, function)
        return function

    return added


# --- moves and indices ----------------------------------------------------------------------------


@program(APART)
def there_and_back(x: Any) -> Any:
    return jnp.flip(jnp.flip(x, 0) * 2, 0)


@program(MEET)
def flipped(x: Any) -> Any:
    return x + jnp.flip(x, 0)


@program(MEET)
def rolled(x: Any) -> Any:
    return jnp.roll(x, 1, 0)


@program(MEET)
def reshaped_into_another(x: Any) -> Any:
    return x.reshape(2, 2, 6).transpose(1, 0, 2).reshape(4, 6)


@program(APART)
def padded_and_cut(x: Any) -> Any:
    return lax.pad(lax.pad(x, 0.0, ((2, 1, 0), (0, 0, 1))), 1.0, ((-2, -1, 0), (0, 0, 0)))


@program(MEET)
def padded_unevenly(x: Any) -> Any:
    return lax.pad(x, 0.0, ((1, -1, 0), (0, 0, 0)))


@program(MEET)
def padded_with_a_sample(x: Any) -> Any:
    return lax.pad(x, x[0, 0], ((0, 0, 0), (1, 0, 0)))


@program(APART)
def scattered_to_its_own(x: Any) -> Any:
    return jnp.zeros((4, 6)).at[jnp.array([3, 1, 2, 0])].set(x[jnp.array([3, 1, 2, 0])])


@program(MEET)
def scattered_to_others(x: Any) -> Any:
    return jnp.zeros((4, 6)).at[jnp.array([3, 2, 1, 0])].set(x)


@program(MEET)
def one_row_set_by_another(x: Any) -> Any:
    return x.at[0].set(x[1])


@program(MEET)
def added_in_one_place(x: Any) -> Any:
    return jnp.zeros((4, 6)).at[jnp.array([0, 0, 2, 3])].add(x)


@program(MEET)
def the_last_of_two_wins(x: Any) -> Any:
    return jnp.zeros((4, 6)).at[jnp.array([0, 0, 2, 3])].set(x)


@program(APART)
def dropped_out_of_range(x: Any) -> Any:
    return x.at[jnp.array([7])].set(x[:1] * 2, mode="drop")


@program(MEET)
def clipped_into_range(x: Any) -> Any:
    return x.at[jnp.array([7])].set(x[:1] * 2, mode="clip")


@program(MEET)
def taken_out_of_range(x: Any) -> Any:
    return jnp.take(x, jnp.array([0, 1, 2, 9]), 0, mode="clip") + jnp.take(
        x, jnp.array([0, 1, 9, 2]), 0, mode="clip"
    )


@program(MEET)
def taken_from_the_end(x: Any) -> Any:
    return x[jnp.array([-1, 0, 1, 2])]


@program(APART)
def sliced_at_known_places(x: Any) -> Any:
    return lax.dynamic_update_slice(x, lax.dynamic_slice(x, (1, 2), (2, 3)), (1, 0))


@program(MEET)
def sliced_over_the_end(x: Any) -> Any:
    return lax.dynamic_update_slice(x, lax.dynamic_slice(x, (3, 0), (2, 6)), (0, 0))


@program(UNKNOWN)
def sliced_where_data_says(x: Any) -> Any:
    return x + lax.dynamic_slice(x, (jnp.argmax(x[:, 0]), 0), (1, 6))


@program(APART)
def each_takes_its_largest(x: Any) -> Any:
    return x[RANGE, jnp.argmax(x, 1)][:, None] + x


@program(MEET)
def each_takes_from_the_next(x: Any) -> Any:
    return x[(RANGE + 1) % 4, jnp.argmax(x, 1)][:, None] + x


@program(APART)
def each_writes_at_its_largest(x: Any) -> Any:
    return x.at[RANGE, jnp.argmax(x, 1)].set(0.0)


@program(APART)
def sorted_apart(x: Any) -> Any:
    return jnp.take_along_axis(x, jnp.argsort(x, 1), 1)


@program(UNKNOWN)
def sorted_together(x: Any) -> Any:
    return x[jnp.argsort(x[:, 0])]


@program(MEET)
def interleaved(x: Any) -> Any:
    return jnp.stack([x[:2], x[2:]], 1).reshape(4, 6)


# --- arithmetic -----------------------------------------------------------------------------------


@program(MEET)
def gram(x: Any) -> Any:
    return jnp.einsum("bi,ci->bc", x, x)


@program(APART)
def gram_diagonal(x: Any) -> Any:
    return jnp.einsum("bi,bi->b", x, x)[:, None] * x


@program(MEET)
def running_over_samples(x: Any) -> Any:
    return lax.cumsum(x, 0, reverse=True)


@program(APART)
def running_within(x: Any) -> Any:
    return lax.cummax(x, 1)


@program(MEET)
def pooled_over_samples(x: Any) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, (2, 1), (1, 1), "SAME")


@program(APART)
def pooled_within(x: Any) -> Any:
    return lax.reduce_window(x, 0.0, lax.add, (1, 3), (1, 2), ((0, 0), (1, 1)))


@program(MEET)
def convolved_in_groups_of_samples(x: Any) -> Any:
    kernel = jnp.ones((2, 6, 1))
    return lax.conv_general_dilated(x[:, :, None], kernel, (1,), "VALID", batch_group_count=2)[
        :, :, 0
    ].repeat(2, 0)


@program(APART)
def convolved(x: Any) -> Any:
    return lax.conv_general_dilated(
        x[:, None], jnp.ones((2, 1, 3)), (2,), [(2, 1)], lhs_dilation=(2,), rhs_dilation=(2,)
    )


@program(MEET)
def samples_as_positions(x: Any) -> Any:
    return lax.conv_general_dilated(x.T[None], jnp.ones((6, 6, 3)), (1,), "SAME")[0].T


@program(APART)
def transformed_within(x: Any) -> Any:
    return jnp.fft.irfft(jnp.fft.rfft(x, axis=1) * 2, n=6, axis=1)


@program(MEET)
def transformed_over_samples(x: Any) -> Any:
    return jnp.fft.fft(x, axis=0).real


@program(MEET)
def solved_together(x: Any) -> Any:
    return jnp.linalg.qr(x[:, :4] + 5 * jnp.eye(4))[0]


@program(MEET)
def any_function_reduced(x: Any) -> Any:
    return x * lax.reduce(x, jnp.float32(1), lambda a, b: a * b, (0,))


@program(MEET)
def hidden_in_a_condition(x: Any) -> Any:
    return jnp.where(x.mean(0) > 0, x, 2 * x)


# --- functions inside -----------------------------------------------------------------------------


@program(MEET)
def scanned_over_samples(x: Any) -> Any:
    return lax.scan(lambda carry, row: (carry + row, carry), jnp.zeros(6), x)[1]


@program(APART)
def scanned_with_nothing_carried(x: Any) -> Any:
    return lax.scan(lambda carry, row: (carry, row * 2), 0.0, x)[1]


@program(APART)
def scanned_over_time(x: Any) -> Any:
    return lax.scan(lambda carry, step: (carry + step,) * 2, jnp.zeros(4), x.T)[1].T


@program(MEET)
def carried_in_a_ring(x: Any) -> Any:
    """Samples meet in the second round only."""

    def body(carry: Any, _: Any) -> Any:
        a, b = carry
        return (b[::-1], a + b), None

    return lax.scan(body, (jnp.zeros((4, 6)), x), length=2)[0][1]


@program(APART)
def looped(x: Any) -> Any:
    return lax.fori_loop(0, 3, lambda i, y: jnp.tanh(y) + i, x)


@program(APART)
def written_row_by_row(x: Any) -> Any:
    """Each round writes at its own place, and what is gathered comes in slices."""

    def body(carry: Any, column: Any) -> Any:
        number, made = carry
        return (number + 1, made.at[number].set(2 * x[number])), column

    return lax.scan(body, (0, jnp.zeros((4, 6))), x, reverse=True)[0][1]


@program(MEET)
def written_into_the_row_before(x: Any) -> Any:
    return lax.fori_loop(0, 4, lambda i, made: made.at[3 - i].set(2 * x[i]), jnp.zeros((4, 6)))


@program(UNKNOWN)
def looped_as_long_as_data_says(x: Any) -> Any:
    return lax.while_loop(lambda y: jnp.abs(y).max() > 0.5, lambda y: y / 2, x)


@program(UNKNOWN)
def each_looped_on_its_own(x: Any) -> Any:
    """It is apart: in further rounds, which others need, `vmap` changes nothing."""

    def one(row: Any) -> Any:
        return lax.while_loop(lambda y: jnp.abs(y).max() > 0.5, lambda y: y / 2, row)

    return jax.vmap(one)(x)


@program(MEET)
def branched_by_all(x: Any) -> Any:
    return lax.cond(x.sum() > 0, lambda y: y, lambda y: -y, x)


@program(APART)
def branched_by_a_constant(x: Any) -> Any:
    return lax.cond(jnp.arange(3).sum() > 2, lambda y: y * 2, lambda y: y - y.mean(0), x)


@program(MEET)
def one_branch_of_two(x: Any) -> Any:
    return lax.switch(jnp.argmax(x[0, :2]), (lambda y: y, lambda y: y + y.mean(0)), x)


@program(APART)
def each_branched_on_its_own(x: Any) -> Any:
    return jax.vmap(lambda r: lax.cond(r.sum() > 0, lambda y: y, lambda y: y * 3, r))(x)


@program(APART)
def differentiated_within(x: Any) -> Any:
    return jax.grad(lambda y: (jax.nn.softmax(y) ** 2).sum())(x)


@program(MEET)
def differentiated_through_a_mean(x: Any) -> Any:
    return jax.grad(lambda y: (y.mean(0) ** 2).sum())(x)


@jax.custom_vjp
def _lying(x: Any) -> Any:
    return x - x.mean(0)


_lying.defvjp(lambda x: (x, None), lambda _, g: (g,))


@program(MEET)
def custom_gradient(x: Any) -> Any:
    return _lying(x)


@program(MEET)
def compiled_and_checkpointed(x: Any) -> Any:
    return jax.jit(jax.checkpoint(lambda y: y - y.mean(0)))(x)


@program(APART)
def mapped(x: Any) -> Any:
    return jax.vmap(lambda row: (row - row.mean()) / jnp.linalg.norm(row))(x)


@program(MEET)
def mapped_with_a_sum_over_all(x: Any) -> Any:
    return jax.vmap(lambda row: row - pmean(row, "batch"), axis_name="batch")(x)


@program(UNKNOWN)
def called_on_the_host(x: Any) -> Any:
    return jax.pure_callback(lambda y: np.asarray(y) - np.asarray(y).mean(0), LIKE_X, x)


_SEEN: list[Any] = [np.zeros((4, 6), np.float32)]


@program(UNKNOWN)
def kept_on_the_host(x: Any) -> Any:
    """What one callback has seen, another gives back."""

    def keep(y: Any) -> Any:
        _SEEN[0] = np.asarray(y).mean(0, keepdims=True) + np.zeros_like(y)
        return np.zeros_like(y)

    zero = jax.pure_callback(keep, LIKE_X, x)
    return x + jax.pure_callback(lambda _: _SEEN[0], LIKE_X, zero[:1] * 0)


@program(MEET)
def a_key_that_depends_on_the_input(x: Any) -> Any:
    key = jax.random.fold_in(jax.random.key(0), jnp.abs(x[0, 0] * 1000).astype(jnp.int32))
    return x + jax.random.normal(key, (4, 6))


@program(APART)
def a_key_that_does_not(x: Any) -> Any:
    return jnp.where(jax.random.bernoulli(jax.random.key(0), 0.5, (4, 6)), x, 0.0)


@program(UNKNOWN)
def written_into_a_reference(x: Any) -> Any:
    reference = jax.new_ref(jnp.zeros((4, 6)))
    reference[...] = x
    reference[0, :] = x[1]
    return reference[...]


def graph_of(function: Function) -> Graph:
    return traced(lambda _, arrays: function(*arrays), {}, {"x": X})


def coupled(function: Function) -> bool:
    """Whether the outputs of a sample change with those of another, measured."""
    compiled = jax.jit(function)
    base = np.asarray(compiled(jnp.asarray(X)))
    moved = np.random.default_rng(1)
    for sample in range(4):
        for factor in (0.0, 3.0):
            changed = X.copy()
            changed[sample] = moved.normal(size=6) * factor
            others = [n for n in range(4) if n != sample]
            found = np.asarray(compiled(jnp.asarray(changed)))
            if not np.allclose(found[others], base[others], 1e-4, 1e-5):
                return True
    return False


@pytest.mark.parametrize("name", PROGRAMS)
def test_no_program_is_called_apart_that_is_not(name: str) -> None:
    word, function = PROGRAMS[name]
    proof = samples_apart(graph_of(function), [0])
    assert proof.verdict is word, proof
    if word is not UNKNOWN:
        assert coupled(function) is (word is MEET)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x if x.mean() > 0 else -x,
        lambda x: x * float(x.mean()),
        lambda x: x + np.asarray(x).mean(0),
        lambda x: x[: int(x.sum())],
    ],
)
def test_what_reads_numbers_cannot_be_traced(function: Function) -> None:
    with pytest.raises(CannotTraceError, match="numbers that depend on its input"):
        graph_of(function)
