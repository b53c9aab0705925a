"""COCO data: both layouts, and one clear sentence for each thing that may be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from soteirad.errors import SoteiraError
from soteirad.evaluate.dataset import load_dataset
from tests.evaluate.made import document, write_data


def wrong(data: Path | str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(SoteiraError) as caught:
        load_dataset(str(data), environ or {})
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(("annotations", "pictures"), [
    ("instances.json", "images"),
    ("annotations/instances_val2017.json", "val2017"),
    ("annotations/instances_val2017.json", "images/val2017"),
    ("annotations/instances_porch.json", "porch"),
])  # fmt: skip
def test_the_known_layouts_are_found(tmp_path: Path, annotations: str, pictures: str) -> None:
    data = load_dataset(str(write_data(tmp_path / "mine", None, annotations, pictures)))
    assert (data.name, data.counts) == ("mine", {"person": 1, "cat": 1})
    assert data.read(data.photos[0]).shape == (48, 64, 3)


def test_val2017_is_taken_where_train2017_lies_beside_it(tmp_path: Path) -> None:
    for split in ("train2017", "val2017"):
        write_data(tmp_path, None, f"annotations/instances_{split}.json", split)
    assert load_dataset(str(tmp_path)).folder.name == "val2017"


def test_several_sets_without_val2017_are_named(tmp_path: Path) -> None:
    for split in ("one", "two"):
        write_data(tmp_path, None, f"annotations/instances_{split}.json", split)
    assert "one, two" in wrong(tmp_path)


def test_a_name_is_looked_up_in_the_data_folder_and_a_path_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_data(tmp_path / "store" / "porch")
    environ = {"SOTEIRA_DATA": str(tmp_path / "store")}
    monkeypatch.chdir(tmp_path)
    assert load_dataset("porch", environ).folder == tmp_path / "store" / "porch" / "images"
    write_data(tmp_path / "porch")
    assert load_dataset("porch", environ).folder == tmp_path / "porch" / "images"


def test_an_unknown_name_tells_where_it_was_looked_for(tmp_path: Path) -> None:
    assert "set $SOTEIRA_DATA" in wrong("no-such-data")
    assert str(tmp_path) in wrong("no-such-data", {"SOTEIRA_DATA": str(tmp_path)})


def test_a_folder_without_coco_data_and_a_file_are_told_what_is_needed(tmp_path: Path) -> None:
    assert "no COCO data" in wrong(tmp_path)
    assert "this is a file" in wrong(write_data(tmp_path) / "instances.json")


def test_annotations_without_their_picture_folder_are_told(tmp_path: Path) -> None:
    (tmp_path / "instances.json").write_text("{}")
    assert "the folder `images`" in wrong(tmp_path)


OBJECT = document()["annotations"][0]


@pytest.mark.parametrize(("content", "told"), [
    ("{", "Invalid JSON"),
    ("", "Invalid JSON"),
    ([], "not annotations in COCO's format"),
    ({"images": []}, "images"),
    (document(annotations=[]), "annotations"),
    (document(annotations=[OBJECT | {"bbox": [1, 2, 3]}]), "annotations.0.bbox.3"),
    (document(annotations=[OBJECT | {"bbox": [1, 2, -3, 4]}]), "annotations.0.bbox.2"),
    (document(annotations=[OBJECT | {"image_id": 99}]), "image 99"),
    (document(annotations=[OBJECT | {"category_id": 5}]), "category 5"),
    (document(annotations=[OBJECT | {"iscrowd": 1}]), "only crowds"),
    (document(images=document()["images"] * 2), "image id 7 is there twice"),
    (document(categories=[{"id": 1, "name": "cat"}, {"id": 17, "name": "cat"}]), "category name cat is there twice"),
])  # fmt: skip
def test_annotations_that_are_wrong_are_told_with_the_place(tmp_path: Path, content: Any, told: str) -> None:
    message = wrong(write_data(tmp_path, content))
    assert told in message and "instances.json" in message


def test_missing_pictures_are_counted_before_anything_runs(tmp_path: Path) -> None:
    images = [*document()["images"], {"id": 8, "width": 5, "height": 5, "file_name": "gone.jpg"}]
    assert "1 of 2 pictures" in (told := wrong(write_data(tmp_path, document(images=images)))) and "gone.jpg" in told


def test_a_picture_that_is_none_and_one_of_another_size_are_named(tmp_path: Path) -> None:
    data = load_dataset(str(write_data(tmp_path)))
    cv2.imwrite(str(data.folder / "a.png"), np.zeros((24, 32, 3), np.uint8))
    with pytest.raises(SoteiraError, match=r"a\.png: the picture has 32x24 pixels, .* 64x48"):
        data.read(data.photos[0])
    (data.folder / "a.png").write_bytes(b"no picture")
    with pytest.raises(SoteiraError, match=r"a\.png: this file cannot be read as a picture"):
        data.read(data.photos[0])


def test_segments_and_licences_are_not_kept(tmp_path: Path) -> None:
    content = document(annotations=[OBJECT | {"segmentation": [[1, 2, 3, 4]]}], licenses=[{"id": 1}])
    data = load_dataset(str(write_data(tmp_path, content)))
    assert not hasattr(data.objects[0], "segmentation")
