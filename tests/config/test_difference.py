"""What `config apply` shows: the lines that differ, and no secret."""

from __future__ import annotations

import pytest

from soteirad.config.edit import diff, edited

TEXT = "".join(f"k{n}: {n}\n" for n in range(9))


def test_the_lines_around_a_change_are_shown_and_the_others_are_not() -> None:
    shown = diff(TEXT, TEXT.replace("k4: 4", "k4: five"), name="f.yaml")
    assert shown == (
        "--- f.yaml\n+++ f.yaml (new)\n@@ -2,7 +2,7 @@\n k1: 1\n k2: 2\n k3: 3\n"
        "-k4: 4\n+k4: five\n k5: 5\n k6: 6\n k7: 7\n"
    )
    assert diff(TEXT, TEXT) == ""


def test_line_ends_of_another_system_are_not_shown() -> None:
    assert diff("a: 1\r\nb: 2\r\n", "a: 1\r\nb: 3\r\n") == "--- soteira.yaml\n+++ soteira.yaml (new)\n" + (
        "@@ -1,2 +1,2 @@\n a: 1\n-b: 2\n+b: 3\n"
    )


SECRET = 'pa"ss word'  # noqa: S105 - of nobody
OLD = """\
mqtt:
  username: me
  password: "pa\\"ss word"   # was hunter1, pa"ss word
  port: 1883
  #password: hunter2
  #api_key: "{SOTEIRA_KEY}"
llm: {api_key: 'hunter3
  hunter4', workers: 2}
cameras:
  porch: {source: "rtsp://u:hunter5@h/s", detail: 'http://h/x?password=hunter6&user=u'}
  #yard: {source: "rtsp://u:hunter7@h/s"}
  back:
    source: rtsp://{SOTEIRA_USER}:hunter8@h/s
    title: hunter9
"""


def test_no_secret_is_shown_however_it_is_written() -> None:
    changes = {"mqtt": {"port": 1, "password": "hunter0"}, "llm": {"workers": 3}, "cameras": {"back": {"fps": 2}}}
    new = edited(OLD, changes)
    shown = diff(OLD, new, [SECRET, "hunter1", "hunter9"])
    assert "hunter" not in shown and "word" not in shown.replace("password", "") and " me\n" not in shown
    assert "-  port: 1883\n" in shown and "+  port: 1\n" in shown and "+    fps: 2\n" in shown
    assert '   #api_key: "{SOTEIRA_KEY}"\n' in shown
    assert shown.count("password: ***   # was ***, ***\n") == 2, "that it changes is shown, on both sides"
    assert "source: rtsp://***@h/s" in shown
    assert len(shown.splitlines()) == len(OLD.splitlines()) + 7


def test_of_a_text_that_is_no_yaml_only_the_number_of_lines_is_shown() -> None:
    assert "hunter" not in diff("password: [hunter2\n", "a: 1\n")


@pytest.mark.parametrize("comment", [
    "source: rtsp://10.0.0.7/s?user=a&password=hunter2", "mqtt: {host: h, password: hunter2}", "pw hunter2",
    "source: rtsp://admin:p@hunter2@10.0.0.7/s", 'source: "rtsp://admin:p# hunter2@10.0.0.7/s"', "password: a#hunter2",
    "password: >-\n  #   hunter2", "password: {SOTEIRA_X}hunter2", "{password: {SOTEIRA_X}, token: hunter2}",
    '"password": hunter2', "note: password: hunter2", "admin:hunter2@10.0.0.7", "the password was hunter2",
])  # fmt: skip
def test_no_comment_shows_what_looks_like_a_credential(comment: str) -> None:
    old = f"a:\n  # {comment}\n  b: 1\n"
    shown = diff(old, old.replace("b: 1", "b: 2"))
    assert "hunter2" not in shown and "***" in shown and "+  b: 2\n" in shown
    assert len(shown.splitlines()) == len(old.splitlines()) + 4


def test_of_a_webhook_only_the_host_is_shown() -> None:
    old = "webhooks:\n- url: \"https://h.example:81/api/webhook/hunter2\"\n  headers: {X-Id: hunter3}\n  timeout: 1\n"
    shown = diff(old, old.replace("1\n", "2\n"))
    assert "hunter" not in shown and ' - url: "https://h.example:81/***"\n   headers: {X-Id: ***}\n' in shown


@pytest.mark.parametrize("long", ["x", "a:", "://", "@"])
def test_a_very_long_comment_takes_no_longer_for_each_character(long: str) -> None:
    old = f"# {long * 100_000}\nb: 1\n"
    assert "+b: 2\n" in diff(old, old.replace("b: 1", "b: 2"))  # anything quadratic takes minutes
