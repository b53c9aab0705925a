"""Photographs and their ground truth in COCO's format, read and checked before a model runs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeFloat, ValidationError

from soteirad.detect.preprocess import Picture
from soteirad.errors import SoteiraError

VARIABLE = "SOTEIRA_DATA"

_LAYOUTS = (
    "`instances.json` with `images/`, or COCO's own `annotations/instances_val2017.json` with `val2017/` or "
    "`images/val2017/`"
)


class _Part(BaseModel):
    """Other keys of COCO (segments, licences) are dropped while parsing: of the whole val2017 they are most of it."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Photo(_Part):
    """One photograph."""

    id: int
    file_name: str = Field(min_length=1)
    width: int = Field(gt=0)
    height: int = Field(gt=0)


class Label(_Part):
    """One label of the data and its number there."""

    id: int
    name: str = Field(min_length=1)


class Annotated(_Part):
    """One object, or a crowd; `bbox` is x, y, width, height in pixels, `area` what sorts it into small to large."""

    image_id: int
    category_id: int
    bbox: tuple[FiniteFloat, FiniteFloat, NonNegativeFloat, NonNegativeFloat]
    area: float | None = None
    iscrowd: int = 0


class _File(_Part):
    images: list[Photo] = Field(min_length=1)
    categories: list[Label] = Field(min_length=1)
    annotations: list[Annotated] = Field(min_length=1)


@dataclass(frozen=True)
class Dataset:
    """Photographs in `folder`, what is on them, and the labels' numbers by name."""

    name: str
    folder: Path
    photos: tuple[Photo, ...]
    labels: Mapping[str, int]
    objects: tuple[Annotated, ...]

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many objects (crowds are none) there are of each label that has any."""
        counted = Counter(o.category_id for o in self.objects if not o.iscrowd)
        return {name: counted[number] for name, number in self.labels.items() if counted[number]}

    def read(self, photo: Photo) -> Picture:
        """Return a photograph as BGR. Raises SoteiraError when it cannot be read or has not the annotated size."""
        path = self.folder / photo.file_name
        # The boxes were drawn on the stored pixels, whatever way up a camera said they are.
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if picture is None:
            raise SoteiraError(f"{path}: this file cannot be read as a picture")
        if picture.shape[:2] != (photo.height, photo.width):
            raise SoteiraError(
                f"{path}: the picture has {picture.shape[1]}x{picture.shape[0]} pixels, its annotations were made for "
                f"{photo.width}x{photo.height}: use the original picture"
            )
        return np.asarray(picture, np.uint8)


def load_dataset(data: str, environ: Mapping[str, str] = os.environ) -> Dataset:
    """Load a folder of COCO data, by path or by its name in the folder $SOTEIRA_DATA. Raises SoteiraError."""
    root = _find(data, environ)
    annotations, folder = _layout(root)
    content = _parse(annotations)
    _check(content, annotations)
    missing = [p.file_name for p in content.images if not (folder / p.file_name).is_file()]
    if missing:
        raise SoteiraError(
            f"{folder}: {len(missing)} of {len(content.images)} pictures named in {annotations.name} are not there, "
            f"the first is {missing[0]}"
        )
    return Dataset(root.name, folder, tuple(sorted(content.images, key=lambda p: p.id)),
                   {c.name: c.id for c in content.categories}, tuple(content.annotations))  # fmt: skip


def _find(data: str, environ: Mapping[str, str]) -> Path:
    path = Path(data).expanduser()
    if not path.exists() and environ.get(VARIABLE):
        path = Path(environ[VARIABLE]).expanduser() / data
    if path.is_dir():
        return path.resolve()
    if path.exists():
        raise SoteiraError(f"{path}: this is a file: give the folder that holds {_LAYOUTS}")
    if environ.get(VARIABLE):
        raise SoteiraError(f"{data}: there is no such folder, neither here nor in {environ[VARIABLE]} (${VARIABLE})")
    raise SoteiraError(f"{data}: there is no such folder: give a path, or set ${VARIABLE} to where your data is")


def _layout(root: Path) -> tuple[Path, Path]:
    """Return the annotation file and the picture folder of a data set."""
    if (root / "instances.json").is_file():
        if not (root / "images").is_dir():
            raise SoteiraError(f"{root}: instances.json is there, the folder `images` with its pictures is not")
        return root / "instances.json", root / "images"
    found: dict[str, tuple[Path, Path]] = {}
    for file in sorted((root / "annotations").glob("instances_*.json")):
        split = file.stem.removeprefix("instances_")
        folders = [f for f in (root / split, root / "images" / split) if f.is_dir()]
        if folders:
            found[split] = (file, folders[0])
    if "val2017" in found:
        return found["val2017"]
    if len(found) == 1:
        return next(iter(found.values()))
    several = f": there are several ({', '.join(found)}), and none is val2017" if found else ""
    raise SoteiraError(f"{root}: no COCO data was found here{several}: it needs {_LAYOUTS}")


def _parse(path: Path) -> _File:
    try:
        return _File.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SoteiraError(f"{path}: the annotations cannot be read ({error.strerror})") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise SoteiraError(
            f"{path}: these are not annotations in COCO's format: {f'{where}: ' if where else ''}{first['msg']}"
        ) from None


def _check(content: _File, path: Path) -> None:
    """Raise SoteiraError when numbers point nowhere or nothing can be found."""
    photos, labels = {p.id for p in content.images}, {c.id for c in content.categories}
    for what, ids in (("image id", [p.id for p in content.images]), ("category id", [c.id for c in content.categories]),
                      ("category name", [c.name for c in content.categories])):  # fmt: skip
        twice = _first_twice(ids)
        if twice is not None:
            raise SoteiraError(f"{path}: the {what} {twice} is there twice")
    for o in content.annotations:
        if o.image_id not in photos:
            raise SoteiraError(f"{path}: an annotation names image {o.image_id}, which is not there")
        if o.category_id not in labels:
            raise SoteiraError(f"{path}: an annotation names category {o.category_id}, which is not there")
    if all(o.iscrowd for o in content.annotations):
        raise SoteiraError(f"{path}: no objects are annotated, only crowds: there is nothing to find")


def _first_twice(values: Iterable[int | str]) -> int | str | None:
    return next((v for v, n in Counter(values).items() if n > 1), None)
