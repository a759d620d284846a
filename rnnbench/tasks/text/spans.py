"""Spans of named entities, and the tags that say where they start and end."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

OUTSIDE = "O"
Scheme = Literal["IO", "IOB1", "IOB2", "IOE1", "IOE2", "BIOES", "BILOU"]


class Span(NamedTuple):
    """An entity: its type, its first word, and the word after its last."""

    kind: str
    start: int
    end: int


def split_tag(tag: str) -> tuple[str, str]:
    """Returns the prefix and the type of a tag: ("B", "person") for B-person, ("O", "") for O. U is S, and L is E.

    Raises:
        ValueError: it is no tag of any scheme.
    """
    prefix, dash, kind = tag.partition("-")
    if tag != OUTSIDE and (prefix not in ("B", "I", "E", "S", "L", "U") or not (dash and kind)):
        raise ValueError(f"expected O, or B, I, E, S, L or U with a dash and a type, such as B-person, got {tag!r}")
    return {"L": "E", "U": "S"}.get(prefix, prefix), kind


def starts(before: str, tag: str) -> bool:
    """Returns whether a span starts at a tag, given the tag before it.

    This reads every scheme, and tags that break its rules too, as the scorer of the shared task of 2003 does: a span
    starts at B or S, after E or S, and where the type changes.
    """
    (before, kind_before), (prefix, kind) = split_tag(before), split_tag(tag)
    return prefix != OUTSIDE and (prefix in "BS" or before in (OUTSIDE, "E", "S") or kind != kind_before)


def ends(tag: str, after: str) -> bool:
    """Returns whether a span ends with a tag, given the tag after it."""
    return tag != OUTSIDE and (after == OUTSIDE or starts(tag, after))


def spans(tags: Sequence[str]) -> list[Span]:
    """Returns the spans that tags of any scheme say.

    Raises:
        ValueError: a tag is none of any scheme.
    """
    found: list[Span] = []
    start = 0
    around = [OUTSIDE, *tags, OUTSIDE]
    for place, tag in enumerate(tags):
        if starts(around[place], tag):
            start = place
        if ends(tag, around[place + 2]):
            found.append(Span(split_tag(tag)[1], start, place + 1))
    return found


def tags_of(spans: Sequence[Span], length: int, scheme: Scheme) -> list[str]:
    """Returns the tags of a scheme, `length` in number, for spans in their order that do not overlap."""
    tags = [OUTSIDE] * length
    for before, span, after in zip([None, *spans], spans, [*spans[1:], None], strict=False):
        touched = before is not None and before.kind == span.kind and before.end == span.start
        touches = after is not None and after.kind == span.kind and after.start == span.end
        first = "B" if scheme in ("IOB2", "BIOES", "BILOU") or (scheme == "IOB1" and touched) else "I"
        last = "E" if scheme in ("IOE2", "BIOES") or (scheme == "IOE1" and touches) else "I"
        single = {"BIOES": "S", "BILOU": "U"}.get(scheme, first if first == "B" else last)
        inner = span.end - span.start - 2
        prefixes = [single] if inner < 0 else [first, *["I"] * inner, "L" if scheme == "BILOU" else last]
        tags[span.start : span.end] = [f"{prefix}-{span.kind}" for prefix in prefixes]
    return tags


def scheme_of(sentences: Sequence[Sequence[str]]) -> Scheme | None:
    """Returns the scheme by which all tags of some sentences are written, or None if there is none.

    If there are several, as for sentences in which no two spans touch, it is the first of IO, IOB2, IOB1, IOE2, IOE1,
    BIOES and BILOU.

    Raises:
        ValueError: a tag is none of any scheme.
    """
    found = [spans(tags) for tags in sentences]
    schemes: tuple[Scheme, ...] = ("IO", "IOB2", "IOB1", "IOE2", "IOE1", "BIOES", "BILOU")
    for scheme in schemes:
        if all(tags_of(own, len(tags), scheme) == list(tags) for own, tags in zip(found, sentences, strict=True)):
            return scheme
    return None
