"""The file of a clip: it plays wherever it was cut off, and what cannot be played is refused and nothing worse."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from soteirad.errors import SourceError, StorageError
from soteirad.video.clip_file import ClipFile, DamagedClipError, EmptyClipError, finish, is_part, part_of, whole_of
from soteirad.video.piece import PictureFormat, Piece
from tests.played import boxes, probe
from tests.video.made import B_FRAMES, CLOSED, beeps, encoded, moved, shown, tone_begins

NOTE = {"id": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "label": "person", "zones": ["Höfli"]}


def written(path: Path, pictures: Sequence[Piece], sound: Sequence[Piece] = ()) -> bytes:
    """Write a part, and return what is in it."""
    pieces = [pictures[0], *sorted([*pictures[1:], *sound], key=lambda piece: piece.time)]
    file = ClipFile(path, pieces, sound[0].format if sound else None, NOTE)  # type: ignore[arg-type]
    for piece in pieces:
        file.add(piece)
    file.close()
    return part_of(path).read_bytes()


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_clip_has_its_index_first_its_note_and_all_that_was_written(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "porch" / "day" / "clip.mp4"
    written(path, encoded(30, B_FRAMES, codec), beeps(3.0))
    facts = finish(part_of(path))
    found = shown(path)
    assert [index for _, index in found] == list(range(30))
    assert abs(tone_begins(path) - found[10][0]) < 0.05
    assert boxes(path)[:2] == ["ftyp", "moov"] and "moof" not in boxes(path)
    assert (facts.seconds, facts.codec, facts.audio, facts.note) == (3.0, codec, True, NOTE)
    assert facts.bytes == path.stat().st_size == int(probe(path)["format"]["size"])
    assert json.loads(probe(path)["format"]["tags"]["comment"]) == NOTE
    assert probe(path)["streams"][0]["codec_tag_string"] == ("hvc1" if codec == "hevc" else "avc1")
    assert part_of(path).exists()
    assert not (path.stat().st_mode | part_of(path).stat().st_mode) & 0o077, "nobody else may look"


def test_a_part_that_was_cut_off_anywhere_gives_whole_pictures_or_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    path = tmp_path / "clip.mp4"
    whole = written(path, [*encoded(30, B_FRAMES), *moved(encoded(30, B_FRAMES), 3.0)], beeps(6.0))
    source, played = random.Random(1), 0
    for end in [*range(0, 1500, 23), *(source.randrange(len(whole)) for _ in range(60))]:
        part_of(path).write_bytes(whole[:end])
        try:
            facts = finish(part_of(path))
        except EmptyClipError:
            assert end < len(whole) / 2
            continue
        found = shown(path)
        numbers = [round((time - 0.2) * 10) for time, _ in found]
        assert [index for _, index in found] == [number % 30 for number in numbers]
        assert numbers[-1] - len(numbers) < 3, "only what is decoded later may be missing"
        assert facts.seconds == pytest.approx(len(found) / 10, abs=0.21)
        played += 1
    assert played > 30
    assert sorted(one.name for one in tmp_path.iterdir()) == [".clip.mp4.part", "clip.mp4"]


def test_a_damaged_part_is_never_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    path = tmp_path / "clip.mp4"
    whole, source = written(path, encoded(30, B_FRAMES), beeps(3.0)), random.Random(2)
    finished = 0
    for number in range(150):
        damaged = bytearray(whole)
        for _ in range(source.randint(1, 20)):
            damaged[source.randrange(len(damaged) if number % 2 else 1600)] = source.randrange(256)
        part_of(path).write_bytes(damaged if number % 10 else source.randbytes(3000))
        try:
            finish(part_of(path))
            finished += 1
        except (EmptyClipError, DamagedClipError):
            pass
    assert finished > 20


def test_nothing_is_no_clip(tmp_path: Path) -> None:
    part = part_of(tmp_path / "clip.mp4")
    for content in (b"", b"\0", b"garbage" * 100):
        part.write_bytes(content)
        with pytest.raises(EmptyClipError):
            finish(part)
    part.unlink()
    with pytest.raises(StorageError, match="cannot be finished"):
        finish(part)
    assert not list(tmp_path.iterdir())


def test_a_file_that_grows_plays_up_to_a_second_ago(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    pieces = [*encoded(30, CLOSED), *moved(encoded(30, CLOSED), 3.0)]
    file = ClipFile(path, pieces, None, NOTE)
    for piece in pieces:
        file.add(piece)
    copy = tmp_path / ".copy.mp4.part"
    copy.write_bytes(part_of(path).read_bytes())
    finish(copy)
    assert len(shown(tmp_path / "copy.mp4")) >= 45
    assert file.seconds == pytest.approx(5.9)
    file.close()


def test_what_is_no_video_leaves_no_file_and_no_descriptor(tmp_path: Path) -> None:
    key = encoded(10)[0]._replace(data=b"garbage", format=PictureFormat("h264", b"garbage"))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(SourceError):
            ClipFile(tmp_path / "clip.mp4", [key], None, NOTE)
    assert not list(tmp_path.iterdir())
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "porch").write_text("a file")
    with pytest.raises(StorageError, match="clips cannot be written"):
        ClipFile(tmp_path / "porch" / "clip.mp4", encoded(10), None, NOTE)


def test_a_part_and_its_clip_know_each_other(tmp_path: Path) -> None:
    path = tmp_path / "01-2.mp4"
    assert part_of(path).name == ".01-2.mp4.part" and whole_of(part_of(path)) == path
    assert is_part(part_of(path)) and not is_part(path) and not is_part(tmp_path / ".x.part")
