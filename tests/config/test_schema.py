"""The schema: defaults, strictness, inheritance, and messages that never repeat a value."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from soteirad.config import CameraConfig, Config, MotionConfig, ObjectsConfig, ZoneConfig, json_schema

LIKE = "too like the camera {}: Home Assistant and some disks take both names for one; choose another"
OUT = "this number is out of range: allowed is "


def config(camera: dict[str, Any] | None = None, **sections: Any) -> Config:
    porch = {"source": "rtsp://h/s", **(camera or {})}
    return Config.model_validate({"cameras": {"porch": porch}, **sections})


def problems(camera: dict[str, Any] | None = None, **sections: Any) -> dict[tuple[int | str, ...], str]:
    with pytest.raises(ValidationError) as caught:
        config(camera, **sections)
    return {line["loc"]: line["msg"] for line in caught.value.errors()}


def camera_problem(**keys: Any) -> str:
    found = problems(keys)
    assert len(found) == 1, found
    return next(iter(found.values()))


def test_a_camera_needs_only_a_source_and_has_the_documented_defaults() -> None:
    loaded = config()
    porch = loaded.cameras["porch"]
    assert loaded.mqtt.model_dump() == {
        "host": "localhost", "port": 1883, "user": None, "password": None, "topic_prefix": "soteira",
        "version": "3.1.1", "client_id": None, "keepalive": 30, "tls": None,
        "commands": ("detect", "motion_threshold", "min_score", "snapshot"),
        "frigate_events": {"enabled": False, "topic_prefix": "frigate"},
    }
    assert loaded.homeassistant.model_dump() == {"discovery": "device", "discovery_prefix": "homeassistant"}
    assert loaded.webhooks == ()
    assert (loaded.storage.path, loaded.storage.snapshots) == (Path("/var/lib/soteira"), True)
    assert (loaded.storage.outbox.days, loaded.storage.outbox.events) == (7, 100_000)
    assert (porch.detail, porch.stream, porch.rotate, porch.hwaccel, porch.size) == (None, 0, 0, "auto", None)
    assert (porch.name, porch.detect, porch.preview) == (None, True, 0)
    assert (porch.fps, porch.speed, porch.transport, porch.enabled) == (10, 1, "tcp", True)
    assert (porch.connect_timeout, porch.read_timeout, porch.privacy_mask, porch.zones) == (10, 10, (), {})
    assert porch.detector.model_dump() == {
        "model": "nanodet-g-416", "backend": "auto", "precision": "auto", "device": "auto", "threads": 1, "server": None
    }  # fmt: skip
    assert porch.motion.model_dump() == {
        "threshold": 0.02, "ceiling": 0.8, "history": 300, "var_threshold": 16.0, "lines": 180, "mask": (),
    }
    assert porch.scene.model_dump() == {"distance": 0.20, "ssim": 0.80, "interval": 2.0}
    assert porch.objects.model_dump() == {
        "track": ("person",), "stride": 4, "min_area": 0.01, "min_score": 0.4, "nms_iou": 0.7,
        "track_iou": 0.5, "confirm": 2, "still_interval": 10.0, "filters": {},
    }


def test_a_camera_overrides_global_sections_key_by_key_and_lists_replace() -> None:
    polygon = [0, 0, 1, 0, 1, 1]
    loaded = config(
        {"motion": {"lines": 360}, "objects": {"track": ["dog"], "filters": {"dog": {"min_score": 0.6}}}},
        motion={"threshold": 0.05, "mask": [polygon]},
        objects={"track": ["person", "dog"], "stride": 2, "filters": {"dog": {"min_area": 0.1}}},
    )
    porch = loaded.cameras["porch"]
    assert (porch.motion.lines, porch.motion.threshold) == (360, 0.05)
    assert porch.motion.mask == (tuple(map(float, polygon)),)
    assert (porch.objects.track, porch.objects.stride) == (("dog",), 2)
    assert porch.objects.filters["dog"].model_dump() == {"min_area": 0.1, "max_area": None, "min_score": 0.6}
    assert loaded.motion.lines == 180


def test_an_inherited_filter_for_a_label_that_this_camera_does_not_track_is_dropped() -> None:
    objects = {"track": ["person", "car"], "filters": {"car": {"min_score": 0.5}}}
    loaded = config({"objects": {"track": ["person"]}}, objects=objects)
    assert loaded.cameras["porch"].objects.filters == {}
    assert set(loaded.objects.filters) == {"car"}


def test_global_sections_may_be_models_when_python_builds_the_config() -> None:
    loaded = Config(
        motion=MotionConfig(threshold=0.5), cameras={"a": {"source": "clip.mp4"}}  # type: ignore[dict-item]
    )
    assert loaded.cameras["a"].motion.threshold == 0.5
    assert ObjectsConfig(track=("car",)).track == ("car",)
    assert ZoneConfig(coordinates=(0, 0, 1, 0, 1, 1)).objects is None


def test_a_whole_number_may_stand_for_a_fraction() -> None:
    assert config({"fps": 5, "read_timeout": 3}).cameras["porch"].read_timeout == 3


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"fps": "ten"}, "text where a number is needed: allowed is a number from 0 to 120"),
        ({"fps": True}, "true or false where a number is needed: allowed is a number from 0 to 120"),
        ({"fps": None}, "nothing where a number is needed: allowed is a number from 0 to 120"),
        ({"fps": 121}, OUT + "a number from 0 to 120"),
        ({"fps": float("nan")}, OUT + "a number from 0 to 120"),
        ({"fps": 10**400}, OUT + "a number from 0 to 120"),
        ({"enabled": 1}, "a number where true or false is needed: allowed is true or false"),
        ({"transport": "tpc"}, "this is not one of the choices, did you mean 'tcp'?: allowed are tcp, udp"),
        ({"read_timeout": 0}, OUT + "a number more than 0 and at most 3600"),
        (
            {"objects": {"stride": 1.5}},
            "a fraction where a whole number is needed: allowed is a whole number from 1 to 10000",
        ),
        ({"objects": {"stride": 10**30}}, OUT + "a whole number from 1 to 10000"),
        ({"motion": {"lines": 80}}, OUT + "a whole number from 90 to 720"),
        ({"motion": {"threshold": 0}}, OUT + "a number from 0.001 to 1"),
        (
            {"motion": 5},
            "a number where a section of keys is needed: write its keys on indented lines below it",
        ),
        (
            {"privacy_mask": 5},
            "a number where a list is needed: write it in brackets, such as [first, second]",
        ),
        (
            {"privacy_mask": [0, 0, 1, 0, 1, 1]},
            "one polygon where a list of polygons is needed: put it in a second pair of [ ]",
        ),
        ({"speed": 0}, 'this is no speed: allowed is a number more than 0 and at most 1000, or "max"'),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(keys: dict[str, Any], text: str) -> None:
    if "speed" in keys:
        keys = {**keys, "source": "clip.mp4"}
    assert camera_problem(**keys) == text


@pytest.mark.parametrize(
    ("polygon", "loc", "text"),
    [
        ([0, 0, 1, 0], (), "fewer than three corners"),
        ([], (), "fewer than three corners"),
        ([0, 0, 1, 0, 1, 1, 1], (), "an odd count of numbers"),
        ([0, 0, 1, 0, 1, 1.1], (5,), "this number is out of range"),
        ([0, 0, 1, 0, 1, "1"], (5,), "text where a number is needed"),
        ([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0], [0, 0]], (3,), "a list where a number is needed"),
        ("0,0,1,0,1,1", (), "text where a polygon is needed"),
    ],
)
def test_a_polygon_is_three_or_more_corners_between_0_and_1(
    polygon: Any, loc: tuple[int, ...], text: str
) -> None:
    found = problems({"zones": {"step": {"coordinates": polygon}}})
    assert found[("cameras", "porch", "zones", "step", "coordinates", *loc)].startswith(text + ":")


@pytest.mark.parametrize(
    ("track", "loc", "text"),
    [
        ("person", (), "text where a list of labels is needed"),
        ([], (), "this list is empty"),
        (["a"] * 1001, (), "this list is too long"),
        (["car", "car"], (1,), "this label is listed twice"),
        (["car", 5], (1,), "this is not a label"),
    ],
)
def test_tracked_labels_are_a_list_of_different_words(track: Any, loc: tuple[int, ...], text: str) -> None:
    found = problems(objects={"track": track})
    assert found[("objects", "track", *loc)].startswith(text + ":")


@pytest.mark.parametrize(
    "source", ["rtsp://h/s", "RTSPS://u:p@h:8554/s", "http://[::1]/x", "clip.mp4", "/a/b@c.mkv"]
)
def test_a_source_is_a_camera_address_or_a_file(source: str) -> None:
    assert config({"source": source}).cameras["porch"].live == ("://" in source)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("", "this source is empty"),
        ("rtmp://h/hunter2", "this kind of address is not supported"),
        ("rtsp://", "no host and port can be read from this address"),
        ("rtsp://admin:hunter2#x/s", "no host and port can be read from this address"),
        ("avfoundation:", "this names no camera"),
        ("rtsp://[hunter2/s", "no host and port can be read from this address"),
        ({"SOTEIRA_X": None}, "a section of keys where text is needed"),
        (5, "a number where text is needed"),
    ],
)
def test_an_unusable_source_is_refused_without_repeating_it(source: Any, text: str) -> None:
    message = camera_problem(source=source)
    assert message.startswith(text + ":")
    assert "hunter2" not in message


@pytest.mark.parametrize("source", ["/dev/video0", "/dev/v4l/by-id/usb-cam", "avfoundation:0", "avfoundation:My Cam"])
def test_a_camera_on_this_machine_is_live_and_may_be_asked_for_a_size(source: str) -> None:
    porch = config({"source": source, "size": "1280x720"}).cameras["porch"]
    assert (porch.live, porch.source, porch.size) == (True, source, "1280x720")
    assert camera_problem(source=source, speed=2).startswith("a live camera has no speed:")


@pytest.mark.parametrize("source", ["rtsp://h/s", "http://h/s", "clip.mp4"])
def test_a_size_is_for_cameras_on_this_machine(source: str) -> None:
    assert camera_problem(source=source, size="1280x720").startswith("only a camera on this machine (/dev/video0)")


@pytest.mark.parametrize("size", ["1280", "1280x", "x720", "0x720", "1280X720", "1280 x 720", "1280x720\n", "-1x720",
                                  "1280x720x3", "123456x720", ""])  # fmt: skip
def test_a_size_is_width_x_height(size: str) -> None:
    assert camera_problem(source="/dev/video0", size=size).startswith("this is no picture size: write width x height")


@pytest.mark.parametrize("source", ["rtsp://h/s", "/dev/video0"])
@pytest.mark.parametrize("detail", ["rtsp://h/main", "http://h/snapshot.jpg", "https://u:p@h:81/snap?x=1"])
def test_a_camera_may_have_a_larger_stream_or_a_snapshot_address(source: str, detail: str) -> None:
    assert config({"source": source, "detail": detail}).cameras["porch"].detail == detail


@pytest.mark.parametrize("detail", ["/dev/video1", "avfoundation:1", "picture.jpg", ""])
def test_the_larger_stream_is_an_address(detail: str) -> None:
    assert camera_problem(detail=detail).startswith("this is no camera's address:")


def test_a_video_file_has_no_second_stream() -> None:
    assert camera_problem(source="clip.mp4", detail="rtsp://h/main").startswith("a video file has no second stream:")
    assert config({"source": "clip.mp4", "detail": None}).cameras["porch"].detail is None


def test_odd_passwords_of_both_addresses_are_encoded_and_shown_nowhere() -> None:
    odd = "p@ss#/hunter2"
    porch = config({"source": f"rtsp://admin:{odd[:5]}@h/s", "detail": "http://admin:a/b?hunter2@h/x"}).cameras["porch"]
    assert (porch.source, porch.detail) == ("rtsp://admin:p%40ss%23@h/s", "http://admin:a%2Fb%3Fhunter2@h/x")
    assert "hunter2" not in repr(porch)
    message = camera_problem(detail="rtmp://admin:hunter2@h/s")
    assert message.startswith("this kind of address is not supported") and "hunter2" not in message


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"stream": -1}, OUT + "a whole number from 0 to 31"),
        ({"stream": 32}, OUT + "a whole number from 0 to 31"),
        ({"stream": 1.0}, "a fraction where a whole number is needed"),
        ({"stream": "1"}, "text where a whole number is needed"),
        ({"rotate": 45}, "this is not one of the choices"),
        ({"rotate": True}, "this is not one of the choices"),
        ({"rotate": -90}, "this is not one of the choices"),
        ({"hwaccel": "gpu"}, "this is not one of the choices"),
        ({"hwaccel": True}, "this is not one of the choices"),
    ],
)
def test_stream_rotation_and_hardware_are_choices(keys: dict[str, Any], text: str) -> None:
    message = camera_problem(**keys)
    assert message.startswith(text), message


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
@pytest.mark.parametrize("hwaccel", ["auto", "none", "vaapi", "v4l2m2m", "videotoolbox"])
def test_every_rotation_goes_with_every_hardware(rotate: int, hwaccel: str) -> None:
    porch = config({"rotate": rotate, "hwaccel": hwaccel, "stream": 31}).cameras["porch"]
    assert (porch.rotate, porch.hwaccel, porch.stream) == (rotate, hwaccel, 31)


def test_a_brace_without_quotes_is_recognized() -> None:
    message = camera_problem(source={"SOTEIRA_X": None})
    assert message.endswith('put quotes around the braces, as in "{SOTEIRA_NAME}"')


def test_a_live_camera_has_no_speed_but_a_file_may_run_at_full_speed() -> None:
    assert camera_problem(speed=2).startswith("a live camera has no speed:")
    assert config({"source": "clip.mp4", "speed": "max"}).cameras["porch"].speed == "max"


@pytest.mark.parametrize(("motion", "key"), [({"ceiling": 0.01}, "ceiling"), ({"threshold": 0.9}, "threshold")])
def test_a_motion_ceiling_that_is_not_over_the_threshold_is_a_problem(motion: dict[str, float], key: str) -> None:
    found = problems({"motion": motion})
    assert found[("cameras", "porch", "motion", key)] == "motion.ceiling must be larger than motion.threshold"


def test_contradictions_are_found_next_to_other_mistakes_in_the_same_section() -> None:
    found = problems(
        {
            "objects": {"filters": {"car": {"min_area": 0.5, "max_area": 0.1, "x": 1}}},
            "zones": {"z": {"objects": ["cat"]}},
        },
        mqtt={"password": "p", "port": 0},
    )
    porch = ("cameras", "porch")
    assert found[(*porch, "objects", "filters", "car")].startswith("this label is not tracked:")
    assert found[(*porch, "objects", "filters", "car", "max_area")].startswith("smaller than min_area:")
    assert found[(*porch, "objects", "filters", "car", "x")].startswith("this key is not known:")
    assert found[(*porch, "zones", "z", "objects", 0)].startswith("this label is not tracked:")
    assert found[(*porch, "zones", "z", "coordinates")].startswith("is missing: add it;")
    assert found[("mqtt", "password")].startswith("a password without a user:")
    assert ("mqtt", "port") in found
    assert len(found) == 7


SERVER = {"url": "10.0.0.9:8001", "model": "detector"}


def detector_problems(**keys: Any) -> dict[tuple[int | str, ...], str]:
    """Return what is wrong with a camera's detector section, by the place in it."""
    found = problems({"detector": keys})
    return {loc[3:]: text for loc, text in found.items() if loc[:3] == ("cameras", "porch", "detector")}


