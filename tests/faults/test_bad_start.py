"""What keeps the daemon from starting, told in one line, and what must never do so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.brokers import Mosquitto, Subscriber, free_port
from tests.daemon import events, kinds, payloads, soteirad, until, write_config
from tests.house import StartDaemon


@pytest.mark.fault("the state folder cannot be made", "the start ends with one line that names it, exit code 1")
@pytest.mark.parametrize("below", ["a file/state", "a file"], ids=["below a file", "a file itself"])
def test_a_state_folder_that_cannot_be_made_ends_the_start_with_one_line(tmp_path: Path, below: str) -> None:
    (tmp_path / "a file").write_text("not a folder", encoding="utf-8")
    storage = {"path": str(tmp_path / below)}
    config = write_config(tmp_path, free_port(), {"porch": {"source": "none.mp4"}}, storage=storage)
    result = soteirad("run", "-c", config)
    assert (result.returncode, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert str(tmp_path / below) in result.stderr and "cannot be made" in result.stderr


@pytest.mark.fault(
    "the journal is not a database",
    "the start ends with one line that names it, and the file is left as it is",
)
def test_a_journal_that_is_none_ends_the_start_with_one_line_and_is_left_as_it_is(tmp_path: Path) -> None:
    journal = tmp_path / "state" / "journal.sqlite3"
    journal.parent.mkdir()
    journal.write_text("a letter to grandmother, " * 100, encoding="utf-8")
    result = soteirad("run", "-c", write_config(tmp_path, free_port(), {"porch": {"source": "none.mp4"}}))
    assert (result.returncode, result.stdout) == (1, "")
    assert len(result.stderr.splitlines()) == 1 and "journal.sqlite3" in result.stderr, result.stderr
    assert journal.read_text(encoding="utf-8").startswith("a letter to grandmother")


@pytest.mark.fault(
    "a camera or file is absent, refused or no video at the start",
    "the daemon is ready, that camera offline with one line, the others report as usual; no password in the log",
)
def test_sources_that_fail_leave_the_daemon_and_the_other_camera_at_work(
    tmp_path: Path, broker: Mosquitto, listener: Subscriber, start_daemon: StartDaemon, visit_clip: Path
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("this is no video\n" * 1000, encoding="utf-8")
    half = tmp_path / "half.mp4"
    half.write_bytes(visit_clip.read_bytes()[: visit_clip.stat().st_size // 2])
    bad = {
        "missing": str(tmp_path / "none.mp4"),
        "text": str(text),
        "half": str(half),
        "folder": str(tmp_path),
        "refused": f"rtsp://viewer:secret-word@127.0.0.1:{free_port()}/stream",
        "nowhere": "http://camera.invalid/video",
    }
    cameras = {**{name: {"source": source} for name, source in bad.items()},
               "porch": {"source": str(visit_clip), "speed": 8}}  # fmt: skip
    daemon = start_daemon(write_config(tmp_path, broker.port, cameras))
    for name in bad:
        daemon.wait_log(f"{name}: offline: ")
    seen = listener.wait_for(lambda seen: len(events(seen)) >= 2)
    assert kinds(events(seen)) == ["entered person", "left person"]
    assert daemon.running and payloads(seen, "soteira/status") == ["online"]
    for name in bad:
        assert set(payloads(seen, f"soteira/{name}/status")) == {"offline"}
        assert events(seen, name) == []
    assert "Traceback" not in daemon.log() and "secret-word" not in daemon.log()
    assert "nowhere: offline: http://camera.invalid/video: it cannot be reached" in daemon.log()
    assert daemon.log().count("missing: offline") == 1
    daemon.stop()


@pytest.mark.fault(
    "a model does not fit its card",
    "the start ends with one line, exit code 1; no camera is started again and again",
)
def test_a_model_that_does_not_fit_its_card_ends_the_start_and_restarts_no_camera(
    tmp_path: Path, broker: Mosquitto, misfit_card: Path, start_daemon: StartDaemon, visit_clip: Path
) -> None:
    cameras = {
        "good": {"source": str(visit_clip)},
        "misfit": {"source": str(visit_clip), "detector": {"model": str(misfit_card)}},
    }
    daemon = start_daemon(write_config(tmp_path, broker.port, cameras))
    assert daemon.wait_exit() == 1
    assert until(lambda: not daemon.group(), 5.0), daemon.group()
    assert daemon.log().count("misfit: ") == 1 and "the model's input 'image' is" in daemon.log(), daemon.log()
    assert "starts again" not in daemon.log() and "Traceback" not in daemon.log()


@pytest.mark.fault("an event in the spool cannot be read", "it is set aside, one line each, and the daemon starts")
def test_a_spooled_event_that_cannot_be_read_is_set_aside_and_the_daemon_starts(
    tmp_path: Path, broker: Mosquitto, start_daemon: StartDaemon
) -> None:
    spool = tmp_path / "state" / "spool"
    spool.mkdir(parents=True)
    (spool / "01.json").write_text("{half an ev", encoding="utf-8")
    (spool / "02.json").write_text(json.dumps({"id": "02", "colour": "red"}), encoding="utf-8")
    config = write_config(tmp_path, broker.port, {"porch": {"source": str(tmp_path / "none.mp4")}})
    daemon = start_daemon(config, "--until-end")
    assert daemon.wait_exit() == 1  # the source is missing, too
    assert daemon.log().count("is set aside") == 2
    assert sorted(p.name for p in spool.glob("0*")) == ["01.broken", "02.broken"]
