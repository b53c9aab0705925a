"""Compose the golden images, which every detector backend has to get right before it is used, and their truth.

Two pictures: a street and a room. Two people and a cat are cut out of photographs that scikit-image carries in
its wheel; signs, lights, clocks, balls and what is around them are drawn. So nothing is downloaded, everything can
be passed on (see ``models/golden/NOTICE``), and the truth is known to the pixel. Usage, with the same bytes from the
same packages:

    python scripts/make_golden.py [--out DIR]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from make_demo_clip import ASTRONAUT, CAT, CAT_MIRRORED_ROWS, PHOTOGRAPHER, FloatImage, Sprite, cut_out
from numpy.typing import NDArray
from skimage import data

SEED = 20240229
OVERSAMPLE = 4  # what is drawn is drawn larger and scaled down, for smooth edges
SUBPIXEL_BITS = 4
GRASS_CONTRAST = 0.35
Colour = tuple[float, float, float]
Point = tuple[float, float]


def arc(x: float, y: float, rx: float, ry: float, start: float, stop: float, turn: float = 0.0) -> list[Point]:
    """Give the points of a part of an ellipse; angles in degrees, clockwise from the right."""
    angles = np.radians(np.linspace(start, stop, 2 + int(abs(stop - start) / 5)))
    u, v = rx * np.cos(angles), ry * np.sin(angles)
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    return list(zip(x + u * cos - v * sin, y + u * sin + v * cos, strict=True))


def polar(x: float, y: float, radius: float, degrees: float) -> Point:
    """Give the point at a distance and in a direction."""
    return x + radius * float(np.cos(np.radians(degrees))), y + radius * float(np.sin(np.radians(degrees)))


# The strokes of each character in a box of 1 x 1: OpenCV's own letters changed from version 4 to 5.
GLYPHS: dict[str, list[list[Point]]] = {
    "S": [arc(0.5, 0.26, 0.5, 0.26, -25, -270) + arc(0.5, 0.74, 0.5, 0.26, -90, 155)],
    "T": [[(0, 0), (1, 0)], [(0.5, 0), (0.5, 1)]],
    "O": [arc(0.5, 0.5, 0.5, 0.5, 0, 360)],
    "P": [[(0, 1), (0, 0), (0.55, 0), *arc(0.55, 0.28, 0.42, 0.28, -90, 90), (0, 0.56)]],
    "0": [arc(0.5, 0.5, 0.5, 0.5, 0, 360)],
    "1": [[(0.2, 0.2), (0.55, 0), (0.55, 1)]],
    "2": [[*arc(0.5, 0.28, 0.45, 0.28, -170, 40), (0, 1), (1, 1)]],
    "3": [arc(0.45, 0.26, 0.45, 0.26, -150, 90) + arc(0.45, 0.75, 0.5, 0.25, -90, 150)],
    "4": [[(0.75, 1), (0.75, 0), (0, 0.7), (1, 0.7)]],
    "5": [[(0.9, 0), (0.15, 0), (0.1, 0.45), *arc(0.45, 0.68, 0.5, 0.32, -110, 150)]],
    "6": [[(0.8, 0), (0.1, 0.6), *arc(0.5, 0.7, 0.45, 0.3, 180, 540)]],
    "7": [[(0, 0), (1, 0), (0.35, 1)]],
    "8": [arc(0.5, 0.25, 0.4, 0.25, 0, 360), arc(0.5, 0.75, 0.48, 0.25, 0, 360)],
    "9": [[(0.2, 1), (0.9, 0.4), *arc(0.5, 0.3, 0.45, 0.3, 0, 360)]],
}
GLYPH_WIDTH, GLYPH_GAP = 0.58, 0.24  # of the height


class Drawing:
    """A sprite that is being drawn, in pixels of the finished one; colours are BGR, 0-255."""

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._colour = np.zeros((height * OVERSAMPLE, width * OVERSAMPLE, 3), np.float32)
        self._alpha = np.zeros((height * OVERSAMPLE, width * OVERSAMPLE), np.float32)

    def fill(self, points: Iterable[Point], colour: Colour) -> None:
        """Fill a polygon."""
        scaled = self._scaled(points)
        cv2.fillPoly(self._colour, [scaled], colour, cv2.LINE_8, SUBPIXEL_BITS)
        cv2.fillPoly(self._alpha, [scaled], (1.0,), cv2.LINE_8, SUBPIXEL_BITS)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        self.fill(arc(x, y, radius, radius, 0, 360), colour)

    def line(self, points: Iterable[Point], width: float, colour: Colour) -> None:
        """Draw a line over what is already drawn."""
        thickness = max(1, round(width * OVERSAMPLE))
        cv2.polylines(self._colour, [self._scaled(points)], False, colour, thickness, cv2.LINE_8, SUBPIXEL_BITS)

    def text(self, text: str, centre: Point, height: float, width: float, colour: Colour) -> None:
        """Write characters of GLYPHS around a point, in lines of a width."""
        step = height * (GLYPH_WIDTH + GLYPH_GAP)
        left = centre[0] - (len(text) * step - height * GLYPH_GAP) / 2
        top = centre[1] - height / 2
        for index, character in enumerate(text):
            for stroke in GLYPHS[character]:
                x = left + index * step
                self.line([(x + u * height * GLYPH_WIDTH, top + v * height) for u, v in stroke], width, colour)

    def light(self, x: float, y: float, radius: float, strength: float) -> None:
        """Brighten what is near a point and darken what is far from it, which makes it look round."""
        rows, columns = np.mgrid[: self._alpha.shape[0], : self._alpha.shape[1]] / np.float32(OVERSAMPLE)
        distance = np.hypot(columns - x, rows - y) / radius
        self._colour *= (1 + strength * (0.6 - np.clip(distance, 0, 1.6)))[..., None]
        np.clip(self._colour, 0, 255, out=self._colour)

    def finish(self) -> Sprite:
        """Scale the drawing down."""
        alpha = cv2.resize(self._alpha, self._size, interpolation=cv2.INTER_AREA)
        colour = cv2.resize(self._colour * self._alpha[..., None], self._size, interpolation=cv2.INTER_AREA)
        return Sprite(colour / np.maximum(alpha, 1e-6)[..., None], alpha)

    @staticmethod
    def _scaled(points: Iterable[Point]) -> NDArray[np.int32]:
        scale = OVERSAMPLE << SUBPIXEL_BITS
        return np.rint(np.array(list(points)) * scale).astype(np.int32)


def stop_sign(size: int) -> Sprite:
    """Draw a stop sign."""
    drawing, r = Drawing(size, size), size / 2
    for share, colour in ((1.08, (225, 225, 225)), (1.01, (40, 30, 190))):
        drawing.fill([polar(r, r, r * share, 22.5 + 45 * corner) for corner in range(8)], colour)
    drawing.text("STOP", (r, r), r * 0.5, r * 0.11, (240, 240, 240))
    drawing.light(r * 0.5, r * 0.4, r * 1.6, 0.3)
    return drawing.finish()


def traffic_light(height: int, lit: int) -> Sprite:
    """Draw a traffic light with one lamp lit, 0 for the red one to 2 for the green one."""
    width = round(height * 0.42)
    drawing, middle = Drawing(width, height), width / 2
    drawing.fill([(0, 0), (width, 0), (width, height), (0, height)], (28, 32, 30))
    x, y = width * 0.06, height * 0.02
    drawing.fill([(x, y), (width - x, y), (width - x, height - y), (x, height - y)], (38, 44, 42))
    for lamp, colour in enumerate(((50, 50, 250), (40, 190, 250), (120, 230, 60))):
        y, r = height * (0.19 + 0.31 * lamp), height * 0.12
        drawing.disc(middle, y - height * 0.015, r * 1.2, (14, 16, 15))
        blue, green, red = colour
        if lamp == lit:
            drawing.disc(middle, y, r, colour)
            drawing.disc(middle, y, r * 0.6, (blue + 70, min(255, green + 70), min(255, red + 70)))
        else:
            drawing.disc(middle, y, r, (blue * 0.22 + 12, green * 0.22 + 12, red * 0.22 + 12))
    return drawing.finish()


def football(size: int) -> Sprite:
    """Draw a football, which COCO calls a sports ball."""
    drawing, r = Drawing(size, size), size / 2
    black, seam = (32, 30, 30), (80, 80, 80)
    drawing.disc(r, r, r, (238, 238, 238))
    drawing.fill([polar(r, r, r * 0.36, 72 * corner - 90) for corner in range(5)], black)
    for patch in range(5):
        direction = 72 * patch - 90
        fork = polar(r, r, r * 0.64, direction)
        drawing.line([polar(r, r, r * 0.34, direction), fork], r * 0.06, seam)
        for side in (-36, 36):
            drawing.line([fork, polar(r, r, r * 0.74, direction + side)], r * 0.05, seam)
        x, y = polar(r, r, r * 0.84, direction)
        patch_corners = [arc(x, y, r * 0.15, r * 0.3, angle, angle, direction)[0] for angle in range(36, 360, 72)]
        # The patch goes on behind the rim; what is outside of it is drawn in to it.
        away = [max(1.0, np.hypot(u - r, v - r) / (r * 0.98)) for u, v in patch_corners]
        drawing.fill([(r + (u - r) / k, r + (v - r) / k) for (u, v), k in zip(patch_corners, away, strict=True)], black)
    drawing.light(r * 0.65, r * 0.55, r * 1.5, 0.5)
    return drawing.finish()


def clock(size: int, hour: int, minute: int) -> Sprite:
    """Draw a wall clock."""
    drawing, r = Drawing(size, size), size / 2
    for share, grey in ((1.0, 42), (0.95, 78), (0.87, 240)):
        drawing.disc(r, r, r * share, (grey - 2, grey, grey + 2))
    for mark in range(60):
        inner, width = (0.78, 0.03) if mark % 5 == 0 else (0.8, 0.012)
        drawing.line([polar(r, r, r * inner, 6 * mark), polar(r, r, r * 0.84, 6 * mark)], r * width, (40, 40, 40))
    for number in range(1, 13):
        drawing.text(str(number), polar(r, r, r * 0.66, 30 * number - 90), r * 0.17, r * 0.03, (30, 30, 30))
    for turn, length, width in ((30 * hour + minute / 2, 0.45, 0.07), (6 * minute, 0.7, 0.045)):
        hand = [polar(r, r, r * -0.1, turn - 90), polar(r, r, r * length, turn - 90)]
        drawing.line(hand, r * width, (20, 20, 20))
    drawing.disc(r, r, r * 0.06, (20, 20, 20))
    drawing.light(r * 0.6, r * 0.5, r * 1.8, 0.2)
    return drawing.finish()


def texture(rng: np.random.Generator, picture: FloatImage, grain: float, strength: float = 1.0) -> FloatImage:
    """Give smooth random unevenness of the given grain (pixels) and standard deviation, one number a pixel."""
    field = cv2.GaussianBlur(rng.standard_normal(picture.shape[:2], dtype=np.float32), (0, 0), grain)
    return (field * np.float32(strength / field.std()))[..., None]


def flip(sprite: Sprite) -> Sprite:
    """Swap left and right."""
    return Sprite(sprite.colour[:, ::-1], sprite.alpha[:, ::-1])


def between(first: Colour, second: Colour, share: FloatImage) -> FloatImage:
    """Mix two colours."""
    return np.array(first, np.float32) * (1 - share) + np.array(second, np.float32) * share


class Scene:
    """A picture under composition, and where its objects are."""

    def __init__(self, picture: FloatImage) -> None:
        self._picture = picture
        self.objects: list[dict[str, Any]] = []

    def put(self, label: str, sprite: Sprite, left: int, top: int) -> None:
        """Put an object into the picture; what is outside of the picture is cut off."""
        height, width = self._picture.shape[:2]
        x1, y1 = max(0, left), max(0, top)
        x2, y2 = min(width, left + sprite.alpha.shape[1]), min(height, top + sprite.alpha.shape[0])
        part = np.s_[y1 - top : y2 - top, x1 - left : x2 - left]
        alpha = sprite.alpha[part]
        target = self._picture[y1:y2, x1:x2]
        target += alpha[..., None] * (sprite.colour[part] - target)
        # What the picture's edge cuts off may have been the widest part, so the box is of what is left to see.
        rows, columns = np.nonzero(alpha.max(axis=1) > 0.5)[0], np.nonzero(alpha.max(axis=0) > 0.5)[0]
        box = [x1 + columns[0], y1 + rows[0], x1 + columns[-1] + 1, y1 + rows[-1] + 1]
        self.objects.append({"label": label, "box": [int(side) for side in box]})

    def post(self, x: int, top: int, bottom: int, width: int) -> None:
        """Put up a round grey post."""
        shade = 0.75 + 0.45 * np.sin(np.pi * (np.arange(width, dtype=np.float32) + 0.5) / width)
        self._picture[top:bottom, x : x + width] = shade[:, None] * np.array((120, 124, 126), np.float32)

    def shadow(self, x: int, y: int, rx: int, ry: int, strength: float) -> None:
        """Darken the ground below an object."""
        mask = np.zeros(self._picture.shape[:2], np.float32)
        cv2.ellipse(mask, (x, y), (rx, ry), 0, 0, 360, (strength,), cv2.FILLED)
        self._picture *= 1 - cv2.GaussianBlur(mask, (0, 0), ry / 2)[..., None]

    def finish(self) -> NDArray[np.uint8]:
        """Give the picture in whole grey levels."""
        return np.clip(np.rint(self._picture), 0, 255).astype(np.uint8)


def draw_meadow(width: int, height: int, horizon: int) -> FloatImage:
    """Draw a meadow, hills and a sky with some clouds."""
    rng = np.random.default_rng(SEED)
    picture = np.empty((height, width, 3), np.float32)
    rows = np.arange(height, dtype=np.float32)[:, None]
    picture[:] = between((235, 190, 150), (235, 228, 222), np.minimum(1, rows / horizon)[..., None])
    clouds = np.clip(texture(rng, picture, 26) - 0.2, 0, 1) * 0.7
    picture += clouds * (np.array((248, 246, 244), np.float32) - picture)
    columns = np.arange(width, dtype=np.float32)
    ridge = horizon - 38 - 18 * np.sin(columns / 61) - 12 * np.sin(columns / 23 + 1)
    hills = ((rows > ridge) & (rows < horizon)).astype(np.float32)
    green = np.array((52, 84, 70), np.float32) + texture(rng, picture, 9, 12) + texture(rng, picture, 3, 9)
    picture += cv2.GaussianBlur(hills, (0, 0), 1.5)[..., None] * (green - picture)
    grass = cv2.resize(data.grass().astype(np.float32), (width, height - horizon), interpolation=cv2.INTER_LINEAR)
    picture[horizon:] = np.array((70, 128, 108)) + GRASS_CONTRAST * (grass - grass.mean())[..., None]
    return picture


def draw_room(width: int, height: int, floor: int) -> FloatImage:
    """Draw a papered wall, a skirting board and a wooden floor."""
    rng = np.random.default_rng(SEED)
    picture = np.empty((height, width, 3), np.float32)
    picture[:] = (172, 186, 192)
    picture[:, ::40] -= 7
    picture[floor:] = (84, 112, 146)
    for y in range(floor, height, 22):
        picture[y : y + 1] -= 22
    picture[floor - 14 : floor] = (196, 204, 208)
    picture[floor - 1] -= 60
    picture += texture(rng, picture, 10, 2.5)
    return cv2.GaussianBlur(picture, (0, 0), 0.7) * np.linspace(1.08, 0.88, width, dtype=np.float32)[:, None]


def make_street() -> Scene:
    """Compose the first picture: an astronaut and a ball between signs and lights."""
    scene = Scene(draw_meadow(640, 480, 300))
    scene.post(66, 120, 390, 6)
    scene.put("stop sign", stop_sign(110), 14, 24)
    scene.post(183, 100, 350, 4)
    scene.put("traffic light", traffic_light(70, 0), 171, 40)
    scene.post(588, 140, 330, 4)
    scene.put("stop sign", stop_sign(46), 567, 99)
    scene.post(246, 160, 330, 3)
    scene.put("traffic light", traffic_light(64, 2), 234, 102)
    scene.put("person", cut_out(data.astronaut(), ASTRONAUT, 0.99), 274, 145)
    scene.shadow(71, 451, 32, 8, 0.45)
    scene.put("sports ball", football(64), 39, 389)
    return scene


def make_room() -> Scene:
    """Compose the second picture: a photographer and a large cat below clocks."""
    scene = Scene(draw_room(640, 360, 250))
    chelsea = data.chelsea()
    mirrored = np.concatenate([chelsea[CAT_MIRRORED_ROWS:0:-1], chelsea])
    photographer = np.repeat(data.camera()[..., None], 3, axis=2)
    scene.put("clock", clock(105, 10, 9), 54, 24)
    scene.put("clock", clock(48, 5, 7), 252, 36)
    scene.put("clock", clock(65, 2, 52), 530, 11)
    scene.put("cat", cut_out(mirrored, CAT, 0.787), 321, 70)
    scene.put("person", flip(cut_out(photographer, PHOTOGRAPHER, 0.43)), 52, 170)
    return scene


SCENES: dict[str, Callable[[], Scene]] = {"golden-1.png": make_street, "golden-2.png": make_room}


def main() -> None:
    """Write the pictures and truth.json."""
    parser = argparse.ArgumentParser(description="Compose the golden images and their ground truth.")
    default = Path(__file__).resolve().parent.parent / "models" / "golden"
    parser.add_argument("--out", type=Path, default=default, metavar="DIR", help="default: models/golden")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    truth = []
    for name, make in SCENES.items():
        scene = make()
        picture = scene.finish()
        height, width = picture.shape[:2]
        _, png = cv2.imencode(".png", picture, (cv2.IMWRITE_PNG_COMPRESSION, 9))
        (out / name).write_bytes(png.tobytes())
        truth.append({"file": name, "width": width, "height": height, "objects": scene.objects})
        print(f"{out / name}: {len(scene.objects)} objects, {len(png) / 1e6:.2f} MB")
    (out / "truth.json").write_text(json.dumps({"images": truth}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