def test_kserve_and_a_server_need_each_other() -> None:
    assert detector_problems(backend="kserve") == {
        ("backend",): "kserve without a server: add detector.server with its url and model"
    }
    assert detector_problems(server=SERVER) == {
        ("server",): "a server without its backend: set detector.backend to kserve"
    }
    assert detector_problems(backend="onnx", server=SERVER).keys() == {("server",)}
    loaded = config({"detector": {"backend": "kserve", "server": SERVER}}).cameras["porch"].detector
    assert loaded.server is not None and loaded.server.model_dump() == {
        "url": "10.0.0.9:8001", "model": "detector", "version": "", "timeout": 2.0, "tls": False, "fallback": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("backend", "devices"),
    [
        ("auto", ["auto", "cpu"]),
        ("onnx", ["auto", "cpu", "cuda", "tensorrt", "coreml"]),
        ("openvino", ["auto", "cpu"]),
        ("litert", ["auto", "cpu"]),
        ("coreml", ["auto", "all", "cpu_and_ne", "cpu_only"]),
        ("kserve", ["auto", "cpu"]),
    ],
)
def test_a_device_belongs_to_a_backend(backend: str, devices: list[str]) -> None:
    server = {"server": SERVER} if backend == "kserve" else {}
    for device in ("auto", "cpu", "cuda", "tensorrt", "coreml", "all", "cpu_and_ne", "cpu_only"):
        keys = {"backend": backend, "device": device, **server}
        if device in devices:
            assert config({"detector": keys}).cameras["porch"].detector.device == device
        else:
            text = f"not a device of the backend {backend}: use {', '.join(devices)}"
            assert detector_problems(**keys) == {("device",): text}


