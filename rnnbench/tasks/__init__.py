"""Tasks whose answer lies far back in the input."""

from rnnbench.tasks.adding import Adding
from rnnbench.tasks.base import Example, Task
from rnnbench.tasks.sentence_completion import SentenceCompletion

__all__ = ["Adding", "Example", "SentenceCompletion", "Task"]
