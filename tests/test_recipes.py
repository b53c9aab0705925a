"""The recipes in docs/integrations.md: what can be checked of them without the other program."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from soteirad.config import Config
from soteirad.event import Event
from soteirad.hub.request import make_request
from tests.daemon import ROOT

TEXT = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
EVENT = Event(id="01M80GR3W7ZFDTXZJGYFTM8T6X", event_type="entered", camera="porch", time="2026-11-22T02:18:17.351Z",
              label="person")  # fmt: skip


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


OURS = [block for block in blocks("yaml") if block.startswith(("webhooks:", "mqtt:"))]


@pytest.mark.parametrize("block", OURS)
def test_each_piece_of_configuration_is_a_valid_one_whose_requests_leave_no_brace(block: str) -> None:
    cameras = {"porch": {"source": "rtsp://10.0.0.7/stream2", "objects": {"track": ["person", "car"]}}}
    config = Config.model_validate({"cameras": cameras, **yaml.safe_load(block)})
    for webhook in config.webhooks:
        assert "{" not in re.sub(r"\{SOTEIRA_\w+\}", "", make_request(webhook, EVENT).url)


def test_there_are_recipes_and_each_section_says_whether_it_was_run() -> None:
    assert len(OURS) >= 6
    for section in re.split(r"^##+ ", TEXT, flags=re.MULTILINE)[1:]:
        assert re.search(r"\*(Run|Written)", section) or section.startswith("Anything else"), section.splitlines()[0]


def test_the_node_red_flow_can_be_imported_and_its_wires_lead_somewhere() -> None:
    (flow,) = (json.loads(block) for block in blocks("json"))
    ids = {node["id"] for node in flow}
    for node in flow:
        assert {target for wires in node.get("wires", []) for target in wires} <= ids
        assert node.get("z", "soteira") in ids and node.get("broker", "soteira-broker") in (*ids, "10.0.0.2")