@pytest.mark.parametrize("backend", ["hunter2", ["hunter2"]])
def test_a_backend_that_there_is_not_is_not_repeated_next_to_its_device(backend: Any) -> None:
    found = detector_problems(backend=backend, device="cuda")
    assert found[("backend",)].startswith("this is not one of the choices: allowed are auto, onnx, openvino")
    assert "hunter2" not in " ".join(found.values())


BAD_URLS = ["http://10.0.0.9:8001", "grpc://triton:8001", "viewer:hunter2@triton:8001", "triton", "triton:grpc",
            "triton:8001/v2", "two words:8001", ":8001", ""]  # fmt: skip


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_servers_url_is_host_and_port_without_scheme_user_or_path_and_is_not_repeated(url: str) -> None:
    found = detector_problems(backend="kserve", server={**SERVER, "url": url})
    assert found.keys() == {("server", "url")}
    assert "hunter2" not in str(found)


@pytest.mark.parametrize("url", BAD_URLS[:-1])
def test_a_wrong_url_of_a_server_is_told_how_it_is_written(url: str) -> None:
    found = detector_problems(backend="kserve", server={**SERVER, "url": url})
    assert "host:port of its gRPC side, such as 10.0.0.9:8001" in found[("server", "url")]


@pytest.mark.parametrize("url", ["10.0.0.9:8001", "triton.local:8001", "[fd00::9]:8001", "localhost:1"])
def test_a_server_may_be_named_by_any_host_and_port(url: str) -> None:
    loaded = config({"detector": {"backend": "kserve", "server": {**SERVER, "url": url}}})
    server = loaded.cameras["porch"].detector.server
    assert server is not None and server.url == url


