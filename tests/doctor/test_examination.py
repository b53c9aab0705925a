"""The examination: no check stops another, none lasts for ever, and no secret gets out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from soteirad.doctor.examination import CHECKS, NAMES, Check, examine
from soteirad.doctor.patient import admit
from tests.doctor import strange
from tests.doctor.people import patient

GOOD = Check("good", "Good", "tests.doctor.strange:good")


def of(name: str, seconds: float = 15.0, needs: str = "") -> Check:
    return Check(name, name.title(), f"tests.doctor.strange:{name}", needs, lambda _: seconds)


def test_a_check_that_fails_by_itself_is_one_line_that_names_it_and_the_others_go_on(tmp_path: Path) -> None:
    found = list(examine(patient(tmp_path), checks=(of("raises"), GOOD)))
    assert [(f.check, f.verdict) for f in found] == [("raises", "ok"), ("raises", "fail"), ("good", "ok")]
    assert found[1].what == "Raises"
    assert found[1].text == "this check itself failed (KeyError: 'no such thing\\nat all')"


def test_a_check_that_hangs_is_broken_off_and_told_to_stop(tmp_path: Path) -> None:
    strange.told_to_stop.clear()
    found = list(examine(patient(tmp_path), checks=(of("hangs", seconds=0.3), GOOD)))
    assert [(f.check, f.verdict) for f in found] == [("hangs", "ok"), ("hangs", "fail"), ("good", "ok")]
    assert "broken off" in found[1].text
    assert strange.told_to_stop.wait(20)


def test_a_check_whose_findings_nobody_waits_for_any_more_is_told_to_stop(tmp_path: Path) -> None:
    strange.told_to_stop.clear()
    found = examine(patient(tmp_path), checks=(of("two_and_hangs", seconds=60.0), GOOD))
    next(found)
    found.close()
    assert strange.told_to_stop.wait(20)


def test_what_is_well_about_one_thing_is_one_line(tmp_path: Path) -> None:
    (found,) = examine(patient(tmp_path), checks=(GOOD,))
    assert found.text == "as it should be; in every way"


def test_a_missing_library_is_told_as_one(tmp_path: Path) -> None:
    (found,) = examine(patient(tmp_path), checks=(of("lacks"),))
    assert found.verdict == "fail" and "libGL.so.1" in found.text and "install soteirad again" in found.remedy


def test_no_secret_of_the_configuration_gets_into_a_finding(tmp_path: Path) -> None:
    sick = patient(tmp_path, cameras={"porch": {"source": "rtsp://admin:geheim-9@10.0.0.7/live"}})
    for check in (of("tells", needs="secrets"), of("chatters")):
        (found,) = examine(sick, checks=(check,))
        assert "geheim-9" not in str(found) and "10.0.0.7" in found.text


def test_a_password_that_is_a_word_of_ours_is_not_told_by_a_gap_in_a_text_without_secrets(tmp_path: Path) -> None:
    sick = patient(tmp_path, cameras={"porch": {"source": "rtsp://admin:should@10.0.0.7/live"}})
    (found,) = examine(sick, checks=(GOOD,))
    assert found.text.startswith("as it should be")


def test_without_a_configuration_everything_else_is_looked_at_and_the_rest_is_named_once(tmp_path: Path) -> None:
    begun: list[str] = []
    path = tmp_path / "soteira.yaml"
    path.write_text("cameras: {porch: {sorce: 1}}\n")
    config = CHECKS[0]
    found = list(examine(admit(path), on_begin=lambda check: begun.append(check.name),
                         checks=(config, of("good", needs="config"), of("tells"))))  # fmt: skip
    assert begun == ["config", "tells"]
    assert [f.what for f in found if f.verdict == "warn"] == ["not looked at"]
    assert all(f.text.startswith("cameras.porch") for f in found if f.verdict == "fail")


def test_one_check_alone_still_says_that_there_is_no_configuration(tmp_path: Path) -> None:
    found = list(examine(admit(tmp_path / "none.yaml"), only=["broker"], checks=CHECKS))
    assert found[0].verdict == "fail" and "there is no such file" in found[0].text


def test_without_the_values_of_secrets_nothing_that_needs_them_is_tried(tmp_path: Path) -> None:
    path = tmp_path / "soteira.yaml"
    path.write_text('mqtt: {user: a, password: "{SOTEIRA_NOWHERE}"}\ncameras: {porch: {source: /a.mp4}}\n')
    admitted = replace(admit(path, environ={}), root=False)
    found = list(examine(admitted, checks=(CHECKS[0], of("raises", needs="secrets"), of("good", needs="config"))))
    assert [f.verdict for f in found] == ["warn", "warn", "ok"]
    assert "SOTEIRA_NOWHERE" in found[0].text and f"sudo soteirad doctor --config {path}, which" in found[0].remedy
    as_root = list(examine(replace(admitted, root=True), checks=(CHECKS[0],)))
    assert [f.verdict for f in as_root] == ["fail"], "root sees all places: it is missing"


@pytest.mark.parametrize("check", CHECKS, ids=NAMES)
def test_each_check_can_be_loaded(check: Check) -> None:
    module, _, name = check.function.partition(":")
    assert callable(getattr(__import__(module, fromlist=[name]), name))
