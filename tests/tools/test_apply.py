"""`config apply`: the file becomes what was asked for, at once, or stays what it was."""

from __future__ import annotations

import errno
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from soteirad.config import load_config
from soteirad.errors import ConfigError, SoteiraError
from soteirad.hub.journal import Journal
from soteirad.tools.apply import propose, write
from soteirad.tools.present import proposed
from tests.daemon import ROOT, soteirad

TEXT = """\
# My house
mqtt:
  host: broker   # in the cellar
  user: soteira
  password: "{SOTEIRA_APPLY_TEST}"
  commands: [detect, min_score]
storage: {path: "STATE"}
cameras:
  porch:
    source: "rtsp://admin:hunter2@10.0.0.7/s"
    objects: {min_score: 0.5}   # was 0.4
"""
LINES = "cameras:\n  porch:\n    motion:\n      threshold: 0.04\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "soteira.yaml"
    path.write_text(TEXT.replace("STATE", str(tmp_path / "state")), encoding="utf-8")
    path.chmod(0o640)
    return path


def test_the_lines_are_in_the_file_and_the_old_one_is_beside_it_with_the_same_rights(file: Path) -> None:
    old = file.read_text(encoding="utf-8")
    proposal = propose(file, LINES)
    assert file.read_text(encoding="utf-8") == old, "showing changes nothing"
    assert "+    motion:\n+      threshold: 0.04\n" in proposal.difference and "hunter2" not in proposal.difference
    assert proposal.unset == ("SOTEIRA_APPLY_TEST",), "this shell need not know the daemon's secrets"
    backup = write(proposal)
    assert file.read_text(encoding="utf-8") == f"{old}    motion:\n      threshold: 0.04\n"
    assert backup == file.with_name("soteira.yaml.bak") and backup.read_text(encoding="utf-8") == old
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, backup)] == [0o640, 0o640]
    assert sorted(path.name for path in file.parent.iterdir()) == ["soteira.yaml", "soteira.yaml.bak"]
    assert propose(file, LINES).difference == ""


def test_without_lines_what_was_set_over_mqtt_is_put_in_and_is_no_override_then(file: Path) -> None:
    assert propose(file, None).difference == ""
    (file.parent / "state").mkdir()
    journal = Journal(file.parent / "state" / "journal.sqlite3")
    journal.open()
    journal.replace_overrides({("porch", "min_score"): 0.7, ("porch", "detect"): False})
    journal.close()
    write(propose(file, None))
    text = file.read_text(encoding="utf-8")
    assert text.endswith("    objects: {min_score: 0.7}   # was 0.4\n    detect: false\n")
    assert propose(file, None).difference == ""


def test_lines_for_all_cameras_that_some_do_not_listen_to_are_told(file: Path) -> None:
    yard = "  yard:\n    source: rtsp://10.0.0.8/s\n    objects: {filters: {person: {min_area: 0.1}}}\n"
    file.write_text(file.read_text(encoding="utf-8") + yard, encoding="utf-8")
    lines = "objects: {min_score: 0.6, filters: {person: {min_area: 0.2}}}\nmotion: {threshold: 0.1}\n"
    notes = propose(file, lines).notes
    assert [note.partition(":")[0] for note in notes] == [
        "objects.min_score has no effect on porch", "objects.filters.person.min_area has no effect on yard",
    ]  # fmt: skip
    own = "cameras: {porch: {objects: {min_score: 0.7}}, yard: {objects: {filters: {person: {min_area: 0.2}}}}}\n"
    assert propose(file, lines + own).notes == ()


def test_what_was_set_over_mqtt_and_stays_in_force_over_the_lines_is_told(file: Path) -> None:
    (file.parent / "state").mkdir()
    journal = Journal(file.parent / "state" / "journal.sqlite3")
    journal.open()
    journal.replace_overrides({("porch", "min_score"): 0.7, ("porch", "detect"): False})
    journal.close()
    proposal = propose(file, "cameras: {porch: {objects: {min_score: 0.6}}}")
    assert "+    objects: {min_score: 0.6}" in proposal.difference and len(proposal.notes) == 1
    assert proposal.notes[0].startswith("objects.min_score of porch stays 0.7, which was set over MQTT")
    assert f"\nNote: {proposal.notes[0]}." in proposed(proposal, file)
    assert propose(file, "cameras: {porch: {objects: {min_score: 0.7}}}").notes == ()
    (file.parent / "state" / "journal.sqlite3").write_bytes(b"no journal")
    assert propose(file, "cameras: {porch: {objects: {min_score: 0.6}}}").notes == ()


@pytest.mark.parametrize("lines", ["cameras:\n  porch:\n    objects:\n", "mqtt:\n  commands:  # none\n"])
def test_a_key_with_nothing_below_it_removes_nothing_and_is_told(file: Path, lines: str) -> None:
    with pytest.raises(ConfigError, match=r"(cameras.porch.objects|mqtt.commands): nothing stands there, and"):
        propose(file, lines)


