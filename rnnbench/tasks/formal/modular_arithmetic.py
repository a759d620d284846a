"""Modular arithmetic: the value of an expression, with or without brackets."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rnnbench.tasks.base import Example
from rnnbench.tasks.formal.base import StringClassification

OPERATORS = ("+", "-", "*")


class Writing(NamedTuple):
    """An expression with brackets that is being written.

    Attributes:
        todo: a stack of what is still to be written. An entry of 0 or more is an expression with that many operations;
            -1, -2, -3 are the operators, and -4 is a closing bracket.
        left: the number of entries in `todo`.
        values: a stack of the values of what is written.
        applied: the operators between the values.
        known: the number of entries in `values`.
    """

    todo: Int[Array, " stack"]
    left: Int[Array, ""]
    values: Int[Array, " stack"]
    applied: Int[Array, " stack"]
    known: Int[Array, ""]


class ModularArithmetic(StringClassification):
    """Give the value of an expression of digits with `+`, `-` and `*`, modulo a number.

    Without brackets, products come before sums, and a finite number of states is enough, as for the other regular
    languages. With brackets, every operation has its own, and a stack is needed. Modulo 5:

        inputs   1 + 4 * 3 - 2          ( ( 1 + 4 ) * 3 )
        target               1                          0

    Lengths and scores are those of `VariableLength`; a length at which there is no expression gives one that is up to
    three symbols shorter. In an expression with brackets, each division of the operations between its two sides is
    equally probable.
    Chance: the accuracy of naming the most probable value, a little above 1 / modulus: products are often 0.

    After Deletang et al. 2023, "modular arithmetic (simple)" and "(brackets)", modulo 5.

    Args:
        length: the largest length in training.
        test_length: the largest length in the test set.
        modulus: values are taken modulo this number.
        brackets: whether every operation is in brackets.

    Raises:
        ValueError: a length or the modulus is too small.
    """

    def __init__(self, length: int = 32, test_length: int = 256, modulus: int = 5, brackets: bool = False) -> None:
        if not 2 <= modulus <= 10:
            raise ValueError(f"modulus: expected 2 to 10, got {modulus}")
        digits = [str(digit) for digit in range(modulus)]
        symbols = [*digits, *OPERATORS, *("()" if brackets else "")]
        super().__init__(length, test_length, symbols=symbols, answers=digits)
        self.modulus = modulus
        self.brackets = brackets

    def sequence(self, key: PRNGKeyArray, length: Int[Array, ""], size: int) -> Example:
        digit_key, operator_key, shape_key = jax.random.split(key, 3)
        digits = jax.random.randint(digit_key, (size,), 0, self.modulus)
        operators = jax.random.randint(operator_key, (size,), 0, 3)
        if self.brackets:
            return self._bracketed(digits, operators, jax.random.uniform(shape_key, (size,)), length)
        odd = length - 1 + length % 2
        steps = jnp.arange(size)
        return Example(
            inputs=jnp.where(steps % 2 == 0, digits, self.modulus + operators),
            targets=self._value(digits[::2], operators[1::2], odd // 2),
            mask=steps < odd,
            info={},
        )

    def _value(
        self, digits: Int[Array, " digits"], operators: Int[Array, " operators"], count: Int[Array, ""]
    ) -> Int[Array, ""]:
        """Returns the value of the first `count` operations on digits, products first."""

        def operate(state: tuple[Array, Array], step: tuple[Array, Array, Array]) -> tuple[tuple[Array, Array], None]:
            total, product = state  # of the expression so far: total + product
            operator, digit, is_real = step
            after_sum = total + product, jnp.where(operator == 0, digit, -digit)
            after = [jnp.where(operator == 2, a, b) for a, b in zip((total, product * digit), after_sum, strict=True)]
            new = [jnp.where(is_real, a % self.modulus, b) for a, b in zip(after, state, strict=True)]
            return (new[0], new[1]), None

        steps = operators[: len(digits) - 1], digits[1:], jnp.arange(len(digits) - 1) < count
        (total, product), _ = jax.lax.scan(operate, (jnp.zeros_like(digits[0]), digits[0]), steps)
        return (total + product) % self.modulus

    def _bracketed(
        self,
        digits: Int[Array, " size"],
        operators: Int[Array, " size"],
        splits: Float[Array, " size"],
        length: Int[Array, ""],
    ) -> Example:
        """Returns an expression with brackets, one operation for each four symbols beyond the first."""
        size = len(digits)
        closing, opening_id, closing_id = -4, self.modulus + 3, self.modulus + 4

        def write(state: Writing, step: tuple[Array, Array, Array]) -> tuple[Writing, Array]:
            digit, operator, split = step
            top = state.todo[jnp.maximum(state.left - 1, 0)]
            is_over, is_digit, is_nested = state.left == 0, top == 0, top > 0
            is_operator, is_closing = (top < 0) & (top > closing), top == closing
            # `( E op E )`: the last to be written is the lowest entry.
            inner = jnp.int32(split * jnp.float32(top))  # operations of the first expression
            pushed = jnp.stack([jnp.int32(closing), top - 1 - inner, -1 - operator, inner])
            places = state.left - 1 + jnp.arange(4)
            nested = state.todo.at[jnp.where(is_nested, places, size + 4)].set(pushed, mode="drop")
            a, b = state.values[state.known - 2], state.values[state.known - 1]
            by = state.applied[state.known - 2]
            result = jnp.where(by == 0, a + b, jnp.where(by == 1, a - b, a * b)) % self.modulus
            at = jnp.where(is_digit, state.known, jnp.where(is_closing, state.known - 2, size + 4))
            symbol = jnp.where(is_digit, digit, jnp.where(is_nested, opening_id, jnp.where(is_closing, closing_id, 0)))
            symbol = jnp.where(is_operator, self.modulus - 1 - top, symbol)
            after = Writing(
                todo=nested,
                left=state.left + jnp.where(is_nested, 3, -1),
                values=state.values.at[at].set(jnp.where(is_digit, digit, result), mode="drop"),
                applied=state.applied.at[jnp.where(is_operator, state.known - 1, size + 4)].set(-1 - top, mode="drop"),
                known=state.known + jnp.int32(is_digit) - jnp.int32(is_closing),
            )
            kept = jax.tree.map(lambda new, old: jnp.where(is_over, old, new), after, state)
            return kept, jnp.where(is_over, -1, symbol)

        empty = jnp.zeros(size + 4, digits.dtype)
        start = Writing(
            todo=empty.at[0].set((length - 1) // 4), left=jnp.int32(1), values=empty, applied=empty, known=jnp.int32(0)
        )
        end, written = jax.lax.scan(write, start, (digits, operators, splits))
        return Example(inputs=jnp.maximum(written, 0), targets=end.values[0], mask=written >= 0, info={})

    def frequencies(self, length: int) -> Float[np.ndarray, " answers"]:
        """Returns the distribution of the value, by dynamic programming over the operations."""
        if self.brackets:
            return self._bracketed_frequencies((length - 1) // 4)
        values = np.arange(self.modulus)
        state = np.zeros((self.modulus, self.modulus))  # by total and product
        state[0] = 1 / self.modulus
        for _ in range((length - 1) // 2):
            new = np.zeros_like(state)
            for total in values:
                for product in values:
                    share = state[total, product] / 3 / self.modulus
                    np.add.at(new[total], product * values % self.modulus, share)
                    new[(total + product) % self.modulus] += 2 * share  # + and - reach every product
            state = new
        found = np.zeros(self.modulus)
        for total in values:
            found[(total + values) % self.modulus] += state[total]
        return found

    @functools.cache  # noqa: B019 (a task lives as long as the program)
    def _bracketed_frequencies(self, operations: int) -> Float[np.ndarray, " answers"]:
        if operations == 0:
            return np.full(self.modulus, 1 / self.modulus)
        found = np.zeros(self.modulus)
        for first in range(operations):
            pairs = np.outer(
                self._bracketed_frequencies(first), self._bracketed_frequencies(operations - 1 - first)
            ) / (3 * operations)
            a, b = np.indices(pairs.shape)
            for result in (a + b, a - b, a * b):
                np.add.at(found, result % self.modulus, pairs)
        return found
