"""Addresses: what is a camera, and passwords with characters that mean something in an address."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from soteirad.config.address import (
    encode,
    encode_user_info,
    is_device,
    is_live,
    scheme_of,
)

HOSTS = ["10.0.0.7", "10.0.0.7:8554", "camera.home", "[fd00::7]", "[fd00::7]:8554", "h"]
PATHS = ["", "/", "/live", "/live?channel=1&subtype=0", "/cam@home/live", "/a:b@c"]
ODD = [
    "p@ss", "p@ss#1", "@", "@@", "#", "a#b", "a#b@c", "/", "a/b", "?", "a?b", "a/b?c#d", "a:b", ":", "a b", "[x]", "ä€",
    "100%", "%", "%%4", "%zz", "a%4@", "\\", '"quoted"', "a+b&c=d;e", "a/b@c", "12#4", "123456/7", "tab\there", "`^{|}",
]  # fmt: skip
ENCODED = re.compile("%[0-9A-Fa-f]{2}")
A_PORT = re.compile(r"\d{1,5}[/?]")


def read(url: str) -> tuple[str, str, str | None, str]:
    """Return user name and password, decoded, and the host and path, as any reader of addresses finds them."""
    parts = urlsplit(url)
    _, _, rest = parts.netloc.rpartition("@")
    return unquote(parts.username or ""), unquote(parts.password or ""), rest, url.partition(parts.netloc)[2]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("password", ODD)
def test_an_odd_password_is_read_back_as_it_was_written(password: str, host: str) -> None:
    url = encode_user_info(f"rtsp://admin:{password}@{host}/live")
    assert read(url) == ("admin", password, host, "/live")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", HOSTS)
def test_host_port_and_path_stay_as_they_are(host: str, path: str) -> None:
    assert encode_user_info(f"rtsp://admin:p@ss@{host}{path}") == f"rtsp://admin:p%40ss@{host}{path}"
    for plain in (f"http://{host}{path}", f"http://admin:pass@{host}{path}", f"http://admin@{host}{path}"):
        assert encode_user_info(plain) == plain


@given(st.text(st.characters(exclude_characters="/?#", exclude_categories=["Cs"])), st.sampled_from(HOSTS),
       st.sampled_from(PATHS))  # fmt: skip
def test_any_password_that_could_not_end_the_host_is_read_back(password: str, host: str, path: str) -> None:
    assume(not ENCODED.search(password))
    assert read(encode_user_info(f"rtsp://admin:{password}@{host}{path}")) == ("admin", password, host, path)


@given(st.text(st.characters(exclude_characters="@", exclude_categories=["Cs"])), st.sampled_from(HOSTS),
       st.sampled_from(["", "/", "/live", "/live?channel=1"]))  # fmt: skip
def test_any_password_without_an_at_sign_is_read_back(password: str, host: str, path: str) -> None:
    """Digits and a slash could be a port and a path; nothing else could."""
    assume(not ENCODED.search(password) and not A_PORT.match(password))
    assert read(encode_user_info(f"rtsp://admin:{password}@{host}{path}")) == ("admin", password, host, path)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])),
       st.sampled_from(HOSTS), st.sampled_from(PATHS))  # fmt: skip
def test_what_was_encoded_already_stays_as_it_is(user: str, password: str, host: str, path: str) -> None:
    url = f"rtsps://{quote(user, safe='')}:{quote(password, safe='')}@{host}{path}"
    assert encode_user_info(url) == url
    assert read(url) == (user, password, host, path)


@given(st.text(st.characters(exclude_characters="/?#", exclude_categories=["Cs"])), st.sampled_from(HOSTS))
def test_encoding_twice_changes_nothing(password: str, host: str) -> None:
    once = encode_user_info(f"rtsp://{password}:{password}@{host}/live")
    assert encode_user_info(once) == once


@pytest.mark.parametrize("user", ["joe@home.org", "joe smith", "jo%e", "jö"])
def test_an_odd_user_name_is_read_back_with_and_without_a_password(user: str) -> None:
    assert read(encode_user_info(f"rtsp://{user}:p@ss@h/live")) == (user, "p@ss", "h", "/live")
    assert read(encode_user_info(f"rtsp://{user}@h/live")) == (user, "", "h", "/live")


@pytest.mark.parametrize(
    ("text", "encoded"),
    [("a%2Fb", "a%2Fb"), ("a%2fb c", "a%252fb%20c"), ("100%", "100%25"), ("a,b;c", "a,b;c"), ("", "")],
)
def test_a_text_is_encoded_as_a_whole_or_not_at_all(text: str, encoded: str) -> None:
    assert encode(text) == encoded


@pytest.mark.parametrize(
    ("source", "scheme", "device", "live"),
    [
        ("RTSP://h/s", "rtsp", False, True),
        ("https://h/s", "https", False, True),
        ("/dev/video0", "", True, True),
        ("avfoundation:0", "", True, True),
        ("avfoundation:FaceTime HD Camera", "", True, True),
        ("clip.mp4", "", False, False),
        ("/media/dev/video0", "", False, False),
        ("a:b.mp4", "", False, False),
    ],
)
def test_a_source_is_an_address_a_device_or_a_file(source: str, scheme: str, device: bool, live: bool) -> None:
    assert (scheme_of(source), is_device(source), is_live(source)) == (scheme, device, live)


def test_the_last_at_sign_behind_a_hash_ends_the_password() -> None:
    assert encode_user_info("rtsp://admin:ab#cd@ef#gh@10.0.0.7/live") == (
        "rtsp://admin:ab%23cd%40ef%23gh@10.0.0.7/live"
    )


def test_a_scoped_address_with_an_at_sign_in_the_path_keeps_its_host() -> None:
    url = "rtsp://u:p@[fe80::1%25eth0]/cam@home"
    assert encode_user_info(url) == url


def test_a_file_in_a_folder_of_memory_is_a_file() -> None:
    assert not is_device("/dev/shm/clip.mp4")
