"""Clips over the web: the whole file or a part of it, nothing else, and nobody waits for those who fetch them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from soteirad.web import workers
from soteirad.web.clips import PIECE, part_of
from soteirad.web.pictures import saved_clip
from soteirad.web.workers import MOST_DOWNLOADS, Workers
from tests.daemon import until
from tests.waiting import PATIENCE_S
from tests.web.running import Running, error_of, running

DAY, NAME = "2026-11-22", "01M80GR3W7ZFDTXZJGYFTM8T6X"
FILE = f"{NAME}.mp4"
URL = f"/api/clips/porch/{DAY}/{FILE}"
DATA = bytes(range(256)) * 4000
LARGE = 200 * 1024 * 1024
WORKERS = Workers()
"""Those of the server here: they know how many fetch clips now."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "clips" / "porch" / DAY
    place.mkdir(parents=True)
    (place / FILE).write_bytes(DATA)
    (place / f"{NAME}-2.mp4").write_bytes(b"second part")
    (place / f".{NAME}.mp4.part").write_bytes(b"half")
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    return tmp_path / "clips"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with one more clip of known bytes, a large one, and a half of one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "Workers", lambda: WORKERS)
        yield from _served(tmp_path_factory.mktemp("clips"))


def _served(folder: Path) -> Iterator[Running]:
    with running(folder) as found:
        place = found.box.clips / "porch" / DAY
        place.mkdir(parents=True)
        (place / FILE).write_bytes(DATA)
        (place / f".{NAME}.mp4.part").write_bytes(b"half")
        with (place / f"{NAME}-2.mp4").open("wb") as file:
            file.truncate(LARGE)  # takes no room here
        yield found


def read(folder: Path, camera: str, day: str, file: str) -> bytes | None:
    found = saved_clip(folder, camera, day, file)
    if found is None:
        return None
    with found:
        return found.read()


def test_a_clip_is_found_by_camera_day_and_event_and_so_are_its_further_parts(folder: Path) -> None:
    assert read(folder, "porch", DAY, FILE) == DATA
    assert read(folder, "porch", DAY, f"{NAME}-2.mp4") == b"second part"


@pytest.mark.parametrize(
    ("camera", "day", "file"),
    [("..", DAY, FILE), ("porch", "..", FILE), ("porch", DAY, "../../../secret.mp4"), ("porch", DAY, "secret.mp4"),
     ("porch/..", DAY, FILE), ("", DAY, FILE), ("porch", DAY, FILE.lower()), ("porch", DAY, FILE + "\0"),
     ("porch\n", DAY, FILE), ("porch", DAY + "\n", FILE), ("porch", DAY, FILE + "\n"), ("p" * 65, DAY, FILE),
     ("garden", DAY, FILE), ("porch", DAY, f".{FILE}.part"), ("porch", DAY, f"{FILE}.part"), ("porch", DAY, ""),
     ("porch", DAY, f"{NAME}-.mp4"), ("porch", DAY, f"{NAME}-1234.mp4"), ("porch", DAY, f"{NAME}.jpg"),
     ("porch", DAY, f"{NAME}-\u0662.mp4"), ("porch", DAY, "..\\" + FILE)],
)  # fmt: skip
def test_nothing_else_is(folder: Path, camera: str, day: str, file: str) -> None:
    assert read(folder, camera, day, file) is None


def test_links_are_not_followed_and_what_is_no_file_holds_nobody_up(folder: Path) -> None:
    other = [f"01M80GR3W7ZFDTXZJGYFTM8T6{index}.mp4" for index in range(3)]
    (folder / "porch" / DAY / other[0]).symlink_to(folder.parent / "secret.mp4")
    (folder / "porch" / DAY / other[1]).mkdir()
    os.mkfifo(folder / "porch" / DAY / other[2])
    (folder / "garden").symlink_to(folder / "porch")
    (folder / "porch" / "2026-11-23").symlink_to(folder / "porch" / DAY)
    assert [read(folder, "porch", DAY, name) for name in other] == [None] * 3
    assert read(folder, "garden", DAY, FILE) is read(folder, "porch", "2026-11-23", FILE) is None


