"""From words to numbers: a vocabulary of frequent words, and the start, end and shape of any word."""

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int

UNKNOWN = 0


class Vocabulary:
    """The words of the training data, and `buckets` for parts of words.

    The ids of a word are its own number, from 1, or 0 if it is unknown, and, if there are buckets, one each for its
    first three characters, its last three, and its shape (`Aa` for Paris, `AaA0` for McD42): the remainder of their
    CRC-32. So a word that training has never seen still has ids that it has.

    Attributes:
        words: the known words, the most frequent first.
        size: number of ids.
    """

    def __init__(self, sentences: Iterable[Sequence[str]], min_count: int = 1, buckets: int = 0) -> None:
        """Counts the words.

        Args:
            sentences: the words of the training data.
            min_count: a word that is rarer is unknown.
            buckets: number of ids for parts of words.

        Raises:
            ValueError: a number is too small.
        """
        for name, value, smallest in (("min_count", min_count, 1), ("buckets", buckets, 0)):
            if value < smallest:
                raise ValueError(f"{name}: expected at least {smallest}, got {value}")
        counts = Counter(word for words in sentences for word in words)
        frequent = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        self.words = [word for word, count in frequent if count >= min_count]
        self.buckets = buckets
        self._numbers = {word: number for number, word in enumerate(self.words, 1)}
        self.size = 1 + len(self.words) + buckets

    def ids(self, words: Sequence[str]) -> Int[np.ndarray, "words ids"]:
        """Returns the ids of each word: one, or four if there are buckets."""
        rows = [[self._numbers.get(word, UNKNOWN), *self._parts(word)] for word in words]
        return np.array(rows, np.int32)

    def _parts(self, word: str) -> list[int]:
        if not self.buckets:
            return []
        parts = (f"^{word[:3]}", f"{word[-3:]}$", f"={_shape(word)}")
        return [1 + len(self.words) + zlib.crc32(part.encode()) % self.buckets for part in parts]


def _shape(word: str) -> str:
    """Returns what kinds of characters a word has, repetitions left out."""
    kinds = ("A" if c.isupper() else "a" if c.isalpha() else "0" if c.isdigit() else c for c in word)
    return re.sub(r"(.)\1+", r"\1", "".join(kinds))