REFUSED = {
    "an unknown key": ("cameras: {porch: {colour: red}}", "with these lines the file would be wrong"),
    "a value out of range": ("motion: {threshold: 2}", "with these lines the file would be wrong"),
    "a camera that is not there": ("cameras: {porsh: {fps: 3}}", "source: is missing"),
    "no lines": ("hello", "the lines to put in: line 1: "),
    "bad lines": ("a: [", "the lines to put in: line 1: "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_lines_that_make_no_good_configuration_are_refused(file: Path, case: str) -> None:
    lines, message = REFUSED[case]
    with pytest.raises(ConfigError) as caught:
        propose(file, lines)
    assert message in str(caught.value) and "hunter2" not in str(caught.value)


def test_a_file_that_is_wrong_or_not_there_is_told_before(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        propose(tmp_path / "none.yaml", LINES)
    (tmp_path / "bad.yaml").write_text("cameras: {porch: {source: x, colour: red}}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad.yaml:1:30: cameras.porch.colour"):
        propose(tmp_path / "bad.yaml", LINES)
    (tmp_path / "circle.yaml").symlink_to(tmp_path / "circle.yaml")
    with pytest.raises(ConfigError, match=r"circle.yaml"):
        propose(tmp_path / "circle.yaml", LINES)


def test_behind_a_link_the_real_file_is_written_and_the_link_stays(file: Path, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    link = tmp_path / "etc" / "soteira.yaml"
    link.symlink_to(file)
    assert write(propose(link, LINES)) == file.with_name("soteira.yaml.bak")
    assert link.is_symlink() and "threshold: 0.04" in file.read_text(encoding="utf-8")


def test_a_file_that_was_changed_since_it_was_shown_is_left_alone(file: Path) -> None:
    proposal = propose(file, LINES)
    file.write_text(file.read_text(encoding="utf-8") + "# me\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="changed in the meantime"):
        write(proposal)
    assert file.read_text(encoding="utf-8").endswith("# me\n") and not file.with_name("soteira.yaml.bak").exists()


def test_what_an_editor_saves_while_the_backup_is_written_is_left_alone(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proposal, sync = propose(file, LINES), os.fsync

    def save(handle: int) -> None:
        sync(handle)
        file.write_text("# mine\n", encoding="utf-8")

    monkeypatch.setattr("os.fsync", save)
    with pytest.raises(ConfigError, match="changed in the meantime"):
        write(proposal)
    assert file.read_text(encoding="utf-8") == "# mine\n"


def test_line_ends_and_a_byte_order_mark_stay(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    old = file.read_bytes()
    write(propose(file, LINES))
    assert file.read_bytes() == old + b"    motion:\r\n      threshold: 0.04\r\n"
    assert load_config(file, {"SOTEIRA_APPLY_TEST": "x"}).cameras["porch"].motion.threshold == 0.04


@pytest.mark.parametrize(("broken", "number", "message"), [
    ("os.fsync", errno.ENOSPC, "No space left on device"), ("os.open", errno.EACCES, "such as with sudo"),
    ("os.fchmod", errno.EPERM, "such as with sudo"), ("pathlib.Path.replace", errno.EBUSY, "mounted by itself"),
])  # fmt: skip
def test_a_disk_that_fails_leaves_the_file_as_it_was(
    file: Path, monkeypatch: pytest.MonkeyPatch, broken: str, number: int, message: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    old, proposal = file.read_bytes(), propose(file, LINES)
    monkeypatch.setattr(broken, fail)
    with pytest.raises(SoteiraError, match=message):
        write(proposal)
    assert file.read_bytes() == old and [path.name for path in file.parent.iterdir()] == ["soteira.yaml"]


def test_a_backup_that_cannot_be_written_is_the_file_that_is_named(file: Path) -> None:
    file.with_name("soteira.yaml.bak").mkdir()
    with pytest.raises(SoteiraError, match=r"soteira.yaml.bak: this file cannot be written \(Is a directory\)"):
        write(propose(file, LINES))


def test_without_a_terminal_the_command_shows_and_refuses_and_with_yes_it_writes(file: Path) -> None:
    lines = file.with_name("lines.yaml")
    lines.write_text(LINES, encoding="utf-8")
    refused = soteirad("config", "apply", lines, "-c", file)
    assert refused.returncode == 1 and "say --yes" in refused.stderr and "+    motion:" in refused.stdout
    assert "threshold" not in file.read_text(encoding="utf-8")
    done = soteirad("config", "apply", lines, "-c", file, "--yes")
    assert (done.returncode, done.stderr) == (0, "") and "systemctl reload soteirad" in done.stdout
    assert "threshold" in file.read_text(encoding="utf-8")
    missing = soteirad("config", "apply", file.with_name("none"), "-c", file)
    assert missing.returncode == 1 and "none: the lines to put in cannot be read" in missing.stderr


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("y", 0)])
def test_at_a_terminal_it_asks(file: Path, answer: str, code: int) -> None:
    file.with_name("lines.yaml").write_text(LINES, encoding="utf-8")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "soteirad", "config", "apply", str(file.with_name("lines.yaml")), "-c", str(file)]
    os.write(ours, f"{answer}\n".encode())
    done = subprocess.run(command, cwd=ROOT, stdin=theirs, capture_output=True, text=True, check=False, timeout=60)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == code and "Write this?" in done.stdout
    assert ("threshold" in file.read_text(encoding="utf-8")) == (code == 0)
