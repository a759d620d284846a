"""Every task that reads symbols: its contract, an oracle that reads the inputs alone, shortcuts, and its chance level.

The oracles are programs in plain Python that follow the definition of the task. They share no code with it.
"""

import itertools
import re
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
import pytest

from rnnbench import tasks
from rnnbench.tasks import NextSymbols, SymbolTask
from rnnbench.testing import check_oracle, check_shortcuts, check_task

Words = list[str]


def parity(words: Words) -> Words:
    return ["odd" if words.count("1") % 2 else "even"]


def even_pairs(words: Words) -> Words:
    return ["odd" if sum(a != b for a, b in itertools.pairwise(words)) % 2 else "even"]


def majority(words: Words) -> Words:
    return [Counter(words).most_common(1)[0][0]]


def cycle_navigation(words: Words) -> Words:
    place = 0
    for move in words:
        place = {"+": place + 1, "-": place - 1, "=": place}[move] % 5
    return [str(place)]


def arithmetic(words: Words) -> Words:
    assert re.fullmatch(r"[0-4+*()-]+", "".join(words))
    return [str(eval("".join(words)) % 5)]


def permutations(words: Words) -> Words:
    row = list("123")
    states = []
    for word in words:
        row = [row[int(place) - 1] for place in word]
        states.append("".join(row))
    return states


def counting(letters: str) -> Callable[[Words], Words]:
    def answer(words: Words) -> Words:
        answers = ["a"]
        for step in range(1, len(words)):
            read = words[1 : step + 1]
            count, current = read.count("a"), read[-1]
            following = (letters + ".")[letters.index(current) + 1]
            if current == "a":
                answers.append("ab")
            else:
                answers.append(following if read.count(current) == count else current)
        return answers

    return answer


def dyck(words: Words) -> Words:
    open_, answers = [], []
    for bracket in words:
        if bracket in "([":
            open_.append(bracket)
        else:
            assert {"(": ")", "[": "]"}[open_.pop()] == bracket
        closing = {"(": ")", "[": "]"}[open_[-1]] if open_ else ""
        answers.append(closing + ("([" if len(open_) < 3 else ""))
    assert not open_
    return answers


def shuffle_dyck(words: Words) -> Words:
    counts, answers = {"()": 0, "[]": 0}, []
    for bracket in words:
        kind = next(kind for kind in counts if bracket in kind)
        counts[kind] += 1 if bracket == kind[0] else -1
        assert counts[kind] >= 0
        closing = "".join(kind[1] for kind, count in counts.items() if count)
        answers.append(closing + ("([" if sum(counts.values()) < 3 else ""))
    assert not any(counts.values())
    return answers


def reber(words: Words) -> Words:
    """Which symbols may come next, by trying which ones keep the string a start of a string of the grammar."""
    branch = words[1] if len(words) > 1 else ""
    # The outer string ends with its branch and E, and the inner one with E.
    grammar = {"": "B", "B": "TP"}
    inner = {"1": "T2P3", "2": "S2X4", "3": "T3V5", "4": "X3S6", "5": "P4V6", "6": "E7", "0": "B1"}
    answers, state = [], None
    for step in range(len(words)):
        if step == 0:
            answers.append(grammar["B"])
            continue
        if step == 1:
            state = "0"
        elif state is not None and state != "7":
            state = inner[state][inner[state].index(words[step]) + 1]
        else:
            assert words[step] == branch
            answers.append("E")
            continue
        answers.append(branch if state == "7" else "".join(inner[state][::2]))
    return answers


def temporal_order(words: Words) -> Words:
    assert words[0] == "E"
    assert words[-1] == "B"
    return ["".join(word for word in words if word in "XY")]


def first_of(place: int) -> Callable[[Words], Words]:
    return lambda words: [words[place]]


def after_ask(order: Callable[[Words], Words]) -> Callable[[Words], Words]:
    def answer(words: Words) -> Words:
        asked = words.index(":")
        memory = [word for word in words[:asked] if word != "."]
        return [""] * asked + order(memory)

    return answer


