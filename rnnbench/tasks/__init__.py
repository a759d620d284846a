"""Tasks whose answer lies far back in the input, a task a file; `base` says what a task is, `sentences` one of words.

Imports JAX and `config.annotations`, and nothing else of this package.
"""

from rnnbench.tasks.adding import Adding
from rnnbench.tasks.base import Example, Task
from rnnbench.tasks.copy_memory import CopyMemory
from rnnbench.tasks.digits import Digits
from rnnbench.tasks.sentence_completion import SentenceCompletion
from rnnbench.tasks.sentences import Completion, SentenceTask, TracedSentences

__all__ = [
    "Adding",
    "Completion",
    "CopyMemory",
    "Digits",
    "Example",
    "SentenceCompletion",
    "SentenceTask",
    "Task",
    "TracedSentences",
]
