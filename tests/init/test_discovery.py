"""The search for cameras: who answers is found, and who answers with something else harms nothing."""

from __future__ import annotations

import socket
import struct
import threading
import uuid

import pytest

from soteirad.init.discovery import FoundCamera, find_cameras, read_answer
from tests.brokers import free_port
from tests.init.onvif_camera import GROUP, OnvifCamera, Settings, probe_match

ASKED = uuid.uuid4().hex
URN = f"urn:uuid:{uuid.UUID(ASKED)}"
SERVICE = "http://10.0.0.7/onvif/device_service"
BOMB = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>" + "".join(
    f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(9)) + "]>"  # fmt: skip
FILE = "<!DOCTYPE x [<!ENTITY i SYSTEM 'file:///etc/hostname'>]>"


def test_a_camera_in_the_network_is_found_once_with_its_service_and_its_name() -> None:
    port = free_port()
    with OnvifCamera(Settings(), port) as camera:
        found = find_cameras(0.5, (GROUP, port))
        assert found == [FoundCamera("127.0.0.1", camera.service, "ACME Dome D-500")]
        assert not camera.complaints


def test_nothing_is_found_where_nobody_answers() -> None:
    assert find_cameras(0.1, (GROUP, free_port())) == []


def test_one_who_answers_without_end_does_not_stretch_the_search_and_is_not_found_more_than_once() -> None:
    port, stop = free_port(), threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear, socket.socket(type=socket.SOCK_DGRAM) as mouth:
        ear.bind(("", port))
        group = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton("127.0.0.1"))
        ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        ear.settimeout(10)
        mouth.bind(("127.0.0.1", 0))

        def flood() -> None:
            data, asker = ear.recvfrom(65535)
            asked = data.partition(b"MessageID>")[2].partition(b"<")[0].decode()
            number = 0
            while not stop.is_set():
                number += 1
                mouth.sendto(probe_match(asked, f"http://127.0.0.1:{number}/onvif"), asker)

        thread = threading.Thread(target=flood)
        thread.start()
        found = find_cameras(0.3, (GROUP, port))
        stop.set()
        thread.join()
    assert 1 <= len(found) <= 20


def test_one_answer_cannot_name_so_many_cameras_that_no_other_finds_room() -> None:
    scopes = "<d:Scopes>onvif://www.onvif.org</d:Scopes>"
    many = "".join(f"<d:ProbeMatch>{scopes}<d:XAddrs>http://10.0.0.6/{n}</d:XAddrs></d:ProbeMatch>" for n in range(500))
    data = probe_match(URN, SERVICE).replace(b"<d:ProbeMatch>", many.encode() + b"<d:ProbeMatch>", 1)
    assert len(data) < 65_000
    assert len(read_answer(data, "10.0.0.6", ASKED)) == 20


def test_matches_within_matches_are_read_once() -> None:
    deep = 1500
    inner = probe_match(URN, SERVICE).replace(b"<d:ProbeMatch>", b"<d:ProbeMatch>" * deep, 1)
    data = inner.replace(b"</d:ProbeMatch>", b"</d:ProbeMatch>" * deep, 1)
    assert len(data) < 65_000
    assert [camera.service for camera in read_answer(data, "10.0.0.7", ASKED)] == [SERVICE]


def test_an_answer_to_somebody_else_s_question_is_none() -> None:
    assert read_answer(probe_match(URN, SERVICE), "10.0.0.7", uuid.uuid4().hex) == []
    assert len(read_answer(probe_match(f"uuid:{ASKED.upper()}", SERVICE), "10.0.0.7", ASKED)) == 1


def test_an_answer_that_names_another_host_says_so() -> None:
    found = read_answer(probe_match(URN, SERVICE), "10.0.0.66", ASKED)
    assert [camera.elsewhere for camera in found] == ["10.0.0.7"]
    own = read_answer(probe_match(URN, f"{SERVICE} http://10.0.0.66:81/onvif"), "10.0.0.66", ASKED)
    assert [(camera.service, camera.elsewhere) for camera in own] == [("http://10.0.0.66:81/onvif", "")]


@pytest.mark.parametrize("extra", [BOMB, FILE], ids=["bomb", "file"])
def test_an_answer_with_a_document_type_is_not_read(extra: str) -> None:
    assert read_answer(probe_match(URN, SERVICE, name="&i;", extra=extra), "10.0.0.7",
                       ASKED) == []  # fmt: skip


def test_a_name_cannot_move_the_cursor_or_end_a_line() -> None:
    data = probe_match(URN, SERVICE, name="%1B%5B2J%0Aevil%E2%80%AE" + "x" * 80)
    title = read_answer(data, "10.0.0.7", ASKED)[0].title
    assert title.isprintable() and title.startswith("?[2J?evil?") and len(title) <= 60


@pytest.mark.parametrize("data", [
    b"", b"\xff\xfe", b"<", b"<a" * 20_000, b"x" * 65_000, "<a>\ud800</a>".encode("utf-8", "surrogatepass"),
    b'<?xml version="1.0" encoding="ebcdic-none"?><a/>', b"<a>" * 20_000 + b"</a>" * 20_000,
])  # fmt: skip
def test_what_is_no_answer_is_left_alone(data: bytes) -> None:
    assert read_answer(data, "10.0.0.7", ASKED) == []


@pytest.mark.parametrize("service", [
    "ftp://10.0.0.7/", "http://", "http://10.0.0.7:0/", "http://10.0.0.7:99999/", "http://[::1", "javascript:1",
    "http://10.0.0.7/" + "x" * 600, "http://[fe80::7]/onvif", "http://10.0.0.7/\u202e",
])  # fmt: skip
def test_an_address_that_cannot_be_asked_is_no_camera(service: str) -> None:
    assert read_answer(probe_match(URN, service), "10.0.0.7", ASKED) == []


def test_a_printer_is_no_camera() -> None:
    data = probe_match(URN, SERVICE).replace(b"onvif://www.onvif.org", b"ldap:///ou=printers")
    assert read_answer(data, "10.0.0.7", ASKED) == []