def repeat_copy(words: Words) -> Words:
    asked = next(step for step, word in enumerate(words) if word.startswith("x"))
    return [""] * asked + words[:asked] * int(words[asked][1:]) + ["."]


def associative_recall(words: Words) -> Words:
    known: dict[str, str] = {}
    answers = []
    for word, following in itertools.pairwise([*words, "x"]):
        answers.append(known.get(word, ""))
        if word.startswith("k") and following.startswith("v"):
            known[word] = following
    return answers


def induction_heads(words: Words) -> Words:
    return [words[words.index("|") + 1]]


def compression(words: Words) -> Words:
    return ["" if not word.startswith("@") else words[int(word[1:])] for word in words]


def echo(words: Words) -> Words:
    return [""] * 5 + words[:-5]


def n_back(words: Words) -> Words:
    return [""] * 5 + ["=" if a == b else "!" for a, b in zip(words, words[5:], strict=False)]


def ambiguous_names(words: Words) -> Words:
    assert words[0] == words[-1]
    return ["person" if words[3] in ("daughter", "brother", "author", "neighbour") else "place"]


class Case(NamedTuple):
    task: SymbolTask
    oracle: Callable[[Words], Words]
    solved_by: tuple[str, ...] = ()


short = {"length": 8, "test_length": 32}
CASES = {
    "parity": Case(tasks.Parity(**short), parity),
    "even_pairs": Case(tasks.EvenPairs(**short), even_pairs),
    "majority": Case(tasks.Majority(**short), majority, solved_by=("bag",)),
    "cycle_navigation": Case(tasks.CycleNavigation(**short), cycle_navigation),
    "modular_arithmetic": Case(tasks.ModularArithmetic(length=9, test_length=32), arithmetic),
    "brackets": Case(tasks.ModularArithmetic(length=9, test_length=32, brackets=True), arithmetic),
    "permutations": Case(tasks.Permutations(**short), permutations),
    "anbn": Case(tasks.Counting(length=9, test_length=33), counting("ab")),
    "anbncn": Case(tasks.Counting(length=13, test_length=40, letters=3), counting("abc")),
    "dyck": Case(tasks.Dyck(**short, kinds=2, depth=3), dyck),
    "shuffle_dyck": Case(tasks.Dyck(**short, kinds=2, depth=3, shuffled=True), shuffle_dyck),
    "reber": Case(tasks.EmbeddedReber(length=20), reber),
    "temporal_order": Case(tasks.TemporalOrder(length=20), temporal_order),
    "temporal_order_3": Case(tasks.TemporalOrder(length=20, relevant=3), temporal_order),
    "long_lag": Case(tasks.LongLag(length=10), first_of(0), solved_by=("bag",)),
    "long_lag_noisy": Case(tasks.LongLag(length=10, noisy=True), first_of(1), solved_by=("bag",)),
    "variable_copy": Case(tasks.VariableCopy(length=6, symbols=3, alphabet=4), after_ask(list)),
    "selective_copy": Case(tasks.SelectiveCopy(length=10, symbols=3, alphabet=4), after_ask(list)),
    "reverse": Case(tasks.Reverse(symbols=5, alphabet=4), after_ask(lambda memory: memory[::-1])),
    "sorting": Case(tasks.Sorting(symbols=5, alphabet=4), after_ask(sorted), solved_by=("bag",)),
    "repeat_copy": Case(tasks.RepeatCopy(symbols=3, repeats=3, alphabet=4), repeat_copy),
    "associative_recall": Case(
        tasks.AssociativeRecall(length=20, pairs=3, keys=8, values=8, power=0.5), associative_recall
    ),
    "induction_heads": Case(tasks.InductionHeads(**short, alphabet=4), induction_heads),
    "compression": Case(tasks.Compression(symbols=5, alphabet=4), compression),
    "echo": Case(tasks.Echo(length=12, delay=5), echo),
    "n_back": Case(tasks.NBack(length=14, back=5), n_back),
    "ambiguous_names": Case(tasks.AmbiguousNames(distance=6), ambiguous_names),
}
each = pytest.mark.parametrize("name", CASES)


