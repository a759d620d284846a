import numpy as np
import pytest

from rnnbench.tasks.grammar import FORMS, KINDS, PAD, VOCABULARY, PhraseTable, encode, phrases

LOAN = "due to my current job situation and family conditions"


def split() -> tuple[set[str], set[str]]:
    """Returns the training phrases and the held-out phrases."""
    training: set[str] = set()
    held_out: set[str] = set()
    for form in FORMS:
        for held, text in phrases(form):
            (held_out if held else training).add(text)
    return training, held_out


def test_held_out_phrases_are_new_but_their_words_are_not():
    training, held_out = split()
    assert not training & held_out
    assert 0.2 < len(held_out) / len(training | held_out) < 0.3
    assert {word for text in held_out for word in text.split()} == {word for text in training for word in text.split()}


def test_the_loan_phrase_is_held_out():
    training, held_out = split()
    assert LOAN in held_out
    assert LOAN not in training


@pytest.mark.parametrize("kind", KINDS)
def test_phrases_favour_no_value(kind):
    for texts in split():
        words = " ".join(texts).split()
        counts = [[words.count(pair[value]) for pair in KINDS[kind].features] for value in (0, 1)]
        assert counts[0] == counts[1]


def test_a_bound_word_is_told_by_the_two_words_before_it_but_by_neither_alone():
    followers: dict[tuple[str, ...], set[str]] = {}
    for form in ("preposition determiner adjective modifier thing", "conjunction subject verb"):
        for _, text in phrases(form):
            *_, second, first, bound = text.split()
            for context in ((second, first), (first,), (second,)):
                followers.setdefault(context, set()).add(bound)
    assert {len(words) for context, words in followers.items() if len(context) == 2} == {2}  # its two variants
    assert min(len(words) for context, words in followers.items() if len(context) == 1) > 2


@pytest.mark.parametrize("held_out", [False, True])
def test_table_has_phrases_of_every_length_and_groups_them_by_form(held_out):
    table = PhraseTable.build(held_out)
    expected = {frozenset([("",)])}
    for form in FORMS:
        by_length: dict[int, set[tuple[str, ...]]] = {}
        for held, text in phrases(form):
            if held == held_out:
                by_length.setdefault(len(text.split()), set()).add((text,))
        expected |= {frozenset(texts) for texts in by_length.values()}
    found = set()
    for length, (start, count) in enumerate(zip(table.group_start, table.group_count, strict=True)):
        assert count > 0
        for group in range(start, start + count):
            rows = table.words[table.row_start[group] : table.row_start[group] + table.row_count[group]]
            np.testing.assert_array_equal((rows != 0).sum(1), length)
            found.add(frozenset((" ".join(VOCABULARY[word] for word in row if word),) for row in rows))
    assert found == expected
    assert len(table.group_count) == 10


def test_vocabulary_has_every_word_once_and_the_padding_first():
    assert VOCABULARY[0] == PAD
    assert len(set(VOCABULARY)) == len(VOCABULARY)
    assert [VOCABULARY[word] for word in encode(LOAN)] == LOAN.split()


def test_unknown_words_are_named():
    with pytest.raises(ValueError, match="in the vocabulary, got mortgage, cheap"):
        encode("to take a mortgage cheap")
