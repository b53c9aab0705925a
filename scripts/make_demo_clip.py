"""Compose the demo clip and its ground truth from public-domain photographs.

A fixed camera looks at a hallway that does not exist. Two people and a cat visit it, one after another, and
once a lamp goes on. The visitors are cut out of photographs that scikit-image carries in its wheel, so that
nothing is downloaded and everything can be passed on (see ``tests/data/NOTICE``). Since the picture is
composed, the truth is known to the frame and the pixel; it is written beside the clip as ``demo.json``.

The truth of a visit, where every time is the media time of a frame, in seconds (frame number / fps):

``first_visible``
    the first frame that has any part of the object's box
``entered``
    the first frame that has at least half of the box
``fully_visible``
    the first frame that has the whole box
``still_from``, ``still_to``
    the first and the last frame in which the object stands still
``left``
    the first later frame that has less than half of the box
``gone``
    the first frame after the visit that has none of the box
``boxes``
    ``[frame, x1, y1, x2, y2]`` in pixels for every frame with some of it, clipped to the frame

The visitors are half-length portraits: what the frame's lower edge cuts off, a few pixels, is not counted
as part of the box. ``lighting_change`` is the first frame under the lamp. Usage, with the same bytes from
the same packages:

    python scripts/make_demo_clip.py [--out DIR]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

WIDTH, HEIGHT, FPS = 640, 360, 10
SEED = 20240229
NOISE_SIGMA, NOISE_GRAIN = 2.6, 1.5  # grey levels, pixels; finer noise would not survive the coding
DRIFT = 0.03  # the day gets brighter by this much from the first frame to the last
LAMP_AT, LAMP_GAIN = 36.5, 1.25
DURATION = 65.5
CRF = 28
WALKING_SPEED = 130  # pixels per second
STRIDE_SECONDS, BOB_PIXELS = 0.6, 4.0

FloatImage = NDArray[np.float32]
Box = tuple[int, int, int, int]
Route = tuple[tuple[float, int], ...]  # (media time, left edge of the box) at each turning point

# Outlines of the subjects in pixels of the photographs, without the helmet, the tripod and the background.
ASTRONAUT = [
    (201, 23), (175, 38), (155, 61), (154, 92), (163, 113), (179, 122), (184, 148), (160, 150), (139, 159),
    (122, 181), (115, 203), (74, 238), (39, 300), (26, 343), (19, 410), (24, 430), (286, 430), (306, 386),
    (336, 358), (362, 346), (356, 303), (345, 272), (338, 260), (304, 236), (300, 215), (281, 188),
    (257, 176), (262, 150), (272, 130), (294, 111), (300, 92), (296, 59), (288, 43), (277, 32), (247, 18),
    (228, 16),
]  # fmt: skip
PHOTOGRAPHER = [
    (239, 78), (219, 69), (189, 71), (172, 88), (160, 104), (149, 108), (130, 124), (104, 129), (76, 143),
    (61, 161), (27, 220), (15, 235), (1, 258), (1, 511), (151, 511), (149, 411), (156, 387), (166, 370),
    (204, 303), (213, 297), (235, 309), (252, 310), (287, 288), (294, 272), (300, 252), (310, 233),
    (322, 224), (329, 211), (330, 177), (321, 164), (323, 142), (297, 141), (272, 148), (257, 134),
    (269, 124), (268, 110),
]  # fmt: skip
# The photograph ends at the cat's forehead: mirrored, it gives the fur for the missing tips of the ears.
CAT_MIRRORED_ROWS = 70
CAT_SATURATION, CAT_GAIN = 0.4, 0.85  # in full colour, detectors take a first sliver of fur for a person
CAT = [
    (41, 70), (36, 30), (44, 4), (66, 14), (104, 48), (150, 40), (230, 36), (300, 44), (338, 38), (364, 16),
    (372, 26), (380, 46), (393, 60), (396, 72), (379, 96), (372, 126), (358, 144), (363, 187), (362, 221),
    (340, 267), (343, 317), (333, 334), (336, 369), (1, 369), (1, 196), (11, 190), (30, 169), (34, 129),
    (32, 110),
]  # fmt: skip


@dataclass(frozen=True)
class Sprite:
    """A cut-out: its colours (BGR, 0-255) and its opacity (0-1)."""

    colour: FloatImage
    alpha: FloatImage


@dataclass(frozen=True)
class Visit:
    """Who comes, and where to: in, standing still between the route's second and third point, and out."""

    label: str
    photograph: str
    sprite: Sprite
    route: Route

    def box(self, t: float) -> Box:
        """Give the box at media time t, unclipped, in whole pixels."""
        times, lefts = zip(*self.route, strict=True)
        height, width = self.sprite.alpha.shape
        still_from, still_to = times[1], times[2]
        walked = min(t, still_from) - still_from + max(t, still_to) - still_to
        bob = BOB_PIXELS * abs(np.sin(np.pi * walked / STRIDE_SECONDS))
        left = round(float(np.interp(t, times, lefts)))
        top = HEIGHT + round(BOB_PIXELS) - round(bob) - height
        return left, top, left + width, top + height

    def visible(self, t: float) -> bool:
        """Tell whether any of the box is inside the frame."""
        x1, _, x2, _ = self.box(t)
        return self.route[0][0] < t < self.route[-1][0] and x2 > 0 and x1 < WIDTH


