"""What the tests of served models share: a tiny card, a server that answers for it, golden answers made on the spot."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from skimage import data

from soteirad.detect.backend import Outputs
from soteirad.detect.card import ModelCard, load_card
from soteirad.detect.detector import REFERENCE
from soteirad.detect.golden import golden_detector, make_answers, write_answers
from soteirad.resources import resource
from tests.bare_kserve import BareServer

WIDTH, HEIGHT = 64, 48
NAME = "nanodet-g-416"


def tiny_card(folder: Path, **changes: Any) -> ModelCard:
    """A card of a model that nobody has as a file: 64x48, end to end, three labels."""
    (folder / "labels.txt").write_text("person\ncat\ncar\n", encoding="utf-8")
    card = {
        "name": "tiny", "files": {"onnx": {"file": "tiny.onnx", "weights": "fp32"}}, "head": {"type": "end2end"},
        "input": {"width": WIDTH, "height": HEIGHT, "colour": "BGR", "resize": "stretch"}, "labels": "labels.txt",
        "folder": folder,
    }  # fmt: skip
    return ModelCard.model_validate({**card, **changes})


def tiny_answer(feeds: dict[str, np.ndarray]) -> Outputs:
    """A person and a cat; the brighter the picture, the surer."""
    score = 0.5 + float(feeds["image"].mean()) / 1000
    rows = [[4, 4, 20, 40, score, 0], [30, 10, 60, 30, score - 0.1, 1], [0, 0, 9, 9, 0.01, 2]]
    return {"found": np.array([rows], np.float32)}


def tiny_server(**changes: Any) -> BareServer:
    """A server for the tiny card, not started."""
    described = {"inputs": {"image": ("UINT8", [-1, HEIGHT, WIDTH, 3])}, "outputs": {"found": ("FP32", [-1, 3, 6])}}
    return BareServer(**{**described, "answer": tiny_answer, **changes})


class TinyBackend:
    """The tiny model as a local backend."""

    def load(self) -> Outputs:
        return self.infer(np.zeros((HEIGHT, WIDTH, 3), np.uint8))

    def infer(self, image: np.ndarray) -> Outputs:
        return tiny_answer({"image": image[None]})

    def close(self) -> None:
        pass


def tiny_golden_card(folder: Path, pictures: int = 2) -> ModelCard:
    """The tiny card with golden answers on noise."""
    card = tiny_card(folder, golden="answers.npz")
    detector = golden_detector(card, TinyBackend())
    detector.load()
    rng = np.random.default_rng(1)
    images = {f"noise{i}.png": rng.integers(0, 256, (60, 80, 3), np.uint8) for i in range(pictures)}
    for name, image in images.items():
        cv2.imwrite(str(folder / name), image)
    write_answers(folder / "answers.npz", make_answers(detector, images), "made for a test")
    return card


def shipped_golden_card(folder: Path) -> ModelCard:
    """A copy of the default model and its card with golden answers on two photographs."""
    shutil.copytree(resource("models"), folder, dirs_exist_ok=True)
    path = folder / f"{NAME}.yaml"
    text = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**text, "golden": "answers.npz"}), encoding="utf-8")
    images = {"astronaut.png": bgr(data.astronaut()), "chelsea.png": bgr(data.chelsea())}
    for name, image in images.items():
        cv2.imwrite(str(folder / name), image)
    card = load_card(str(path))
    detector = golden_detector(card, REFERENCE)
    detector.load()
    write_answers(folder / "answers.npz", make_answers(detector, images), str(REFERENCE))
    detector.close()
    return card


def bgr(rgb: np.ndarray) -> np.ndarray:
    """Return an RGB photograph as OpenCV has it."""
    return np.ascontiguousarray(rgb[:, :, ::-1])


def scaled(detector: Any, picture: np.ndarray) -> np.ndarray:
    """Return a picture at the size that a detector wants."""
    size = detector.picture_size(picture.shape[1], picture.shape[0])
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
