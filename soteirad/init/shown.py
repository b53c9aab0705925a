"""Text from the network, fit to be shown at a terminal and to be written into a comment."""

from __future__ import annotations

LONGEST = 60


def shown(text: str, longest: int = LONGEST) -> str:
    """Return foreign `text` on one line, at most `longest` characters, without anything a terminal would obey."""
    clean = "".join(char if char.isprintable() else "?" for char in text[: longest + 1].strip())
    return clean if len(clean) <= longest else f"{clean[: longest - 3]}..."
