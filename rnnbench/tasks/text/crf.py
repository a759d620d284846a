"""A linear-chain conditional random field over tags (Lafferty et al. 2001)."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

Potentials = Float[Array, "time tags tags"]
"""psi_t[i, j]: the score of tag j at step t after tag i. Before the first step stands tag 0."""


def log_likelihood(potentials: Potentials, tags: Int[Array, " time"], mask: Bool[Array, " time"]) -> Float[Array, ""]:
    """Returns log p(tags), in nats: their score, less the logarithm of all sequences' summed exponentials.

        log p(y) = sum_t psi_t[y_{t-1}, y_t] - log Z

    Args:
        potentials: psi.
        tags: y.
        mask: False at padded steps, which come last and do not count.
    """
    before = jnp.pad(tags, (1, 0))[:-1]
    scores = potentials[jnp.arange(len(tags)), before, tags]
    return jnp.sum(jnp.where(mask, scores, 0.0)) - log_partition(potentials, mask)


def log_partition(potentials: Potentials, mask: Bool[Array, " time"]) -> Float[Array, ""]:
    """Returns log Z by the forward algorithm: alpha_t[j] = log sum_i exp(alpha_{t-1}[i] + psi_t[i, j])."""

    def step(alpha: Float[Array, " tags"], x: tuple[Array, Array]) -> tuple[Float[Array, " tags"], None]:
        psi, is_real = x
        return jnp.where(is_real, jax.nn.logsumexp(alpha[:, None] + psi, axis=0), alpha), None

    alpha, _ = lax.scan(step, potentials[0, 0], (potentials[1:], mask[1:]))
    return jax.nn.logsumexp(alpha)


def viterbi(potentials: Potentials, mask: Bool[Array, " time"]) -> Int[Array, " time"]:
    """Returns the tags with the highest score (Viterbi 1967); at padded steps, the last one again.

    The forward scan has the best score of each tag, and from which tag it comes; the reverse scan follows these.
    """

    def forward(best: Float[Array, " tags"], x: tuple[Array, Array]) -> tuple[Array, Int[Array, " tags"]]:
        psi, is_real = x
        scores = best[:, None] + psi
        same = jnp.arange(len(best))
        return (
            jnp.where(is_real, jnp.max(scores, axis=0), best),
            jnp.where(is_real, jnp.argmax(scores, axis=0), same),
        )

    best, origins = lax.scan(forward, potentials[0, 0], (potentials[1:], mask[1:]))
    last = jnp.argmax(best)
    first, rest = lax.scan(lambda tag, origin: (origin[tag], tag), last, origins, reverse=True)
    return jnp.concatenate([first[None], rest])