@pytest.mark.parametrize(
    "target",
    ["/api/clips/../../etc/passwd", "/api/clips/%2e%2e/%2e%2e/journal.db", "/api/clips/porch/%2e%2e/journal.db",
     "/api/clips/porch/..%2f..%2fjournal.db", "/api/clips/porch/2026-11-22/..%5c..%5cjournal.db",
     "/api/clips//etc/passwd", "/api/clips/porch/2026-11-22/%00.mp4", f"/api/clips/porch/{DAY}/{NAME}.mp4%00",
     f"/api/clips/porch/{DAY}/.{NAME}.mp4.part", f"/api/clips/porch/{DAY}/%2e{NAME}.mp4.part",
     f"/api/clips/porch/{DAY}/../{DAY}/{FILE}", "/api/clips/..;/..;/web-token",
     "/api/clips/porch/2026-11-22/../../../web-token", "/api/clips/%252e%252e/%252e%252e/web-token",
     f"/api/snapshots/porch/{DAY}/{FILE}"],
)  # fmt: skip
def test_no_address_leads_out_of_the_folder_or_to_half_a_clip(served: Running, target: str) -> None:
    status, _, body = served.ask_raw(target)
    assert status in (400, 404), target
    assert b"root:" not in body and served.token.encode() not in body and body != b"half"


def test_the_whole_clip_comes_with_what_a_player_has_to_know(served: Running) -> None:
    answer = served.get(URL)
    assert answer.status_code == 200 and answer.content == DATA
    told = answer.headers
    assert (told["content-type"], told["content-length"]) == ("video/mp4", str(len(DATA)))
    assert told["accept-ranges"] == "bytes"
    assert told["cache-control"].startswith("private") and told["x-content-type-options"] == "nosniff"
    assert served.http.get(URL).status_code == 401, "only for those who may"
    assert error_of(served.get(URL.replace("6X", "6Y"))).startswith("there is no such clip")


@pytest.mark.parametrize(("asked", "start", "end"), [
    ("bytes=0-0", 0, 1), ("bytes=0-1023", 0, 1024), ("bytes=1000-", 1000, None), ("bytes=-10", -10, None),
    ("bytes=500-99999999", 500, None), ("bytes=-99999999", 0, None), ("Bytes=5-5", 5, 6), ("bytes=7-9", 7, 10),
    (f"bytes={len(DATA) - 1}-", -1, None), (f"bytes=10-{PIECE + 20}", 10, PIECE + 21),
])  # fmt: skip
def test_a_range_is_answered_with_just_that_part(served: Running, asked: str, start: int, end: int | None) -> None:
    answer = served.get(URL, Range=asked)
    part = DATA[start:end]
    first = start % len(DATA)
    assert answer.status_code == 206 and answer.content == part
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(part) - 1}/{len(DATA)}"
    assert answer.headers["content-length"] == str(len(part))


@pytest.mark.parametrize(
    "asked", [f"bytes={len(DATA)}-", "bytes=99999999999-", "bytes=-0", "bytes=9999999999-99999999999"]
)
def test_a_range_past_the_end_is_refused_with_how_much_there_is(served: Running, asked: str) -> None:
    answer = served.get(URL, Range=asked)
    assert answer.status_code == 416 and answer.headers["content-range"] == f"bytes */{len(DATA)}"
    assert str(len(DATA)) in error_of(answer)


@pytest.mark.parametrize("asked", [
    "bytes=0-1,5-6", "bytes=5-2", "items=0-1", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=--5", "bytes=1_0-20",
    "bytes=\u0662-", "bytes=0-1," * 1000, "bytes=" + "0-,9-1," * 1500, "bytes=" + "9" * 9000 + "-", "bytes=0 - 5",
])  # fmt: skip
def test_what_is_not_one_range_is_answered_with_the_whole_clip(served: Running, asked: str) -> None:
    status, _, body = served.ask_raw(URL, Range=asked)
    assert (status, body) == (200, DATA)


