"""Secrets: substitution from two places, and redaction that errs on the side of hiding."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from soteirad.config import Config, known_secrets, redact, redact_url, secrets
from soteirad.config.address import encode_user_info
from soteirad.config.secrets import MissingSecretsError, substitute, without_addresses
from soteirad.service.environment import take_secrets


def test_variables_are_replaced_anywhere_in_a_text_and_other_braces_stay() -> None:
    environ = {"SOTEIRA_A": "x", "SOTEIRA_B": "{SOTEIRA_A}", "HOME": "no"}
    text = "{SOTEIRA_A}-{SOTEIRA_B}-{HOME}-{soteira_a}-{SOTEIRA_}-{}"
    assert substitute(text, environ) == "x-{SOTEIRA_A}-{HOME}-{soteira_a}-{SOTEIRA_}-{}"


def test_a_credential_file_is_used_without_its_trailing_newline(tmp_path: Path) -> None:
    (tmp_path / "SOTEIRA_A").write_text(" geheim \n", encoding="utf-8")
    assert substitute("{SOTEIRA_A}", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == " geheim "


def test_the_environment_wins_over_the_credential_file(tmp_path: Path) -> None:
    (tmp_path / "SOTEIRA_A").write_text("file", encoding="utf-8")
    assert substitute("{SOTEIRA_A}", {"CREDENTIALS_DIRECTORY": str(tmp_path), "SOTEIRA_A": "env"}) == "env"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine's folder of secrets, for root's commands."""
    monkeypatch.setattr(secrets, "FOLDER", tmp_path / "etc" / "secrets")
    (tmp_path / "etc" / "secrets").mkdir(parents=True)
    return tmp_path / "etc" / "secrets"


def test_what_is_in_neither_is_read_from_the_folder_of_secrets(folder: Path, tmp_path: Path) -> None:
    (folder / "SOTEIRA_A").write_text("geheim\n", encoding="utf-8")
    (tmp_path / "SOTEIRA_B").write_text("credential", encoding="utf-8")
    (folder / "SOTEIRA_B").write_text("file", encoding="utf-8")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path), "SOTEIRA_C": "environment"}
    (folder / "SOTEIRA_C").write_text("file", encoding="utf-8")
    assert substitute("{SOTEIRA_A} {SOTEIRA_B} {SOTEIRA_C}", environ) == "geheim credential environment"


