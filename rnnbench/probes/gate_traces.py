"""The gates, word by word, along sentences that the task chooses."""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from jaxtyping import PyTree

from rnnbench.model import Model
from rnnbench.probes.base import Columns, Probe
from rnnbench.probes.gates import gate_values
from rnnbench.tasks.base import Example, Task
from rnnbench.tasks.sentences import SentenceTask


class GateTraces(Probe):
    """The value of every gate in every unit at every word of the task's traced sentences (sentence tasks only)."""

    name = "gate_traces"
    tables: ClassVar = {
        "gate_traces": {
            "sentence": pa.int64(),
            "time": pa.int64(),
            "word": pa.string(),
            "layer": pa.int64(),
            "gate": pa.string(),
            "unit": pa.int64(),
            "value": pa.float32(),
        }
    }
    figures: ClassVar = {"gate_traces": ("rnnbench.figures.gates.gate_traces",)}

    def measure(self, model: Model, task: Task, batch: Example, answer: int) -> PyTree:
        """Returns values `(time, sentence, hidden)` by (layer, gate)."""
        del batch, answer
        if not isinstance(task, SentenceTask):
            return {}
        inputs, mask, words = task.traced_sentences()
        return gate_values(model, jnp.asarray(inputs), jnp.asarray(mask)) if words else {}

    def rows(self, measured: PyTree, model: Model, task: Task) -> dict[str, list[Columns]]:
        """Returns a row for every word, gate and unit."""
        del model
        parts: list[Columns] = []
        sentences = task.traced_sentences().words if isinstance(task, SentenceTask) else []
        for (layer, gate), values in measured.items():
            for sentence, words in enumerate(sentences):
                own = values[: len(words), sentence]
                time, unit = np.indices(own.shape)
                where = {"sentence": sentence, "layer": layer, "gate": gate, "time": time.ravel(), "unit": unit.ravel()}
                parts.append({**where, "word": np.repeat(words, own.shape[1]), "value": own.ravel()})
        return {"gate_traces": parts}
