"""Reads text with a word and its tag on each line, as CoNLL's shared tasks have it."""

import re
from pathlib import Path
from typing import NamedTuple

DOCUMENT = "-DOCSTART-"
COLUMN_NAMES = re.compile(r"#\s*global\.columns\s*=(.+)")
"""The comment in which CoNLL-U Plus names the columns."""


class TaggedSentence(NamedTuple):
    """A sentence with a tag for each word.

    Attributes:
        words: its words.
        tags: what the file says of each.
        document: the number of its document, from 0.
        lines: the number of each word's line, from 1.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    document: int
    lines: tuple[int, ...]


def read_columns(path: Path, word: int | str = 0, tag: int | str = -1) -> list[TaggedSentence]:
    """Returns the sentences of a file with a line for each word.

    Lines without visible text end a sentence, and lines that start with -DOCSTART- a document. Columns are separated by
    tabs if any line has one between two words, else by blanks. A line that starts with `#` is a comment if it has not
    as many columns as the first word. A byte-order mark, carriage returns at line ends and a missing last line end do
    not matter.

    Args:
        path: the file, in UTF-8.
        word: the column of the words: its number, from 0 or, if negative, from the end; or its name, if the file names
            its columns as CoNLL-U Plus does (`# global.columns = ID FORM ...`).
        tag: the column of the tags, in the same way.

    Raises:
        ValueError: there is no such file or column, the file has no words or is not in UTF-8, or a line has more or
            less columns than the others, or an empty one. The message says which line.
    """
    rows = _rows(path)
    words = [(number, fields) for number, fields in rows if fields and not fields[0].startswith(("#", DOCUMENT))]
    if not words:
        raise ValueError(f"{path}: expected lines with a word and its tag, got none")
    first, width = words[0][0], len(words[0][1])
    names = [named[1].split() for _, fields in rows if (named := COLUMN_NAMES.match(" ".join(fields)))]
    columns = [_column(path, *which, width, names[0] if names else []) for which in (("word", word), ("tag", tag))]

    sentences: list[TaggedSentence] = []
    document = 0
    open_: list[tuple[int, str, str]] = []
    for number, fields in [*rows, (len(rows) + 1, [])]:
        is_word = bool(fields) and fields[0] != DOCUMENT
        if not is_word and open_:
            lines, texts, tags = zip(*open_, strict=True)
            sentences.append(TaggedSentence(texts, tags, document, lines))
            open_ = []
        if fields[:1] == [DOCUMENT]:
            document += bool(sentences) and sentences[-1].document == document
        if not is_word or (fields[0].startswith("#") and len(fields) != width):
            continue
        if len(fields) != width:
            raise ValueError(f"{path}:{number}: expected {width} columns, as in line {first}, got {len(fields)}")
        text, own_tag = (fields[column].strip() for column in columns)
        if not (text and own_tag):
            raise ValueError(f"{path}:{number}: expected a word and its tag, got an empty column")
        open_.append((number, text, own_tag))
    return sentences


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Returns the columns of each line with its number, from 1; none for a line without visible text.

    Raises:
        ValueError: there is no such file, or it is not in UTF-8.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}:{number}: expected text in UTF-8, got the byte {content[error.start]:#04x}"
        ) from error
    # Not `splitlines`, for which some characters within words end a line.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if any("\t" in line.strip() for line in lines):
        return [(number, line.split("\t") if line.strip() else []) for number, line in enumerate(lines, 1)]
    return [(number, [field for field in line.split(" ") if field.strip()]) for number, line in enumerate(lines, 1)]


def _column(path: Path, what: str, which: int | str, width: int, names: list[str]) -> int:
    """Returns the number of a column, from 0.

    Raises:
        ValueError: there is no such column.
    """
    if isinstance(which, str):
        if which not in names:
            known = f"those named are {', '.join(names)}" if names else "the file names none, so give a number"
            raise ValueError(f"{path}: {what}: there is no column {which!r}; {known}")
        which = names.index(which)
    if not -width <= which < width:
        raise ValueError(f"{path}: {what}: expected a column from {-width} to {width - 1}, got {which}")
    return which % width
