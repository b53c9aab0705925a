"""The album: the pictures of the last answers to a question, in a folder of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from soteirad.errors import StorageError
from soteirad.snapshot import write_atomically

_PICTURE = re.compile(r"([0-9A-Z]{26})-[0-9]+\.jpg")
"""The name of a picture that was kept: whatever else is in its folder is not ours."""


def keep_pictures(folder: Path, answer_id: str, jpegs: Sequence[bytes], keep: int) -> None:
    """Keep the pictures of an answer, and in all those of the last `keep` answers. Raises StorageError."""
    try:
        for number, jpeg in enumerate(jpegs if keep else (), 1):
            write_atomically(folder / f"{answer_id}-{number}.jpg", jpeg)
    except StorageError as error:  # without the file's name, or each would be news
        raise StorageError(f"{folder}: pictures cannot be kept:{str(error).rpartition(':')[2]}") from error
    drop_oldest(folder, keep)


def drop_oldest(folder: Path, keep: int) -> None:
    """Delete the pictures of all but the last `keep` answers; their names begin with the answer's id, which is in the
    order of time. Raises StorageError."""
    try:
        files = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        ids = {name: found[1] for name in files if (found := _PICTURE.fullmatch(name))}
        kept = {*sorted({*ids.values()})[-keep:]} if keep else set()
        for name, answer_id in ids.items():
            if answer_id not in kept:
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: old pictures cannot be deleted: {error.strerror}") from error
