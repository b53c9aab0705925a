"""The album: the pictures of the last answers to a question, in a folder of their own."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
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
    drop_oldest(folder, keep, answer_id)


def drop_oldest(folder: Path, keep: int, newest: str) -> None:
    """Delete the pictures of all but the last `keep` answers, of which `newest` is the last; their names begin with the
    answer's id, which is in the order of time. Raises StorageError."""
    try:
        files = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        ids = {name: found[1] for name in files if (found := _PICTURE.fullmatch(name))}
        # What is of a later time than the newest was taken while the clock was ahead, and is the oldest in truth.
        order = sorted({*ids.values()}, key=lambda answer_id: (answer_id <= newest, answer_id))
        kept = {*order[-keep:]} if keep else set()
        for name, answer_id in ids.items():
            if answer_id not in kept:
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: old pictures cannot be deleted: {error.strerror}") from error


def drop_others(folder: Path, asked: Collection[tuple[str, str]]) -> None:
    """Delete the pictures of questions that are none of `asked` (camera, question). Raises StorageError."""
    try:
        for place in folder.glob("*/*"):
            if place.is_dir() and (place.parent.name, place.name) not in asked:
                for path in place.iterdir():
                    if _PICTURE.fullmatch(path.name):
                        path.unlink(missing_ok=True)
                for emptied in (place, place.parent):
                    if not any(emptied.iterdir()):
                        emptied.rmdir()
    except OSError as error:
        raise StorageError(f"{folder}: old pictures cannot be deleted: {error.strerror}") from error
