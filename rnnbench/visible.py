"""Text from data as it may be printed: it cannot move the cursor, hide what stands before it, or turn lines around."""

import re

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, separators of lines, Unicode's marks that change the direction of text, and half characters."""


def visible(text: str, keep: str = "") -> str:
    r"""Returns text with control characters and the like as escapes, so that a line feed becomes `\n`.

    Args:
        text: the text; if it has no such characters, it stays as it is.
        keep: characters that stay.
    """
    return _UNSEEN.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def _escape(character: str) -> str:
    return repr(character)[1:-1] if not character.isprintable() else f"\\u{ord(character):04x}"