def test_a_server_needs_an_url_and_a_model() -> None:
    found = detector_problems(backend="kserve", server={})
    assert set(found) == {("server", "url"), ("server", "model")}
    assert found[("server", "url")].startswith("is missing: add it; allowed is host:port of its gRPC side")
    assert detector_problems(backend="kserve", server={**SERVER, "model": ""}) == {
        ("server", "model"): "this text is empty: allowed is the model's name on the server"
    }


def test_a_camera_may_leave_the_server_of_all_others_by_saying_so() -> None:
    loaded = config({"detector": {"backend": "onnx", "server": None}}, detector={"backend": "kserve", "server": SERVER})
    assert loaded.detector.server is not None
    assert loaded.cameras["porch"].detector.model_dump(include={"backend", "server"}) == {
        "backend": "onnx", "server": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "everywhere", [{"backend": "kserve", "server": SERVER}, {"backend": "onnx", "device": "cuda"}]
)
def test_a_camera_with_another_backend_does_not_inherit_what_belongs_to_the_first(everywhere: dict[str, Any]) -> None:
    loaded = config({"detector": {"backend": "openvino"}}, detector=everywhere).cameras["porch"].detector
    assert (loaded.server, loaded.device) == (None, "auto")


@pytest.mark.parametrize("cameras", [{}, [], None, "porch"])
def test_a_config_without_cameras_shows_the_smallest_example(cameras: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"cameras": cameras})
    assert 'cameras: {porch: {source: "rtsp://10.0.0.7/stream2"}}' in caught.value.errors()[0]["msg"]


