"""Spans in the tags of every scheme."""

import itertools

import pytest

from rnnbench.tasks.text.spans import Span, scheme_of, spans, tags_of

SCHEMES = ("IO", "IOB1", "IOB2", "IOE1", "IOE2", "BIOES", "BILOU")
# Alone, two that touch, two of different types that touch, and one of one word.
ENTITIES = [Span("a", 0, 2), Span("a", 2, 3), Span("b", 3, 6), Span("a", 7, 8)]
WRITTEN = {
    "IOB1": "I-a I-a B-a I-b I-b I-b O I-a",
    "IOB2": "B-a I-a B-a B-b I-b I-b O B-a",
    "IOE1": "I-a E-a I-a I-b I-b I-b O I-a",
    "IOE2": "I-a E-a E-a I-b I-b E-b O E-a",
    "BIOES": "B-a E-a S-a B-b I-b E-b O S-a",
    "BILOU": "B-a L-a U-a B-b I-b L-b O U-a",
}


@pytest.mark.parametrize("scheme", WRITTEN)
def test_spans_are_written_and_read_in_every_scheme(scheme: str) -> None:
    tags = WRITTEN[scheme].split()
    assert spans(tags) == ENTITIES
    assert tags_of(ENTITIES, 8, scheme) == tags
    assert scheme_of([tags, ["O"]]) == scheme


def test_io_joins_what_touches() -> None:
    tags = tags_of(ENTITIES, 8, "IO")
    assert " ".join(tags) == "I-a I-a I-a I-b I-b I-b O I-a"
    assert spans(tags) == [Span("a", 0, 3), Span("b", 3, 6), Span("a", 7, 8)]
    assert scheme_of([tags]) == "IO"


def test_every_short_sentence_comes_back() -> None:
    """All ways to place spans of two types in four words."""
    for bounds in itertools.product("-ab", repeat=4):
        for joins in itertools.product((False, True), repeat=3):
            placed: list[Span] = []
            for word, kind in enumerate(bounds):
                if kind == "-":
                    continue
                if placed and placed[-1].end == word and placed[-1].kind == kind and joins[word - 1]:
                    placed[-1] = placed[-1]._replace(end=word + 1)
                else:
                    placed.append(Span(kind, word, word + 1))
            for scheme in SCHEMES[1:]:
                assert spans(tags_of(placed, 4, scheme)) == placed


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O I-a I-a", [Span("a", 1, 3)]),  # IOB2 without a B
        ("B-a I-b", [Span("a", 0, 1), Span("b", 1, 2)]),
        ("E-a E-a", [Span("a", 0, 1), Span("a", 1, 2)]),
        ("B-a S-a", [Span("a", 0, 1), Span("a", 1, 2)]),
        ("B-a", [Span("a", 0, 1)]),  # without an end
        ("B-creative-work I-creative-work", [Span("creative-work", 0, 2)]),
        ("O O", []),
        ("", []),
    ],
)
def test_tags_that_break_the_rules_are_read_as_the_shared_task_does(tags: str, expected: list[Span]) -> None:
    assert spans(tags.split()) == expected


def test_a_mixture_of_schemes_is_none() -> None:
    assert scheme_of([["B-a", "O"], ["I-a", "O"], ["O", "B-a"]]) is None


@pytest.mark.parametrize("tag", ["o", "person", "X-person", "B", "B-", "-person", "B_person", "b-person"])
def test_other_tags_are_refused(tag: str) -> None:
    with pytest.raises(ValueError, match=r"expected O, or B, I, E, S, L or U with a dash and a type"):
        spans(["O", tag])
