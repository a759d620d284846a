"""Tasks whose answer lies far back in the input."""

from rnnbench.tasks.adding import Adding
from rnnbench.tasks.base import Example, Task
from rnnbench.tasks.copy_memory import CopyMemory
from rnnbench.tasks.digits import Digits
from rnnbench.tasks.sentence_completion import SentenceCompletion

__all__ = ["Adding", "CopyMemory", "Digits", "Example", "SentenceCompletion", "Task"]
