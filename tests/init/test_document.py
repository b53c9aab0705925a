"""A plan becomes a file that the daemon takes and that has no secret in it."""

from __future__ import annotations

from pathlib import Path

from soteirad.config import Config
from soteirad.config.loader import config_from
from soteirad.init.document import compose
from soteirad.init.plan import Plan, PlannedBroker, PlannedCamera
from soteirad.init.soap import Account

ADMIN = Account("admin", "p@ss#1 %41")
XM = "rtsp://10.0.0.9/user=admin_password=hunter2_channel=1_stream=0.sdp"
PLAN = Plan(
    PlannedBroker("10.0.0.2", 8883, {"ca": "/etc/ca.pem"}, Account("soteira", "bro: ker#"), "house"),
    (
        PlannedCamera("porch", "rtsp://10.0.0.7/s", "rtsp://10.0.0.7/l", ADMIN, "ACME D-500", "Vor der Tür"),
        PlannedCamera("mqtt", "rtsp://10.0.0.8/s", None, Account("x", "other"), ""),
        PlannedCamera("old-one", XM, None, None, ""),
        PlannedCamera("usb", "/dev/v4l/by-id/usb-x-index0", None, None, "C920"),
        PlannedCamera("open", "http://10.0.0.5/mjpg", None, Account("guest", ""), ""),
    ),
    ("person", "hot dog"),
)


def loaded(text: str, secrets: dict[str, str]) -> Config:
    return config_from(text, Path("x.yaml"), secrets)


def test_the_service_s_file_has_no_secret_and_means_what_was_planned() -> None:
    made = compose(PLAN, "example", "/etc/soteira/secrets")
    for secret in ("p@ss", "p%40", "bro: ker", "hunter2", "other"):
        assert secret not in made.text and secret not in repr(made)
    assert sorted(made.secrets) == ["SOTEIRA_MQTT_PASSWORD", "SOTEIRA_MQTT_PASSWORD_2", "SOTEIRA_OLD_ONE_SOURCE",
                                    "SOTEIRA_PORCH_PASSWORD"]  # fmt: skip
    config = loaded(made.text, made.secrets)
    cameras = config.cameras
    assert cameras["porch"].source == "rtsp://admin:p%40ss%231%20%2541@10.0.0.7/s"
    assert cameras["porch"].detail == "rtsp://admin:p%40ss%231%20%2541@10.0.0.7/l"
    assert cameras["porch"].name == "Vor der Tür"
    assert cameras["mqtt"].source == "rtsp://x:other@10.0.0.8/s"
    assert cameras["old-one"].source == XM
    assert cameras["usb"].source == "/dev/v4l/by-id/usb-x-index0"
    assert cameras["open"].objects.track == ("person", "hot dog")
    assert config.mqtt.password is not None and config.mqtt.password.get_secret_value() == "bro: ker#"
    assert (config.mqtt.port, config.mqtt.topic_prefix, config.mqtt.tls is not None) == (8883, "house", True)


def test_another_file_means_the_same_with_its_secrets_in_it_and_hides_them_when_it_is_shown() -> None:
    made = compose(PLAN, "example", None)
    assert not made.secrets
    apart = compose(PLAN, "example", "/etc/soteira/secrets")
    assert loaded(made.text, {}) == loaded(apart.text, apart.secrets)
    for secret in ("p@ss", "p%40", "bro: ker", "hunter2", "other"):
        assert secret not in made.fit_to_show
    assert "10.0.0.7/s" in made.fit_to_show


def test_the_smallest_plan_is_a_good_file() -> None:
    plan = Plan(PlannedBroker("localhost"), (PlannedCamera("a", "/dev/video0"),))
    config = loaded(compose(plan, "example", None).text, {})
    assert config.mqtt.user is None and list(config.cameras) == ["a"]
