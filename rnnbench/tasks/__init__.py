"""Tasks whose answer depends on the distant past, one task per file.

`base` defines what a task is, and `sentences` what a task with sentences is. Imports JAX and, of this package, only
`config.annotations`.
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
