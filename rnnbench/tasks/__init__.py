"""Tasks whose answer depends on the past, one task per file.

`base` defines what a task is. `symbols` has the base classes of tasks that read symbols, `lengths` that of tasks scored
beyond the lengths of training, and `sentences` that of tasks with sentences. The folders are families of tasks: `lags`
(Hochreiter & Schmidhuber 1997), `recall`, `formal` languages, `images`, `signals`, and `text`. Imports JAX and, of this
package, only `config.annotations`.
"""

from rnnbench.tasks.base import Example, GrowingTask, Task
from rnnbench.tasks.formal.counting import Counting
from rnnbench.tasks.formal.cycle_navigation import CycleNavigation
from rnnbench.tasks.formal.dyck import Dyck
from rnnbench.tasks.formal.even_pairs import EvenPairs
from rnnbench.tasks.formal.majority import Majority
from rnnbench.tasks.formal.modular_arithmetic import ModularArithmetic
from rnnbench.tasks.formal.parity import Parity
from rnnbench.tasks.formal.permutations import Permutations
from rnnbench.tasks.images.cifar10 import CIFAR10
from rnnbench.tasks.images.digits import Digits
from rnnbench.tasks.images.mnist import MNIST
from rnnbench.tasks.lags.adding import Adding
from rnnbench.tasks.lags.embedded_reber import EmbeddedReber
from rnnbench.tasks.lags.long_lag import LongLag
from rnnbench.tasks.lags.multiplication import Multiplication
from rnnbench.tasks.lags.temporal_order import TemporalOrder
from rnnbench.tasks.lags.two_sequence import TwoSequence
from rnnbench.tasks.lengths import VariableLength
from rnnbench.tasks.recall.associative_recall import AssociativeRecall
from rnnbench.tasks.recall.compression import Compression
from rnnbench.tasks.recall.copy_memory import CopyMemory
from rnnbench.tasks.recall.echo import Echo
from rnnbench.tasks.recall.induction_heads import InductionHeads
from rnnbench.tasks.recall.memorization import Memorization
from rnnbench.tasks.recall.n_back import NBack
from rnnbench.tasks.recall.repeat_copy import RepeatCopy
from rnnbench.tasks.recall.reverse import Reverse
from rnnbench.tasks.recall.selective_copy import SelectiveCopy
from rnnbench.tasks.recall.sorting import Sorting
from rnnbench.tasks.recall.variable_copy import VariableCopy
from rnnbench.tasks.sentence_completion import SentenceCompletion
from rnnbench.tasks.sentences import Completion, SentenceTask, TracedSentences
from rnnbench.tasks.signals.irregular_adding import IrregularAdding
from rnnbench.tasks.signals.lorenz import Lorenz
from rnnbench.tasks.signals.mackey_glass import MackeyGlass
from rnnbench.tasks.symbols import NextSymbols, SequenceClassification, SequenceLabelling, SymbolTask
from rnnbench.tasks.text.ambiguous_names import AmbiguousNames
from rnnbench.tasks.text.named_entities import NamedEntities
from rnnbench.tasks.user_data import UserData

__all__ = [
    "CIFAR10",
    "MNIST",
    "Adding",
    "AmbiguousNames",
    "AssociativeRecall",
    "Completion",
    "Compression",
    "CopyMemory",
    "Counting",
    "CycleNavigation",
    "Digits",
    "Dyck",
    "Echo",
    "EmbeddedReber",
    "EvenPairs",
    "Example",
    "GrowingTask",
    "InductionHeads",
    "IrregularAdding",
    "LongLag",
    "Lorenz",
    "MackeyGlass",
    "Majority",
    "Memorization",
    "ModularArithmetic",
    "Multiplication",
    "NBack",
    "NamedEntities",
    "NextSymbols",
    "Parity",
    "Permutations",
    "RepeatCopy",
    "Reverse",
    "SelectiveCopy",
    "SentenceCompletion",
    "SentenceTask",
    "SequenceClassification",
    "SequenceLabelling",
    "Sorting",
    "SymbolTask",
    "Task",
    "TemporalOrder",
    "TracedSentences",
    "TwoSequence",
    "UserData",
    "VariableCopy",
    "VariableLength",
]