@each
def test_contract(name: str) -> None:
    check_task(CASES[name].task)


@each
def test_a_program_that_reads_the_inputs_is_always_right(name: str) -> None:
    task, oracle, _ = CASES[name]

    def answer(inputs: np.ndarray) -> np.ndarray:
        answers = oracle([task.symbols[token] for token in inputs])
        if isinstance(task, NextSymbols):
            return np.array([[1.0 if name in own else -1.0 for name in task.answers] for own in answers])
        outputs = np.array([[float(name == own) for name in task.answers] for own in answers])
        return outputs[-1] if task.last_step_only else outputs

    assert check_oracle(task, answer)[task.score] == 1


def distances(memory: list[int], answers: list[int]) -> list[int]:
    return [answer - place for place, answer in zip(memory, answers, strict=True)]


def of_memory(words: Words, order: Callable[[list[int]], list[int]] = list) -> list[int]:
    """Returns the distances of a task that recalls what it read before `:`, if it does so in an order of the places."""
    asked = words.index(":")
    memory = [step for step in range(asked) if words[step] != "."]
    return distances(order(memory), [*range(asked, asked + len(memory))])


def of_queries(words: Words) -> list[int]:
    queries = [step for step, word in enumerate(words) if word in words[:step] and word.startswith("k")]
    return distances([words.index(words[step]) + 1 for step in queries], queries)


BY_ANSWER: dict[str, dict[str, Callable[[Words], list[int]]]] = {
    "reverse": {"distance": lambda words: of_memory(words, lambda memory: memory[::-1])},
    "sorting": {"rank": lambda words: [1, 2, 3, 4, 5]},
    "selective_copy": {"distance": of_memory},
    "associative_recall": {"distance": of_queries},
    "compression": {"place": lambda words: [int(word[1:]) for word in words if word.startswith("@")]},
    "echo": {"distance": lambda words: [5]},
    "n_back": {"distance": lambda words: [5]},
}


@pytest.mark.parametrize("name", BY_ANSWER)
def test_breakdowns_follow_from_what_a_person_reads(name: str) -> None:
    task = CASES[name].task
    assert task.breakdowns == (*BY_ANSWER[name],)
    for by, expected in BY_ANSWER[name].items():
        for seed in range(20):
            example = jax.tree.map(np.asarray, task.example(jax.random.key(seed)))
            words = task.read_inputs(example.inputs[example.mask])["inputs"]
            assert np.atleast_1d(example.info[by]).tolist() == expected(words)


def test_answers_are_scored_in_the_order_of_their_breakdown() -> None:
    """Outputs that are wrong at one query are wrong in the score of this query only."""
    task = CASES["associative_recall"].task
    for seed in range(20):
        example = task.example(jax.random.key(seed))
        steps = np.flatnonzero(example.info["scored"])
        right = jax.nn.one_hot(example.targets, task.out_features)
        for wrong, step in enumerate(steps):
            outputs = right.at[step].multiply(-1)
            assert task.answer_scores(outputs, example).tolist() == [float(other != wrong) for other in range(3)]


@each
def test_no_shortcut_solves_it(name: str) -> None:
    check_shortcuts(CASES[name].task, CASES[name].solved_by)


@each
def test_examples_can_be_read(name: str) -> None:
    """What a person reads agrees with the oracle, for the answers too."""
    task, oracle, _ = CASES[name]
    example = jax.tree.map(np.asarray, task.example(jax.random.key(5)))
    words = task.read_inputs(example.inputs[example.mask])["inputs"]
    read = task.read_targets(example)
    expected = oracle(words)
    assert len(words) == len(read)
    if isinstance(task, NextSymbols):
        assert [sorted(own) for own in read] == [sorted(own) for own in expected]
    else:
        assert read == [*[""] * (len(words) - len(expected)), *expected]