@pytest.mark.parametrize("name", ["front door", "a/b", "", "ö", "a\n"])
def test_camera_and_zone_names_are_plain(name: str) -> None:
    rule = "this name cannot be used: use only the letters a-z and A-Z, digits, _ and -"
    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"cameras": {name: {"source": "x"}}})
    assert [line["msg"] for line in caught.value.errors()] == [rule]
    assert camera_problem(zones={name: {"coordinates": [0, 0, 1, 0, 1, 1]}}) == rule


def test_names_of_topics_are_no_reserved_words() -> None:
    assert Config.model_validate({"cameras": {"status": {"source": "x"}, "event": {"source": "x"}}})


def test_an_empty_section_means_its_defaults() -> None:
    empty = {"motion": None, "zones": None, "privacy_mask": None}
    loaded = config(empty, scene=None, objects={"filters": None})
    assert loaded.cameras["porch"].motion == MotionConfig()


def test_models_are_frozen_and_survive_pickling() -> None:
    loaded = config()
    with pytest.raises(ValidationError):
        loaded.mqtt.port = 1
    assert pickle.loads(pickle.dumps(loaded)) == loaded  # noqa: S301


def test_neither_repr_nor_errors_show_a_source_or_a_password() -> None:
    loaded = config({"source": "rtsp://u:hunter2@h/s"}, mqtt={"user": "u", "password": "hunter2"})
    assert "hunter2" not in repr(loaded) + str(loaded)
    with pytest.raises(ValidationError) as caught:
        CameraConfig.model_validate({"source": "rtmp://hunter2", "fps": "hunter2", "zones": ["hunter2"]})
    assert "hunter2" not in str(caught.value) + str(caught.value.errors())