def test_who_may_not_look_into_the_folder_of_secrets_is_told_to_use_sudo(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(MissingSecretsError) as caught:
        substitute("{SOTEIRA_A}", {})
    assert f"SOTEIRA_A is not set, and {folder}/SOTEIRA_A may only be read by root: use sudo" in str(caught.value)


def test_a_secret_that_the_service_is_not_given_yet_is_said_to_need_install(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "", str(path)) if path.parent == folder else FileNotFoundError(2, "", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(MissingSecretsError, match="SOTEIRA_A is not handed to the service: ") as caught:
        substitute("{SOTEIRA_A}", {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert "use sudo" not in str(caught.value)


def test_each_missing_variable_is_named_once_with_all_places_to_put_it(folder: Path) -> None:
    with pytest.raises(MissingSecretsError) as caught:
        substitute("{SOTEIRA_A}{SOTEIRA_B}{SOTEIRA_A}", {})
    assert caught.value.reasons == [
        f"{name} is not set: put it in the file {folder / name} and run `sudo soteirad install`, or set {name} in the "
        f"daemon's environment or in the file $CREDENTIALS_DIRECTORY/{name}"
        for name in ("SOTEIRA_A", "SOTEIRA_B")
    ]


def test_an_unreadable_credential_file_is_a_missing_secret(tmp_path: Path) -> None:
    (tmp_path / "SOTEIRA_DIR").mkdir()
    (tmp_path / "SOTEIRA_BYTES").write_bytes(b"\xff\xfe")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    with pytest.raises(MissingSecretsError, match="the credential file SOTEIRA_DIR cannot be read:"):
        substitute("{SOTEIRA_DIR}", environ)
    with pytest.raises(MissingSecretsError, match="the credential file SOTEIRA_BYTES is not UTF-8 text:"):
        substitute("{SOTEIRA_BYTES}", environ)
    with pytest.raises(MissingSecretsError, match="SOTEIRA_NONE is not set:"):
        substitute("{SOTEIRA_NONE}", environ)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://10.0.0.7/stream2", "rtsp://10.0.0.7/stream2"),
        ("rtsp://admin:pw@10.0.0.7:554/s?x=1", "rtsp://***@10.0.0.7:554/s?x=1"),
        ("rtsp://admin@10.0.0.7/s", "rtsp://***@10.0.0.7/s"),
        ("rtsp://a:p@ss@h/s", "rtsp://***@h/s"),
        ("rtsp://a:p/a?s#s@h/s", "rtsp://***@h/s"),
        ("admin:pw@10.0.0.7/s", "***@10.0.0.7/s"),
        ("//a:b@h/s", "//***@h/s"),
        ("rtsp://u:p@[::1", "rtsp://***@[::1"),
        ("http://h/snap?user=a&PassWord=b&ch=1", "http://h/snap?user=***&PassWord=***&ch=1"),
        ("http://h/s?api%5Fkey=b&token=c=d&w=2", "http://h/s?api%5Fkey=***&token=***&w=2"),
        ("rtsp://h/user=a&password=b&channel=1.sdp", "rtsp://h/user=***&password=***&channel=1.sdp"),
        ("http://h/x?url=rtsp://u:p@i/s", "http://***@i/s"),
        ("http://h/a@b", "http://h/a@b"),
        ("/media/cam@home.mp4", "/media/cam@home.mp4"),
        ("", ""),
    ],
)
def test_a_url_is_shown_without_user_info_and_secret_values(url: str, shown: str) -> None:
    assert redact_url(url) == shown


@given(st.text())
def test_redacting_never_fails(text: str) -> None:
    redact_url(text)
    redact(text, [text, ""])


@given(st.text(min_size=8), st.sampled_from(["h", "h:554", "[::1]"]))
def test_no_password_however_odd_survives_in_a_url(password: str, host: str) -> None:
    assert redact_url(f"rtsp://user:{password}@{host}/stream") == f"rtsp://***@{host}/stream"


def test_known_secrets_are_replaced_longest_first_and_in_one_pass() -> None:
    assert redact("abc ab * b", ["ab", "abc", "", "*"]) == "*** *** *** b"
    assert redact("text", []) == "text"


def test_known_secrets_of_a_config_are_its_passwords_as_written_and_decoded() -> None:
    camera = "rtsp://admin:p%40ss@h/s?token=abcdef;auth=1&user=bob"
    config = Config.model_validate({
        "mqtt": {"user": "u", "password": "broker"},
        "cameras": {"a": {"source": camera}, "b": {"source": "clip.mp4"}},
    })
    assert known_secrets(config) == {"broker", "p%40ss", "p@ss", "abcdef"}

def read_password(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return unquote(parts.username or ""), unquote(parts.password or "")


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_secrets_in_user_info_are_encoded_once_whatever_is_in_them(user: str, password: str) -> None:
    """What may be encoded already stays as it is, and no user name has a colon."""
    assume("%" not in user + password and ":" not in user)
    environ = {"SOTEIRA_USER": user, "SOTEIRA_PASSWORD": password}
    url = substitute("rtsp://{SOTEIRA_USER}:{SOTEIRA_PASSWORD}@10.0.0.7/live", environ)
    assert read_password(url) == (user, password)
    assert urlsplit(url).hostname == "10.0.0.7"
    assert encode_user_info(url) == url


@pytest.mark.parametrize(
    ("secret", "text", "expected"),
    [
        ("p%41@ss", "rtsp://admin:{SOTEIRA_A}@h/s", "rtsp://admin:p%2541%40ss@h/s"),
        ("p%40ss", "rtsp://admin:{SOTEIRA_A}@h/s", "rtsp://admin:p%40ss@h/s"),
        ("100%", "rtsp://admin:{SOTEIRA_A}@h/s", "rtsp://admin:100%25@h/s"),
        ("w@rd", "rtsp://admin:pass{SOTEIRA_A}@h/s", "rtsp://admin:passw%40rd@h/s"),
        ("me:p@ss:w/rd", "rtsp://{SOTEIRA_A}@h/s", "rtsp://me:p%40ss%3Aw%2Frd@h/s"),
        ("me", "rtsp://{SOTEIRA_A}@h/s", "rtsp://me@h/s"),
        ("me:", "rtsp://{SOTEIRA_A}@h/s", "rtsp://me:@h/s"),
        ("a b@c", "rtsp://u:p@h/{SOTEIRA_A}", "rtsp://u:p@h/a b@c"),
        ("a b@c", "rtsp://h/s?token={SOTEIRA_A}", "rtsp://h/s?token=a b@c"),
        ("10.0.0.7", "rtsp://u:p@{SOTEIRA_A}/s", "rtsp://u:p@10.0.0.7/s"),
        ("a b@c", "{SOTEIRA_A}", "a b@c"),
    ],
)
def test_secrets_are_encoded_in_user_info_only(secret: str, text: str, expected: str) -> None:
    """One variable that is all of the user info may hold user:password."""
    assert substitute(text, {"SOTEIRA_A": secret}) == expected


def test_taken_secrets_still_fill_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "SOTEIRA_FILE").write_text("from a file\n", encoding="utf-8")
    taken = take_secrets({"CREDENTIALS_DIRECTORY": str(tmp_path), "SOTEIRA_A": "x"})
    assert substitute("{SOTEIRA_A} {SOTEIRA_FILE}", taken) == "x from a file"


def test_a_secret_behind_a_user_name_with_an_at_sign_is_encoded() -> None:
    assert substitute("rtsp://me@home.org:{SOTEIRA_P}@h/s", {"SOTEIRA_P": "1/2"}).endswith(":1%2F2@h/s")


@pytest.mark.parametrize("secret", ["p\udcff", "p\udcff@"])
def test_a_secret_in_the_environment_that_is_not_utf8_is_told_as_missing(secret: str) -> None:
    with pytest.raises(MissingSecretsError, match="not UTF-8"):
        substitute("rtsp://a:{SOTEIRA_P}@h/s", {"SOTEIRA_P": secret})


def test_the_password_of_the_detail_stream_is_a_known_secret() -> None:
    loaded = Config.model_validate({"cameras": {"p": {"source": "rtsp://h/s", "detail": "http://u:geheim@h/s"}}})
    assert "geheim" in known_secrets(loaded)


@pytest.mark.parametrize("address", [
    "rtsp://a:geheim%40%2F1@10.0.0.7/x", "http://10.0.0.7/user=a_password=geheim@/1_channel=1",
    "http://10.0.0.7/x?user=a&password=geheim%40%2F1", "rtsp://10.0.0.7/x;password=geheim@/1",
])  # fmt: skip
def test_an_address_in_a_text_is_hidden_in_each_form_it_may_have_there(address: str) -> None:
    tail = address.partition("://")[2]
    for form in (address, unquote(address), tail, f"Error opening '{tail}'", f"{address}, twice: {tail}"):
        assert "geheim" not in without_addresses(form, ("", "/dev/video0", address)), form
    assert without_addresses("/dev/video0 is busy", ("", "/dev/video0", address)) == "/dev/video0 is busy"
