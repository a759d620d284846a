"""The two-sequence problem."""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from rnnbench.tasks.base import Example, Task, fixed_batch


class TwoSequence(Task):
    """Say to which of two classes a noisy signal belongs; only its first elements tell.

    With 3 telling elements:

        input    1.00 1.00 1.00  .31 -.52  .08  .44 ...      class 1, target 1
        input   -1.00-1.00-1.00 -.27  .61  .15 -.39 ...      class 2, target 0

    The rest is Gaussian noise of variance `noise`. Sequences have `length` to `length` + `length` // 10 steps and are
    padded at their end. With `noisy_targets`, the targets are .2 for class 1 and .8 for class 2 with Gaussian noise of
    variance .1, in training only, so the classes have to be told apart from averages.

    The loss is the squared error of the output after the last step; `accuracy` is the share of answers on the right
    side of 1/2. `distance` is the number of steps from the last telling element to the end.
    Chance: accuracy 1/2. Solved: accuracy of at least .99.

    Experiments 3a and 3c of Hochreiter & Schmidhuber 1997, after Bengio et al. 1994.

    Args:
        length: the smallest number of steps.
        elements: number of telling elements at the start.
        noise: variance of the noise.
        noisy_targets: whether targets are noisy and close (3c), or exact (3a).

    Raises:
        ValueError: a number is too small.
    """

    in_features = 1
    out_features = 1
    last_step_only = True
    score: ClassVar[str] = "accuracy"
    score_goal: ClassVar[Literal["max", "min"]] = "max"
    breakdowns = ("distance",)

    def __init__(self, length: int = 100, elements: int = 3, noise: float = 0.2, noisy_targets: bool = False) -> None:
        if elements < 1:
            raise ValueError(f"elements: expected at least 1, got {elements}")
        if length < elements:
            raise ValueError(f"length: expected at least {elements} (elements), got {length}")
        if noise < 0:
            raise ValueError(f"noise: expected 0 or more, got {noise}")
        self.shortest = length
        self.length = length + length // 10
        self.elements = elements
        self.noise = noise
        self.noisy_targets = noisy_targets
        self.means = (0.2, 0.8) if noisy_targets else (1.0, 0.0)

    def example(self, key: PRNGKeyArray) -> Example:
        length_key, target_key, key = jax.random.split(key, 3)
        length = jax.random.randint(length_key, (), self.shortest, self.length + 1)
        example = self._of_length(key, length)
        if self.noisy_targets:
            noise = jnp.sqrt(0.1) * jax.random.normal(target_key, (1,))
            example = example._replace(targets=example.targets + noise)
        return example

    def test_set(self, size: int) -> Example:
        """Returns examples of all lengths, with exact targets."""
        return self._exact(size, self.length)

    def probe_set(self, size: int) -> Example:
        """Returns examples of the smallest length, with exact targets."""
        return self._exact(size, self.shortest)

    def _exact(self, size: int, longest: int) -> Example:
        def one(key: PRNGKeyArray) -> Example:
            length_key, key = jax.random.split(key)
            return self._of_length(key, jax.random.randint(length_key, (), self.shortest, longest + 1))

        return fixed_batch(one, size)

    def _of_length(self, key: PRNGKeyArray, length: Int[Array, ""]) -> Example:
        class_key, noise_key = jax.random.split(key)
        second = jax.random.randint(class_key, (), 0, 2)
        steps = jnp.arange(self.length)
        noise = jnp.sqrt(self.noise) * jax.random.normal(noise_key, (self.length,))
        signal = jnp.where(steps < self.elements, jnp.float32(1 - 2 * second), noise)
        mask = steps < length
        return Example(
            inputs=jnp.where(mask, signal, 0.0)[:, None],
            targets=jnp.array(self.means)[second][None],
            mask=mask,
            info={"distance": length - self.elements, "cue": steps < self.elements, "class": second},
        )

    def loss(self, outputs: Float[Array, " out"], example: Example) -> Float[Array, ""]:
        return jnp.mean((outputs - example.targets) ** 2)

    def metrics(self, outputs: Float[Array, " out"], example: Example) -> dict[str, Float[Array, ""]]:
        is_second = (outputs[0] > 0.5) == (self.means[1] > self.means[0])
        return {
            "mse": self.loss(outputs, example),
            "accuracy": jnp.float32(is_second == (example.info["class"] == 1)),
        }

    def chance(self) -> dict[str, float]:
        mse = (self.means[0] - self.means[1]) ** 2 / 4
        return {"loss": mse, "mse": mse, "accuracy": 1 / 2}

    def solved(self, summary: dict[str, float]) -> bool:
        return summary["accuracy"] >= 0.99
