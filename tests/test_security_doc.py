"""docs/security.md names a test for each thing that it says is stopped: they are there, under these names."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
_NAMED = re.compile(r"`(tests/[\w/.]+\.py)(?:: (\w+))?`")
SECTIONS = ("Somebody in your network", "A broker, or somebody else at your broker", "A camera",
            "The server of a vision model", "A browser, and web pages in it",
            "Another user of this machine", "What is installed")  # fmt: skip


def test_every_test_that_is_named_exists() -> None:
    named = _NAMED.findall(TEXT)
    assert len(named) > 40
    for file, name in named:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert not name or re.search(rf"^def {name}\(", source, re.MULTILINE), f"{file} has no {name}"


def test_nothing_that_looks_like_a_test_is_named_otherwise() -> None:
    loose = re.findall(r"\btest_\w+", _NAMED.sub("", TEXT))
    assert loose == [], "write `tests/file.py: test_name`, so that its being there can be checked"


def test_each_attacker_has_what_it_can_do_what_stops_it_and_what_remains() -> None:
    for title in SECTIONS:
        body = TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]
        assert "**What it can try.**" in body, title
        assert "**What remains.**" in body, title
        assert _NAMED.search(body), title
