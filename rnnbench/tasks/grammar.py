"""The small grammar of sentence completion: kinds of sentences, and phrases that fill the distance."""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

PAD, COMMA = "_", ","


class Kind(NamedTuple):
    """A kind of sentence: a cue of one of two values (0 or 1) decides between the two forms of a later word.

    Attributes:
        cues: pairs of cues with the same number of words, for value 0 and value 1.
        commas: whether the filler stands between commas.
        bridges: words before the decided word (if none, it follows the filler).
        endings: the decided word for value 0 and for value 1, and the rest of the sentence.
        features: pairs of words that carry the two values inside fillers.
    """

    cues: tuple[tuple[str, str], ...]
    commas: bool
    bridges: tuple[str, ...]
    endings: tuple[tuple[str, str, str], ...]
    features: tuple[tuple[str, str], ...]


MEN = (("king", "kings"), ("father", "fathers"), ("brother", "brothers"), ("uncle", "uncles"))
WOMEN = (("queen", "queens"), ("mother", "mothers"), ("sister", "sisters"), ("aunt", "aunts"))
THINGS = (("letter", "letters"), ("situation", "situations"), ("garden", "gardens"), ("condition", "conditions"))
VERBS = (("see", "saw"), ("know", "knew"), ("sell", "sold"), ("find", "found"))

FREE = {
    "preposition": ("due to", "because of", "next to", "ahead of", "near", "behind", "with", "without"),
    "determiner": ("the", "my", "our", "their"),
    "adjective": ("old", "new", "current", "small", "clever", "quiet", "famous", "strange"),
    "conjunction": ("as", "since", "while", "because"),
    "subject": ("I", "we", "you", "they"),
    "degree": ("quite", "very", "rather", "most"),
    "adverb": ("frankly", "often", "sadly", "gladly", "clearly", "openly", "quietly", "proudly"),
}
"""Words drawn freely."""

BOUND = {
    "modifier": (("money",), ("school",), ("family",), ("job",)),
    "thing": THINGS,
    "person": tuple(man + woman for man, woman in zip(MEN, WOMEN, strict=True)),
    "verb": VERBS,
}
"""Words that depend on the two words before them. If these are at places a and b of their lists, the word is number
(a + b) mod 4 of its own list, in any of its variants. Neither of the two words determines it alone, and together they
favour no number, gender or tense: the variants are equally frequent."""

FORMS = (
    "adverb",
    "degree adverb",
    "preposition determiner person",
    "preposition determiner adjective person",
    "preposition determiner modifier thing",
    "preposition determiner adjective modifier thing",
    "preposition determiner modifier thing and modifier thing",
    "preposition determiner adjective modifier thing and modifier thing",
    "conjunction subject verb",
    "conjunction subject adverb verb",
    "conjunction subject verb determiner person",
    "conjunction subject verb determiner adjective person",
    "conjunction subject verb determiner adjective modifier thing",
)
"""Phrases, by their parts. There are phrases of every length from 1 to 9, so that any distance can be filled."""

HELD_OUT = 1
"""A phrase is held out for the test if the alternating sum of its free words' places is this, modulo 4. Training sees
all words of these phrases."""

KINDS = {
    "tense": Kind(
        cues=(("today", "yesterday"), ("now", "formerly"), ("this year", "last year"), ("this week", "last week")),
        commas=True,
        bridges=("I",),
        endings=(
            ("need", "had", "to take a loan ."),
            ("want", "wanted", "to see a doctor ."),
            ("work", "worked", "for a bank ."),
            ("live", "lived", "in a village ."),
        ),
        features=VERBS,
    ),
    "number": Kind(
        cues=tuple((f"the {one}", f"the {many}") for one, many in THINGS),
        commas=False,
        bridges=(),
        endings=(
            ("is", "are", "here ."),
            ("was", "were", "here ."),
            ("has", "have", "changed ."),
            ("looks", "look", "good ."),
        ),
        features=THINGS + MEN + WOMEN,
    ),
    "gender": Kind(
        cues=tuple((f"the {man}", f"the {woman}") for (man, _), (woman, _) in zip(MEN, WOMEN, strict=True)),
        commas=False,
        bridges=("praised", "blamed", "taught", "hurt"),
        endings=(
            ("himself", "herself", "."),
            ("himself", "herself", "again ."),
            ("his", "her", "friends ."),
            ("his", "her", "dog ."),
        ),
        features=tuple(pair for man, woman in zip(MEN, WOMEN, strict=True) for pair in zip(man, woman, strict=True)),
    ),
}


