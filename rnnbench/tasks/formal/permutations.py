"""Permutations: the product of a sequence of elements of a permutation group, after each of them."""

import itertools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from rnnbench.tasks.base import Example
from rnnbench.tasks.lengths import VariableLength
from rnnbench.tasks.symbols import SequenceLabelling

DEGREES = {"S3": 3, "A4": 4, "S4": 4, "A5": 5, "S5": 5}


class Permutations(VariableLength, SequenceLabelling):
    """Track the state of a row of cards: each symbol swaps them around, and the answer is how they lie then.

    In the group S3 there are three cards, and a symbol says from which place the card at each place comes: `213` swaps
    the first two.

        inputs   213 132 321
        targets  213 231 132

    The answer after step t is the product p_1 p_2 ... p_t: first p_1, then p_2. No bag of symbols gives it, because
    the groups do not commute. In S5 and A5, this is complete for the circuits NC1: models that are parallel in time
    and linear in a state with a diagonal transition cannot track it at every length, and an RNN can (Merrill et al.
    2024). Lengths and scores are those of `VariableLength`; every step is scored.
    Chance: accuracy 1 / elements, since the products are evenly distributed, as are the symbols.

    After Liu et al. 2023 and Merrill et al. 2024.

    Args:
        length: the largest length in training.
        test_length: the largest length in the test set.
        group: "S3", "A4", "S4", "A5" or "S5": all permutations of as many cards, or the even ones (A).

    Raises:
        ValueError: a length is too small, or there is no such group.
    """

    def __init__(
        self, length: int = 32, test_length: int = 256, group: Literal["S3", "A4", "S4", "A5", "S5"] = "S3"
    ) -> None:
        if group not in DEGREES:
            raise ValueError(f"group: expected {', '.join(DEGREES)}, got {group!r}")
        every = np.array(list(itertools.permutations(range(DEGREES[group]))))
        elements = every[[_is_even(element) for element in every]] if group.startswith("A") else every
        names = ["".join(str(card + 1) for card in element) for element in elements]
        super().__init__(length, test_length, symbols=names, answers=names)
        products = elements[:, elements]  # at place i then lies what lay at place second[i]
        place = {tuple(element): number for number, element in enumerate(elements.tolist())}
        self._products = np.apply_along_axis(lambda element: place[tuple(element.tolist())], 2, products)

    def sequence(self, key: PRNGKeyArray, length: Int[Array, ""], size: int) -> Example:
        elements = jax.random.randint(key, (size,), 0, len(self.symbols))
        table = jnp.asarray(self._products, elements.dtype)
        mask = jnp.arange(size) < length
        return Example(
            inputs=elements,
            targets=jax.lax.associative_scan(lambda first, second: table[first, second], elements),
            mask=mask,
            info={"scored": mask},
        )


def _is_even(permutation: Int[np.ndarray, " cards"]) -> bool:
    return sum(a > b for a, b in itertools.combinations(permutation.tolist(), 2)) % 2 == 0