def cut_out(photograph: NDArray[np.uint8], outline: list[tuple[int, int]], scale: float) -> Sprite:
    """Cut the outlined subject out of an RGB photograph, soften its edge and scale it."""
    points = np.array(outline, dtype=np.int32)
    mask = np.zeros(photograph.shape[:2], dtype=np.uint8)
    cv2.fillPoly(mask, [points], 255, lineType=cv2.LINE_AA)
    mask = cv2.GaussianBlur(cv2.erode(mask, np.ones((3, 3), np.uint8)), (0, 0), 1.6)
    x, y, width, height = cv2.boundingRect(points)
    part = np.s_[y : y + height, x : x + width]
    size = (round(width * scale), round(height * scale))
    colour = cv2.resize(photograph[part][..., ::-1].astype(np.float32), size, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(mask[part].astype(np.float32) / 255, size, interpolation=cv2.INTER_AREA)
    return Sprite(colour, alpha)


def mute(photograph: NDArray[np.uint8], saturation: float, gain: float) -> NDArray[np.uint8]:
    """Take some colour and light out of a photograph, so that it suits the light of the hallway."""
    grey = photograph.mean(axis=2, keepdims=True)
    return np.rint(gain * (grey + saturation * (photograph - grey))).astype(np.uint8)


def make_visits() -> list[Visit]:
    """Cut the three visitors out and give each its route."""
    grey = np.repeat(data.camera()[..., None], 3, axis=2)
    chelsea = mute(data.chelsea(), CAT_SATURATION, CAT_GAIN)
    mirrored = np.concatenate([chelsea[CAT_MIRRORED_ROWS:0:-1], chelsea])
    astronaut = cut_out(data.astronaut(), ASTRONAUT, 0.56)
    photographer = cut_out(grey, PHOTOGRAPHER, 0.55)
    cat = cut_out(mirrored, CAT, 0.58)
    return [
        Visit("person", "astronaut", astronaut, pass_by(astronaut, start=6.0, stop_at=240, pause=20.0)),
        Visit("person", "camera", photographer, pass_by(photographer, start=41.5, stop_at=230, pause=3.0)),
        Visit("cat", "chelsea", cat, look_in(cat, start=53.9, stop_at=60, pause=4.0)),
    ]


def pass_by(sprite: Sprite, start: float, stop_at: int, pause: float) -> Route:
    """Walk in from the left, stand, and walk out to the right."""
    width = sprite.alpha.shape[1]
    still_from = start + seconds_for(width + stop_at)
    still_to = still_from + pause
    gone = still_to + seconds_for(WIDTH - stop_at)
    return (start, -width), (still_from, stop_at), (still_to, stop_at), (gone, WIDTH)


def look_in(sprite: Sprite, start: float, stop_at: int, pause: float) -> Route:
    """Walk in from the left, stand, and go back to the left."""
    width = sprite.alpha.shape[1]
    walk = seconds_for(width + stop_at)
    still_to = start + walk + pause
    return (start, -width), (start + walk, stop_at), (still_to, stop_at), (still_to + walk, -width)


def seconds_for(pixels: int) -> float:
    """Give the time that a walk takes, in whole frames."""
    return round(pixels / WALKING_SPEED * FPS) / FPS


def rectangle(picture: FloatImage, box: Box, colour: tuple[int, int, int], edge: int = 0) -> None:
    """Fill a box, with a darker line around it if asked to."""
    x1, y1, x2, y2 = box
    cv2.rectangle(picture, (x1, y1), (x2, y2), colour, cv2.FILLED)
    if edge:
        darker = tuple(int(channel * 0.65) for channel in colour)
        cv2.rectangle(picture, (x1, y1), (x2, y2), darker, edge, cv2.LINE_AA)


def texture(rng: np.random.Generator, grain: float, strength: float) -> FloatImage:
    """Give smooth random unevenness of the given grain (pixels) and standard deviation."""
    field = cv2.GaussianBlur(rng.standard_normal((HEIGHT, WIDTH), dtype=np.float32), (0, 0), grain)
    return field * np.float32(strength / field.std())


def draw_hallway(rng: np.random.Generator) -> FloatImage:
    """Draw the empty scene: a papered wall, a door, a window, a picture, coat hooks, and a tiled floor."""
    floor = 262
    scene = np.empty((HEIGHT, WIDTH, 3), dtype=np.float32)
    scene[:] = (142, 158, 164)
    scene[:, ::32] -= 9  # the seams of the wallpaper
    scene[floor:] = (84, 98, 112)
    for x in range(-1200, WIDTH + 1200, 90):  # tiles, in perspective
        cv2.line(scene, (320 + (x - 320) // 3, floor), (x, HEIGHT), (66, 78, 90), 1, cv2.LINE_AA)
    for y in (272, 286, 306, 334):
        cv2.line(scene, (0, y), (WIDTH, y), (66, 78, 90), 1, cv2.LINE_AA)
    rectangle(scene, (0, floor - 12, WIDTH, floor), (172, 182, 186), 1)  # the skirting board
    rectangle(scene, (452, 40, 586, floor), (176, 186, 190), 2)  # the door's frame, the door, its panels
    rectangle(scene, (462, 50, 576, floor), (74, 96, 128), 2)
    for panel in ((474, 64, 514, 140), (524, 64, 564, 140), (474, 158, 514, 246), (524, 158, 564, 246)):
        rectangle(scene, panel, (80, 104, 138), 2)
    rectangle(scene, (466, 146, 476, 152), (150, 170, 180), 1)
    rectangle(scene, (48, 36, 148, 150), (178, 186, 188), 2)  # the window
    for pane in ((56, 44, 95, 90), (101, 44, 140, 90), (56, 96, 95, 142), (101, 96, 140, 142)):
        rectangle(scene, pane, (186, 180, 166), 1)
    rectangle(scene, (250, 56, 350, 126), (60, 76, 92), 2)  # a picture of fields under a sky
    rectangle(scene, (258, 64, 342, 118), (168, 160, 140))
    rectangle(scene, (258, 94, 342, 118), (92, 128, 112))
    rectangle(scene, (196, 150, 410, 158), (70, 88, 108), 1)  # the rail of the coat hooks
    for x in range(212, 410, 38):
        rectangle(scene, (x, 158, x + 4, 168), (58, 66, 74))
    scene = cv2.GaussianBlur(scene, (0, 0), 0.7)
    scene += (texture(rng, 1.2, 2.5) + texture(rng, 12, 2.5))[..., None]
    light = np.linspace(1.06, 0.92, WIDTH, dtype=np.float32)  # from the window
    return scene * light[None, :, None]


def paste(picture: FloatImage, sprite: Sprite, box: Box) -> None:
    """Put a sprite onto the picture, as far as it is inside."""
    x1, y1, x2, y2 = clip(box)
    part = np.s_[y1 - box[1] : y2 - box[1], x1 - box[0] : x2 - box[0]]
    alpha = sprite.alpha[part][..., None]
    target = picture[y1:y2, x1:x2]
    target += alpha * (sprite.colour[part] - target)


def clip(box: Box) -> Box:
    """Clip a box to the frame."""
    x1, y1, x2, y2 = box
    return max(0, x1), max(0, y1), min(WIDTH, x2), min(HEIGHT, y2)


def compose(visits: list[Visit], frames: int) -> Iterator[NDArray[np.uint8]]:
    """Yield the clip's frames, BGR."""
    rng = np.random.default_rng(SEED)
    hallway = draw_hallway(rng)
    for index in range(frames):
        t = index / FPS
        picture = hallway.copy()
        for visit in visits:
            if visit.visible(t):
                paste(picture, visit.sprite, visit.box(t))
        picture *= (1 + DRIFT * index / frames) * (LAMP_GAIN if t >= LAMP_AT else 1.0)
        picture += texture(rng, NOISE_GRAIN, NOISE_SIGMA)[..., None]
        yield np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def encode(path: Path, pictures: Iterator[NDArray[np.uint8]]) -> None:
    """Write an H.264 file that any browser plays; one thread, so that it is reproducible."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        stream.options = {"crf": str(CRF), "preset": "slow", "tune": "grain", "threads": "1", "g": "100"}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))


def share_inside(box: Box) -> float:
    """Give the share of the box that is inside the frame; what is below its lower edge does not count."""
    x1, _, x2, _ = box
    return max(0, min(WIDTH, x2) - max(0, x1)) / (x2 - x1)


def truth_of(visit: Visit, frames: int) -> dict[str, Any]:
    """Describe a visit; the module's docstring defines the fields."""
    seen = [index for index in range(frames) if visit.visible(index / FPS)]
    shares = {index: share_inside(visit.box(index / FPS)) for index in seen}
    entered = next(index for index in seen if shares[index] >= 0.5)
    marks = {
        "first_visible": seen[0],
        "entered": entered,
        "fully_visible": next(index for index in seen if shares[index] == 1.0),
        "still_from": round(visit.route[1][0] * FPS),
        "still_to": round(visit.route[2][0] * FPS),
        "left": next(index for index in seen if index > entered and shares[index] < 0.5),
        "gone": seen[-1] + 1,
    }
    return {
        "label": visit.label,
        "photograph": visit.photograph,
        **{name: index / FPS for name, index in marks.items()},
        "boxes": [[index, *clip(visit.box(index / FPS))] for index in seen],
    }


def main() -> None:
    """Write demo.mp4 and demo.json."""
    parser = argparse.ArgumentParser(description="Compose the demo clip and its ground truth.")
    default = Path(__file__).resolve().parent.parent / "tests" / "data"
    parser.add_argument("--out", type=Path, default=default, metavar="DIR", help="default: tests/data")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    visits, frames = make_visits(), round(DURATION * FPS)
    encode(out / "demo.mp4", compose(visits, frames))
    truth = {
        "clip": "demo.mp4",
        "fps": FPS,
        "frame_size": [WIDTH, HEIGHT],
        "frames": frames,
        "lighting_change": LAMP_AT,
        "visits": [truth_of(visit, frames) for visit in visits],
    }
    (out / "demo.json").write_text(json.dumps(truth, separators=(",", ":")) + "\n", encoding="utf-8")
    size = (out / "demo.mp4").stat().st_size
    print(f"{out / 'demo.mp4'}: {frames} frames, {size / 1e6:.2f} MB; the truth is in demo.json")


if __name__ == "__main__":
    main()
