"""`config` alone: the address that an owner opens."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from soteirad.errors import ConfigError, SoteiraError
from soteirad.tools.page import find_page, own_addresses
from soteirad.web.token import ensure_token
from tests.daemon import soteirad

WORDS = "correct horse"
KEPT_ELSEWHERE = "{SOTEIRA_WEB_WORDS}"
OWN = ("192.168.1.7", "fd00::7")


def write(folder: Path, **web: Any) -> Path:
    (folder / "state").mkdir(exist_ok=True)
    path = folder / "soteira.yaml"
    document = {"storage": {"path": str(folder / "state")}, "web": web, "cameras": {"porch": {"source": "rtsp://h/s"}}}
    path.write_text(yaml.safe_dump(document))
    return path


def test_the_address_lets_whoever_opens_it_in(tmp_path: Path) -> None:
    path = write(tmp_path)
    token = ensure_token(tmp_path / "state")
    result = soteirad("config", "-c", path)
    assert (result.returncode, result.stdout, result.stderr) == (0, f"http://127.0.0.1:8765/#token={token}\n", "")


@pytest.mark.parametrize(
    ("listen", "hosts"),
    [
        ("0.0.0.0:80", ["192.168.1.7", "127.0.0.1"]),
        ("[::]:80", ["192.168.1.7", "[fd00::7]", "127.0.0.1"]),
        ("[::1]:80", ["[::1]"]),
        ("10.1.2.3:80", ["10.1.2.3"]),
    ],
)
def test_who_listens_on_all_addresses_is_told_each_that_can_be_used(
    tmp_path: Path, listen: str, hosts: list[str]
) -> None:
    page = find_page(write(tmp_path, listen=listen, password=WORDS), OWN)
    assert page.addresses == tuple(f"http://{host}:80/" for host in hosts)


def test_a_name_of_ones_own_comes_first(tmp_path: Path) -> None:
    page = find_page(write(tmp_path, hosts=["box.lan"]), OWN)
    assert [address.split("#")[0] for address in page.addresses] == ["http://box.lan:8765/", "http://127.0.0.1:8765/"]


def test_a_password_is_not_printed(tmp_path: Path) -> None:
    page = find_page(write(tmp_path, password=WORDS), OWN)
    assert page.addresses == ("http://127.0.0.1:8765/",)
    assert "web.password" in page.hint and WORDS not in page.hint


def test_before_the_first_start_there_is_no_token(tmp_path: Path) -> None:
    page = find_page(write(tmp_path), OWN)
    assert page.addresses == ("http://127.0.0.1:8765/",) and "made when the daemon starts" in page.hint


def test_who_may_not_read_the_token_is_told_who_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path)
    ensure_token(tmp_path / "state")
    real = os.open

    def refuse(name: Any, *arguments: Any, **more: Any) -> int:
        if str(name).endswith("web-token"):  # root may read everything
            raise PermissionError(13, "Permission denied")
        return real(name, *arguments, **more)

    monkeypatch.setattr(os, "open", refuse)
    page = find_page(path, OWN)
    assert page.addresses == ("http://127.0.0.1:8765/",)
    assert "Permission denied" in page.hint and "as root" in page.hint


def test_secrets_that_only_the_daemon_has_are_not_needed(tmp_path: Path) -> None:
    path = write(tmp_path, password=KEPT_ELSEWHERE)
    assert find_page(path, OWN).addresses == ("http://127.0.0.1:8765/",)


def test_a_mistake_in_the_file_is_told_as_ever(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"web\.listen: this is no address to listen on") as told:
        find_page(write(tmp_path, listen="here", password=KEPT_ELSEWHERE), OWN)
    assert "SOTEIRA_WEB_WORDS" in str(told.value)


def test_without_a_page_there_is_no_address(tmp_path: Path) -> None:
    with pytest.raises(SoteiraError, match=r"web\.enabled is false"):
        find_page(write(tmp_path, enabled=False))


def test_the_file_of_a_command_is_named_after_it(tmp_path: Path) -> None:
    result = soteirad("config", "-c", write(tmp_path), "diff")
    assert result.returncode == 2 and "after diff" in result.stderr


def test_own_addresses_are_those_that_others_can_use() -> None:
    for text in own_addresses():
        address = ipaddress.ip_address(text)
        assert not address.is_loopback and not address.is_link_local
