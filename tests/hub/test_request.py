"""Which events a webhook is for, and what its request looks like."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest

from soteirad.config.broker import WebhookConfig
from soteirad.event import Event
from soteirad.hub.request import FIELDS, make_request, wants

EVENT = Event(
    id="01M80GR3W7ZFDTXZJGYFTM8T6X", event_type="entered", camera="porch", time="2026-11-22T02:18:17.351Z",
    label='big "dog" & {camera}', track_id=7, confidence=0.752, box=(0, 132, 115, 358), frame_size=(640, 360),
    zones=("step", "lawn"), snapshot="porch/2026-11-22/01M80GR3W7ZFDTXZJGYFTM8T6X.jpg",
)  # fmt: skip
ANSWERED = Event(id="01M80GR3W7ZFDTXZJGYFTM8T6Z", event_type="answered", camera="porch", time=EVENT.time,
                 question="parcel", answer=True, about=EVENT.id)  # fmt: skip
BARE = Event(id="01M80GR3W7ZFDTXZJGYFTM8T6Y", event_type="source_lost", camera="yard", time="2026-11-22T02:18:17.351Z")
ALL = "|".join(f"{{{name}}}" for name in (*FIELDS, "zones"))


def config(**keys: Any) -> WebhookConfig:
    return WebhookConfig.model_validate({"url": "http://10.0.0.4/x", **keys})


def body(event: Event = EVENT, **keys: Any) -> str:
    sent = make_request(config(**keys), event).body
    assert sent is not None
    return sent.decode()


@pytest.mark.parametrize(
    ("when", "wanted"),
    [
        ({}, True),
        ({"events": ["left", "entered"]}, True),
        ({"events": ["left"]}, False),
        ({"cameras": ["yard", "porch"]}, True),
        ({"cameras": ["yard"]}, False),
        ({"labels": [EVENT.label]}, True),
        ({"labels": ["cat"]}, False),
        ({"zones": ["road", "lawn"]}, True),
        ({"zones": ["road"]}, False),
        ({"cameras": ["porch"], "zones": ["road"]}, False),
    ],
)
def test_a_webhook_is_for_an_event_when_every_filter_that_is_given_holds(when: dict[str, Any], wanted: bool) -> None:
    assert wants(config(when=when).when, EVENT) is wanted


def test_a_webhook_hears_of_clips_only_if_it_says_so() -> None:
    recorded = replace(EVENT, event_type="recorded", clip="porch/2026-11-22/x.mp4", about="x")
    assert not wants(config().when, recorded) and wants(config(when={"events": ["recorded"]}).when, recorded)
    assert body(recorded, body="{about} {clip}") == "x porch/2026-11-22/x.mp4"


def test_an_event_without_label_and_zones_passes_no_filter_for_them() -> None:
    assert wants(config(when={"events": ["source_lost"]}).when, BARE)
    assert not wants(config(when={"events": ["source_lost"], "labels": ["person"]}).when, BARE)
    assert not wants(config(when={"events": ["source_lost"], "zones": ["step"]}).when, BARE)


def test_without_a_body_the_whole_event_is_sent_as_json() -> None:
    request = make_request(config(), EVENT)
    assert request.method == "POST" and request.url == "http://10.0.0.4/x"
    assert json.loads(request.body or b"") == json.loads(json.dumps(EVENT.payload()))
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"].startswith("soteirad/")


def test_every_field_is_percent_encoded_in_the_address() -> None:
    url = make_request(config(url=f"http://10.0.0.4/a?x={ALL}&j={{json}}"), EVENT).url
    fields, whole = url.removeprefix("http://10.0.0.4/a?x=").split("&j=")
    assert '"' not in url and " " not in url and "&" not in fields
    values = ["" if getattr(EVENT, name) is None else str(getattr(EVENT, name)) for name in FIELDS]
    assert unquote(fields) == "|".join([*values, "step,lawn"]) and "None" not in fields
    assert json.loads(unquote(whole))["id"] == EVENT.id


def test_a_get_has_no_body_and_no_content_type() -> None:
    request = make_request(config(method="GET", body="{label}"), EVENT)
    assert request.body is None and "Content-Type" not in request.headers


def test_values_are_escaped_in_a_json_body_and_nothing_is_put_in_twice() -> None:
    assert json.loads(body(body='{"text": "{label} at {camera}", "whole": {json}}')) == {
        "text": 'big "dog" & {camera} at porch', "whole": json.loads(json.dumps(EVENT.payload()))
    }  # fmt: skip


def test_a_text_body_holds_values_as_they_are() -> None:
    request = make_request(config(body="{label} came", method="PUT"), EVENT)
    assert request.method == "PUT" and request.body == b'big "dog" & {camera} came'
    assert request.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("text", "is_json"),
    [("{json}", True), (' \n{"a": 1}', True), ("[{json}]", True), ("{label}", False), ("Hello", False), ("", False)],
)
def test_what_a_body_without_content_type_is_can_be_seen_from_its_beginning(text: str, is_json: bool) -> None:
    found = make_request(config(body=text), EVENT).headers["Content-Type"]
    assert found == ("application/json" if is_json else "text/plain; charset=utf-8")


def test_the_content_type_that_is_given_decides_whether_a_body_is_json() -> None:
    given = {"content-type": "application/vnd.x+json"}
    request = make_request(config(body='x "{label}"', headers=given), EVENT)
    assert request.body == b'x "big \\"dog\\" & {camera}"'
    assert {name: value for name, value in request.headers.items() if name.lower() == "content-type"} == given
    assert body(body='{"l": "{label}"}', headers={"Content-Type": "text/plain"}) == '{"l": "big "dog" & {camera}"}'


def test_an_answer_adds_no_keys_to_a_form() -> None:
    answered = replace(EVENT, event_type="answered", question="describe", answer="a man&priority=2 +1%")
    form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    sent = body(answered, body="token=T&message={answer}&all={json}", headers=form)
    assert parse_qs(sent) == {"token": ["T"], "message": ["a man&priority=2 +1%"],
                              "all": [json.dumps(answered.payload(), separators=(",", ":"))]}  # fmt: skip


def test_what_an_event_does_not_have_is_empty() -> None:
    assert body(BARE, body=f"={ALL}") == f"={BARE.id}|source_lost|yard|||{BARE.time}|||||||"


@pytest.mark.parametrize(("answer", "said"), [
    (True, "yes"), (False, "no"), (3, "3"), (3.0, "3"), (2.5, "2.5"), ('a "big" box', 'a \\"big\\" box'), (None, ""),
])  # fmt: skip
def test_an_answer_is_put_in_as_people_say_it(answer: bool | float | str | None, said: str) -> None:
    text = body(replace(ANSWERED, answer=answer), body='{"text": "{question}: {answer}"}')
    assert text == f'{{"text": "parcel: {said}"}}'


def test_braces_that_name_no_field_stay() -> None:
    text = "{} {box} {why} { label } {Label} {__class__} {label.x} {0}"
    assert body(body=text) == text
    assert make_request(config(url="http://10.0.0.4/{box}"), EVENT).url == "http://10.0.0.4/{box}"


def test_other_scripts_survive_in_address_and_body() -> None:
    event = replace(EVENT, label="собака")
    assert body(event, body='{"l": "{label}"}') == '{"l": "собака"}'
    url = make_request(config(url="http://10.0.0.4/{label}"), event).url
    assert url.isascii() and unquote(url).endswith("/собака")


@pytest.mark.parametrize("url", ["http://me:p%40ss@10.0.0.4:81/x?a=1", "http://me:p@ss@10.0.0.4:81/x?a=1"])
def test_user_and_password_of_the_address_become_a_header(url: str) -> None:
    request = make_request(config(url=url), EVENT)
    assert request.url == "http://10.0.0.4:81/x?a=1"
    assert request.headers["Authorization"] == "Basic bWU6cEBzcw=="


def test_headers_that_are_given_win() -> None:
    headers = {"authorization": "Bearer abc", "user-agent": "mine"}
    request = make_request(config(url="http://me:x@10.0.0.4/", headers=headers), EVENT)
    assert request.headers == {"Content-Type": "application/json", **headers}