def test_every_key_is_described_in_the_json_schema() -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "Soteira configuration"
    for section in [schema, *schema["$defs"].values()]:
        assert section["additionalProperties"] is False
        for name, key in section["properties"].items():
            about = schema["$defs"][key["$ref"].rsplit("/", 1)[1]] if "$ref" in key else key
            assert key.get("description") or about.get("description"), name


@pytest.mark.parametrize(("names", "told"), [
    (["hub"], "this name is taken by Soteira itself: choose another than hub and set"),
    (["Porch", "porch"], LIKE.format("Porch")),
    (["a-b", "a_b"], LIKE.format("a-b")),
    (["p" * 200], "this name cannot be used: at most 64 characters fit"),
    (["front door"], "this name cannot be used: use only the letters a-z and A-Z, digits, _ and -"),
    (["a/b"], "this name cannot be used: use only the letters a-z and A-Z, digits, _ and -"),
    (["+"], "this name cannot be used: use only the letters a-z and A-Z, digits, _ and -"),
    (["Tür"], "this name cannot be used: use only the letters a-z and A-Z, digits, _ and -"),
])  # fmt: skip
def test_a_camera_has_a_key_that_topics_disks_and_entity_ids_can_hold(names: list[str], told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"cameras": {name: {"source": "a.mp4"} for name in names}})
    assert [line["msg"] for line in caught.value.errors()] == [told]


@pytest.mark.parametrize("name", ["Haustür #1 + / Straße", "玄関", "  porch  "])
def test_what_people_call_a_camera_is_in_any_script(name: str) -> None:
    assert config({"name": name}).cameras["porch"].name == name.strip()


