"""What reports share: one HTML file each, with no request to anywhere, in the reader's light or dark setting."""

from __future__ import annotations

import os
from pathlib import Path

from soteirad.errors import SoteiraError


def check_report_place(path: Path) -> None:
    """Raise SoteiraError, before the long work, when no file can come to be at `path`."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise SoteiraError(
            f"{path}: the report cannot be written there: give the name of a file in a folder that exists"
        )
    if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
        raise SoteiraError(f"{path}: the report cannot be written there: you may not write to it")


def write_page(path: Path, html: str) -> None:
    """Write a report. Raises SoteiraError when the file cannot be written."""
    try:
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise SoteiraError(f"{path}: the report cannot be written: {error.strerror}") from error


STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2024; --soft: #5c6670; --rule: #e3e7eb;
  --c0: #1f6fd0; --c1: #d9480f; --c2: #2b8a3e; --c3: #9c36b5; --c4: #8a6d00; --c5: #0b7285 }
@media (prefers-color-scheme: dark) { :root { --paper: #15181b; --ink: #e6e9ec; --soft: #9aa5af; --rule: #2c3238;
  --c0: #6cb0ff; --c1: #ff9257; --c2: #69db7c; --c3: #e599f7; --c4: #ffd43b; --c5: #66d9e8 } }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; max-width: 1140px;
  margin: 2rem auto; padding: 0 1rem }
h1, h2, h3 { line-height: 1.2; font-weight: 600 } h1 { font-size: 1.6rem } h2 { font-size: 1.1rem; margin-top: 2rem }
h3 { font-size: 1rem; font-weight: 500; margin: 1.2rem 0 .3rem }
p { max-width: 75ch } .note { color: var(--soft) } footer { color: var(--soft); margin-top: 2rem; font-size: 13px }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 14px }
th, td { padding: .35rem .7rem; text-align: right; border-bottom: 1px solid var(--rule); vertical-align: top;
  white-space: nowrap }
thead th { color: var(--soft); font-weight: 500 } tbody th { text-align: left; font-weight: 500 }
td small { display: block; color: var(--soft); font-size: 12px }
"""
"""Colours (`--c0` to `--c5` are lines that differ), text and tables."""
