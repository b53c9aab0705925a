"""The page: does it answer, and who listens there?"""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from soteirad.doctor.page import check
from tests.brokers import free_port
from tests.doctor.people import patient, verdicts
from tests.http_receiver import Receiver, hang_up
from tests.web.running import running


def listen(port: int, host: str = "127.0.0.1") -> dict[str, dict[str, str]]:
    return {"web": {"listen": f"{host}:{port}"}}


def test_a_page_that_answers_is_well(tmp_path: Path) -> None:
    with running(tmp_path / "page") as site:
        (found,) = check(patient(tmp_path, **listen(site.port)))
    assert found.verdict == "ok" and "the page answers" in found.text


def test_a_daemon_that_is_not_ready_says_why(tmp_path: Path) -> None:
    with running(tmp_path / "page") as site:
        site.box._starting = "starting"
        (found,) = check(patient(tmp_path, **listen(site.port)))
    assert found.verdict == "warn" and "not ready: starting" in found.text


def test_a_free_port_is_well_unless_the_daemon_should_have_it(tmp_path: Path) -> None:
    sick = patient(tmp_path, **listen(free_port()))
    assert verdicts(check(sick)) == ["ok"]
    (found,) = check(replace(sick, daemon=True))
    assert found.verdict == "warn" and "nobody answers" in found.text


@pytest.mark.parametrize("script", [(), (hang_up, hang_up)], ids=["another web server", "no web server"])
def test_another_program_on_the_port_is_a_fault(script: tuple[object, ...], tmp_path: Path) -> None:
    receiver = Receiver(*script).start()  # type: ignore[arg-type]
    try:
        (found,) = check(patient(tmp_path, **listen(int(receiver.host.rpartition(":")[2]))))
    finally:
        receiver.stop()
    assert found.verdict == "fail" and "another program listens there" in found.text


def test_a_program_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soteirad.doctor.page.TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (found,) = check(patient(tmp_path, **listen(silent.getsockname()[1])))
    assert found.verdict == "fail"


def test_an_address_that_this_machine_does_not_have_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soteirad.doctor.page.TIMEOUT_S", 0.2)
    found = next(iter(check(patient(tmp_path, **listen(8765, "192.0.2.7")))))
    assert found.verdict == "fail" and "0.0.0.0" in found.remedy


def test_a_page_that_is_off_is_not_asked(tmp_path: Path) -> None:
    assert verdicts(check(patient(tmp_path))) == ["ok"]