@pytest.mark.parametrize("name", ["", "   ", "two\nlines", "x" * 101])
def test_a_name_to_show_is_one_line_of_words(name: str) -> None:
    assert camera_problem(name=name)


@pytest.mark.parametrize("prefix", ["/soteira", "soteira/", "a b", "a+b", "#", "$SYS", "", "ä"])
def test_no_first_part_of_topics_has_slashes_at_its_ends_or_wildcards(prefix: str) -> None:
    for section in ({"mqtt": {"topic_prefix": prefix}}, {"homeassistant": {"discovery_prefix": prefix}},
                    {"mqtt": {"frigate_events": {"topic_prefix": prefix}}}):  # fmt: skip
        assert problems({}, **section), section


@pytest.mark.parametrize(("written", "meant"), [
    (True, "device"), (False, "off"), ("device", "device"), ("single", "single"), ("off", "off")
])  # fmt: skip
def test_discovery_is_true_false_or_a_form(written: object, meant: str) -> None:
    assert config(homeassistant={"discovery": written}).homeassistant.discovery == meant


def test_an_empty_tls_section_turns_encryption_on_and_a_certificate_needs_its_key() -> None:
    tls = config(mqtt={"tls": None}).mqtt.tls
    assert tls is not None and not tls.insecure
    assert problems({}, mqtt={"tls": {"certificate": "a.pem"}}) == {
        ("mqtt", "tls", "certificate"): "a certificate without its key: add mqtt.tls.key"
    }
    assert ("mqtt", "tls", "key") in problems({}, mqtt={"tls": {"key": "a.key"}})


def test_frigates_format_has_another_prefix_than_our_own() -> None:
    assert problems({}, mqtt={"topic_prefix": "house", "frigate_events": {"topic_prefix": "house"}}) == {
        ("mqtt", "frigate_events", "topic_prefix"): "the same as mqtt.topic_prefix: choose another"
    }
    assert config(mqtt={"frigate_events": {"topic_prefix": "soteira/frigate"}}).mqtt.frigate_events


def test_commands_are_chosen_from_a_list_and_none_is_a_choice() -> None:
    assert config(mqtt={"commands": None}).mqtt.commands == config(mqtt={"commands": []}).mqtt.commands == ()
    assert problems({}, mqtt={"commands": ["enable"]}) == {
        ("mqtt", "commands", 0): "this is not one of the choices, did you mean 'enabled'?: allowed are enabled, "
        "detect, motion_threshold, min_score, snapshot, ask, restart"
    }


@pytest.mark.parametrize(("headers", "wrong"), [
    ({"X Y": "a"}, "X Y"), ({"X": "a\nB: c"}, "X"), ({"X": "\r"}, "X"), ({"": "a"}, ""),
    ({"X": "€"}, "X"), ({"X:": "a"}, "X:"),
])  # fmt: skip
def test_a_webhooks_headers_are_ones_that_can_be_sent(headers: dict[str, str], wrong: str) -> None:
    found = problems({}, webhooks=[{"url": "http://x", "headers": {"Good-One": "yes", **headers}}])
    assert list(found) == [("webhooks", 0, "headers", wrong)]


@pytest.mark.parametrize("name", ["", "a\0b", "a\nb", "x" * 101])
def test_a_client_id_is_one_line_of_text(name: str) -> None:
    assert list(problems({}, mqtt={"client_id": name})) == [("mqtt", "client_id")]


def test_a_webhook_has_an_address_and_is_for_cameras_that_there_are() -> None:
    assert config(webhooks=[{"url": "http://10.0.0.4:81/x?camera={camera}"}]).webhooks[0].when.events == ("entered",)
    assert problems({}, webhooks=[{"url": "10.0.0.4/x"}]) == {
        ("webhooks", 0, "url"): "this is no address for a request: write http://host:port/path or https://host/path"
    }
    assert problems({}, webhooks=[{"url": "http://x", "when": {"cameras": ["yard"]}}]) == {
        ("webhooks", 0, "when", "cameras", 0): "there is no such camera: use porch"
    }