def test_a_part_is_only_sent_of_the_clip_that_was_begun(served: Running) -> None:
    tag = served.get(URL).headers["etag"]
    assert served.get(URL, Range="bytes=0-9", **{"If-Range": tag}).status_code == 206
    assert served.get(URL, Range="bytes=0-9", **{"If-Range": '"other"'}).status_code == 200
    again = served.get(URL, **{"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)


def test_who_asks_for_the_head_alone_gets_it_alone(served: Running) -> None:
    status, told, body = served.ask_raw(URL, "HEAD")
    assert (status, told["content-length"], body) == (200, str(len(DATA)), b"")
    status, told, body = served.ask_raw(URL, "HEAD", Range="bytes=0-9")
    assert (status, told["content-range"], body) == (206, f"bytes 0-9/{len(DATA)}", b"")
    assert served.ask_raw(URL, "HEAD", Range=f"bytes={len(DATA)}-")[0] == 416
    assert served.http.delete(URL, headers={**served.bearer}).status_code == 405


@pytest.mark.parametrize(("header", "size", "part"), [
    ("bytes=0-", 1, (0, 1)), ("bytes=-1", 1, (0, 1)), ("bytes=0-5", 3, (0, 3)), ("", 5, None), ("bytes=2-1", 5, None),
])  # fmt: skip
def test_a_part_lies_within_the_file(header: str, size: int, part: tuple[int, int] | None) -> None:
    assert part_of(header, size) == part


@pytest.mark.parametrize(("header", "size"), [("bytes=0-", 0), ("bytes=-5", 0), ("bytes=1-", 1), ("bytes=-0", 5)])
def test_a_part_without_a_byte_is_none(header: str, size: int) -> None:
    with pytest.raises(ValueError, match="bytes"):
        part_of(header, size)


def fetch_large(site: Running, start: int = 0) -> socket.socket:
    """Begin to fetch the large clip, and read its head only."""
    connection = site.connect()
    connection.sendall(f"GET {URL.replace('.mp4', '-2.mp4')} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
                       f"{site.token}\r\nRange: bytes={start}-\r\n\r\n".encode())  # fmt: skip
    assert connection.recv(20).split()[1] == b"206"
    return connection


def wait_for(count: int) -> None:
    assert until(lambda: WORKERS._downloads == count, PATIENCE_S), f"{WORKERS._downloads} clips are being sent"


def test_who_goes_away_in_the_middle_gives_the_place_and_the_file_back(served: Running) -> None:
    wait_for(0)
    handles = Path("/proc/self/fd")
    before = len([*handles.iterdir()]) if handles.is_dir() else 0
    connections = [fetch_large(served, index) for index in range(5)]
    wait_for(5)
    for connection in connections:
        connection.close()
    wait_for(0)
    if handles.is_dir():
        # The client keeps one connection.
        assert until(lambda: len([*handles.iterdir()]) <= before + 1, PATIENCE_S), "files are left open"


def test_those_who_do_not_read_hold_up_nobody_and_one_more_than_there_are_places_is_told(served: Running) -> None:
    wait_for(0)
    connections = [fetch_large(served, index) for index in range(MOST_DOWNLOADS)]
    try:
        refused = served.get(URL)
        assert refused.status_code == 503 and refused.headers["retry-after"] and "clips" in error_of(refused)
        assert served.ask_raw(URL, "HEAD")[0] == 200, "which takes no place"
        assert served.get("/api/events").status_code == served.get("/api/cameras").status_code == 200
    finally:
        for connection in connections:
            connection.close()
    wait_for(0)
    assert served.get(URL).content == DATA


def test_fifty_at_once_get_it_whole_or_are_told_to_come_again_or_find_no_place(served: Running) -> None:
    wait_for(0)

    def fetch(index: int) -> tuple[int, bytes]:
        try:
            status, _, body = served.ask_raw(URL, Range=f"bytes={index}-")
        except (OSError, IndexError):  # its connection gave way to a newer one before it was understood
            return 0, b""
        return status, body

    with ThreadPoolExecutor(50) as pool:
        answers = [*pool.map(fetch, range(50))]
    assert {status for status, _ in answers} <= {206, 503, 0}
    whole = [index for index, (status, _) in enumerate(answers) if status == 206]
    assert all(answers[index][1] == DATA[index:] for index in whole)
    assert len(whole) >= MOST_DOWNLOADS
    wait_for(0)


def test_a_clip_that_is_deleted_while_it_is_fetched_arrives_whole(served: Running) -> None:
    other = URL.replace("6X", "6Z")
    file = served.box.clips / other.removeprefix("/api/clips/")
    with file.open("wb") as opened:
        opened.truncate(20 * PIECE)
    with served.http.stream("GET", other, headers=served.bearer) as answer:
        parts = answer.iter_raw(PIECE)
        count = len(next(parts))
        file.unlink()
        count += sum(map(len, parts))
    assert count == 20 * PIECE


def test_a_server_that_ends_does_not_wait_for_who_fetches(tmp_path: Path) -> None:
    with running(tmp_path) as site:
        place = site.box.clips / "porch" / DAY
        place.mkdir(parents=True)
        with (place / f"{NAME}-2.mp4").open("wb") as file:
            file.truncate(LARGE)
        with fetch_large(site):
            thread = site.server._thread
            assert thread is not None
            site.server.stop(PATIENCE_S)
            assert not thread.is_alive()
