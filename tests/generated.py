"""Parts of documents that programs write: between `<!-- name:begin -->` and `<!-- name:end -->`."""

from __future__ import annotations

from pathlib import Path


def rewrite(document: Path, name: str, text: str) -> None:
    """Put `text` into the document's part `name`. Raises ValueError when the document has no such part."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, found, rest = document.read_text(encoding="utf-8").partition(begin)
    _old, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"{document.name} has no part between {begin} and {end}")
    document.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", encoding="utf-8")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    return "\n".join(_line(cells) for cells in (head, ("---",) * len(head), *rows))


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
