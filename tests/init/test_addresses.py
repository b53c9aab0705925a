"""Addresses keep meaning what they meant, with a password or a reference to one put into them."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soteirad.config.schema import camera_from
from soteirad.config.secrets import substitute
from soteirad.init.addresses import (
    as_secret,
    at_host,
    from_camera,
    has_own_secrets,
    split_account,
    with_account,
    with_password,
)
from soteirad.init.soap import Account, CameraError

TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=("Cc", "Cs")), min_size=1)


@given(user=TEXT, password=TEXT)
def test_user_and_password_arrive_whatever_signs_they_have(user: str, password: str) -> None:
    url = camera_from({"source": with_account("rtsp://10.0.0.7:554/s?a=1", Account(user, password))}).source
    parts = urlsplit(url)
    assert (parts.hostname, parts.port, parts.path) == ("10.0.0.7", 554, "/s")
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == (user, password)


@given(password=TEXT)
def test_a_password_in_a_secret_arrives_whatever_signs_it_has(password: str) -> None:
    written = with_password("rtsp://10.0.0.7/s", "view er", "{SOTEIRA_X}")
    assert written == "rtsp://view%20er:{SOTEIRA_X}@10.0.0.7/s"
    url = camera_from({"source": substitute(written, {"SOTEIRA_X": as_secret(password)})}).source
    parts = urlsplit(url)
    assert (parts.hostname, unquote(parts.password or "")) == ("10.0.0.7", password)


@given(tail=st.text(max_size=40))
def test_a_camera_s_address_means_its_own_host_and_no_secret(tail: str) -> None:
    try:
        url = from_camera(f"rtsp://10.0.0.7/{tail}")
        whole = with_account(url, Account("a", "b@c"))
    except CameraError:
        return
    assert "{" not in url and urlsplit(camera_from({"source": whole}).source).hostname == "10.0.0.7"


def test_an_owner_s_address_gives_its_account() -> None:
    assert split_account("rtsp://admin:p@ss#1@10.0.0.7/s") == ("rtsp://10.0.0.7/s", Account("admin", "p@ss#1"))
    assert split_account("rtsp://10.0.0.7/s") == ("rtsp://10.0.0.7/s", None)
    assert split_account("/dev/video0") == ("/dev/video0", None)


def test_a_password_in_the_path_is_noticed() -> None:
    assert has_own_secrets("rtsp://10.0.0.7/user=admin_password=tl_channel=1_stream=0.sdp")
    assert has_own_secrets("rtsp://10.0.0.7/s?token=abc")
    assert not has_own_secrets("rtsp://10.0.0.7/cam/realmonitor?channel=1&subtype=1")


@pytest.mark.parametrize("url,host,moved", [
    ("rtsp://10.6.6.6:555/a?b", "10.0.0.7", "rtsp://10.0.0.7:555/a?b"),
    ("rtsp://10.6.6.6/a", "fd00::7", "rtsp://[fd00::7]/a"),
])  # fmt: skip
def test_an_address_can_be_moved_to_another_host(url: str, host: str, moved: str) -> None:
    assert at_host(url, host) == moved