def phrases(form: str) -> Iterator[tuple[bool, str]]:
    """All phrases of a form, each with whether it is held out."""
    parts = form.split()
    free = [range(len(FREE[part])) for part in parts if part in FREE]
    for choice in product(*free):
        remaining = iter(choice)
        places = [0, 0]
        variants: list[tuple[str, ...]] = []
        for part in parts:
            if part in FREE:
                places.append(next(remaining))
                variants.append((FREE[part][places[-1]],))
            elif part in BOUND:
                places.append((places[-2] + places[-1]) % 4)
                variants.append(BOUND[part][places[-1]])
            else:
                places.append(1)
                variants.append((part,))
        for words in product(*variants):
            yield (sum(choice[::2]) - sum(choice[1::2])) % 4 == HELD_OUT, " ".join(words)


def _vocabulary() -> tuple[str, ...]:
    texts = [PAD, COMMA, "and"]
    for kind in KINDS.values():
        texts += [text for pair in kind.cues for text in pair]
        texts += [*kind.bridges, *(text for ending in kind.endings for text in ending)]
    texts += [word for words in FREE.values() for word in words]
    texts += [word for words in BOUND.values() for variants in words for word in variants]
    return tuple(dict.fromkeys(" ".join(texts).split()))


VOCABULARY = _vocabulary()
"""Every word once; a word's id is its place. The first is the padding."""

_IDS = {word: number for number, word in enumerate(VOCABULARY)}


def encode(text: str) -> list[int]:
    """Returns the ids of the words of a text.

    Raises:
        ValueError: a word is not in the vocabulary.
    """
    unknown = [word for word in text.split() if word not in _IDS]
    if unknown:
        raise ValueError(f"words: expected some of the {len(VOCABULARY)} in the vocabulary, got {', '.join(unknown)}")
    return [_IDS[word] for word in text.split()]


def padded(texts: list[str]) -> Int[np.ndarray, "texts words"]:
    """Returns the ids of the words of several texts, one text per row, padded on the right."""
    rows = [encode(text) for text in texts]
    table = np.zeros((len(rows), max(map(len, rows))), np.int32)
    for row, ids in zip(table, rows, strict=True):
        row[: len(ids)] = ids
    return table


class PhraseTable(NamedTuple):
    """Phrases, sorted by their number of words, then by form: a group is one form at one length.

    To draw a phrase of n words, draw one of its length's groups, then one of the group's rows.

    Attributes:
        words: ids, padded.
        row_start, row_count: the first row of every group, and its number of rows.
        group_start, group_count: the first group of every length from 0 (one group, of empty phrases), and how many.
    """

    words: Int[np.ndarray, "rows words"]
    row_start: Int[np.ndarray, " groups"]
    row_count: Int[np.ndarray, " groups"]
    group_start: Int[np.ndarray, " lengths"]
    group_count: Int[np.ndarray, " lengths"]

    @classmethod
    def build(cls, held_out: bool) -> "PhraseTable":
        groups: dict[tuple[int, int], list[str]] = {(0, 0): [""]}
        for number, form in enumerate(FORMS):
            for kept, text in phrases(form):
                if kept == held_out:
                    groups.setdefault((len(text.split()), number), []).append(text)
        keys = sorted(groups)
        row_count = np.array([len(groups[key]) for key in keys], np.int32)
        lengths = np.array([length for length, _ in keys])
        group_count = np.bincount(lengths).astype(np.int32)
        return cls(
            words=padded([text for key in keys for text in groups[key]]),
            row_start=np.cumsum(row_count, dtype=np.int32) - row_count,
            row_count=row_count,
            group_start=np.cumsum(group_count, dtype=np.int32) - group_count,
            group_count=group_count,
        )
