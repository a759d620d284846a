"""Tasks whose answer lies far back in the input, a task a file; `base` says what a task is.

Imports JAX and `config.annotations`, and nothing else of this package.
"""

from rnnbench.tasks.adding import Adding
from rnnbench.tasks.base import Example, Task
from rnnbench.tasks.copy_memory import CopyMemory
from rnnbench.tasks.digits import Digits
from rnnbench.tasks.sentence_completion import SentenceCompletion

__all__ = ["Adding", "CopyMemory", "Digits", "Example", "SentenceCompletion", "Task"]
