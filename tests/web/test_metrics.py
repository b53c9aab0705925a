"""What Prometheus reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from soteirad.web.metrics import exposition
from tests.web.box import FakeBox
from tests.web.running import Running


@pytest.fixture
def box(tmp_path: Path) -> FakeBox:
    return FakeBox(tmp_path)


def figures(box: FakeBox) -> dict[tuple[str, ...], float]:
    """All samples: (name, label values...) -> value."""
    families = text_string_to_metric_families(exposition(box).decode())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_they_are_read_from_the_box_when_they_are_asked_for(box: FakeBox) -> None:
    before, _ = figures(box), box.tick()
    after = figures(box)
    assert after["soteira_frames_total", "porch"] == before["soteira_frames_total", "porch"] + 1
    assert after["soteira_looks_total", "porch", "motion"] == 40
    assert after["soteira_latency_seconds", "porch", "0.95"] == pytest.approx(0.1408)
    assert after["soteira_camera_memory_bytes", "porch"] == pytest.approx(141.3e6)
    assert after["soteira_camera_online", "garden"] == 0 and after["soteira_camera_online", "porch"] == 1
    assert after["soteira_outbox_waiting",] == 2 and after["soteira_mqtt_connected",] == 1
    assert after["soteira_llm_left", "per_hour"] == 40 and after["soteira_ready",] == 1


def test_what_is_not_known_has_no_figure(box: FakeBox) -> None:
    found = figures(box)
    assert ("soteira_llm_left", "tokens_per_day") not in found, "no limit is no figure"
    assert ("soteira_fps", "garden") not in found, "a camera that has not said anything"


def test_a_box_without_models_disk_or_diagnostics_has_figures_too(
    box: FakeBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    health: dict[str, Any] = box.health()
    health["llm"] = health["storage"]["free_bytes"] = None
    for camera in health["cameras"]:
        camera.update(diagnostics={}, age_s=None)
    monkeypatch.setattr(box, "health", lambda: health)
    found = figures(box)
    assert ("soteira_storage_free_bytes",) not in found and found["soteira_camera_starts_total", "porch"] == 1
    assert not [key for key in found if key[0].startswith("soteira_llm")]


def test_every_name_is_in_the_documentation(box: FakeBox) -> None:
    told = (Path(__file__).parents[2] / "docs" / "page.md").read_text()
    for name in {key[0] for key in figures(box)}:
        assert f"`{name}`" in told, name


def test_prometheus_reads_them_with_the_token(shared: Running) -> None:
    answer = shared.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert {family.name for family in text_string_to_metric_families(answer.text)} >= {"soteira_frames", "soteira_fps"}
    assert shared.http.get("/metrics").status_code == 401
