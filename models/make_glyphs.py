# SPDX-License-Identifier: Apache-2.0
"""Draws the data set "glyphs": ten kinds of symbol in clutter, as small RGB images.

    /usr/bin/python3 make_glyphs.py [--out DIR] [--sheet contact_sheet.png]

Writes glyphs_train.npz and glyphs_test.npz, each with `images` uint8 [N,3,24,24] and `labels` int64 [N].
Each image depends only on (seed, split, index). Every group of ten images holds each class once, in random
order, so that any prefix is a fair sample. Everything is drawn here from formulas: no fonts, no other data.
"""

import argparse
import hashlib
import os

import numpy as np

CLASSES = ["ring", "cross", "star", "arrow", "spiral", "zigzag", "grid", "crescent", "heart", "hourglass"]
SIZE = 24  # pixels a side
OVERSAMPLE = 4  # coverage is the mean of 4x4 points a pixel
LEVELS = 16  # grey levels a channel: keeps the noise and still compresses
SEED = 20240611
SPLITS = {"train": 6000, "test": 2000}

_axis = (np.arange(SIZE * OVERSAMPLE) + 0.5) / OVERSAMPLE
GRID_X, GRID_Y = np.meshgrid(_axis, _axis)


class Random:
    """Only uniform draws are taken from numpy: of its distributions these are the ones least likely to change."""

    def __init__(self, *key):
        self.generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))

    def between(self, low, high, shape=None):
        return low + (high - low) * self.generator.random(shape)

    def chance(self, probability):
        return self.generator.random() < probability

    def whole(self, low, high):
        """An integer in [low, high]."""
        return low + int(self.generator.random() * (high - low + 1))

    def order(self, count):
        return np.argsort(self.generator.random(count), kind="stable")


# --- the symbols: masks over a plane in which the symbol fills about the unit disc -------------------------


def segment(x, y, x0, y0, x1, y1, half_width):
    dx, dy = x1 - x0, y1 - y0
    along = np.clip(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
    return (x - x0 - along * dx) ** 2 + (y - y0 - along * dy) ** 2 < half_width**2


def ring(x, y, r, stroke):
    return np.abs(np.hypot(x, y) - 0.82) < stroke


def cross(x, y, r, stroke):
    lift = r.between(-0.25, 0.25)
    upright = (np.abs(x) < stroke) & (np.abs(y) < 0.95)
    return upright | ((np.abs(y - lift) < stroke) & (np.abs(x) < 0.95))


def star(x, y, r, stroke):
    points, inner = r.whole(5, 6), r.between(0.36, 0.52)
    sector = np.pi / points
    angle = np.abs((np.arctan2(y, x) % (2 * sector)) - sector)  # 0 in a notch, `sector` on a tip
    radius = np.hypot(x, y)
    u, v = radius * np.cos(sector - angle), radius * np.sin(sector - angle)  # the tip lies at (1, 0)
    notch_u, notch_v = inner * np.cos(sector), inner * np.sin(sector)
    return (u - 1) * notch_v + v * (1 - notch_u) < 0


def arrow(x, y, r, stroke):
    barb, length = r.between(0.5, 0.75), r.between(0.5, 0.75)
    shaft = segment(x, y, -0.9, 0, 0.8, 0, stroke)
    if r.chance(0.5):
        return shaft | ((x > 0.95 - length) & (np.abs(y) < (0.95 - x) * barb / length))
    open_head = segment(x, y, 0.9, 0, 0.9 - length, barb, stroke) | segment(x, y, 0.9, 0, 0.9 - length, -barb, stroke)
    return shaft | open_head


def spiral(x, y, r, stroke):
    turns, phase = r.between(1.7, 2.4), r.between(0, 1)
    turn = np.arctan2(y, x) / (2 * np.pi) + phase
    radius = np.hypot(x, y) * turns / 0.95  # in turns of the spiral's arm
    winding = np.round(radius - turn) + turn  # the arm nearest to this point
    return (np.abs(radius - winding) * 0.95 / turns < stroke * 0.75) & (winding > 0.2) & (winding < turns)


def zigzag(x, y, r, stroke):
    bends, height = r.whole(3, 5), r.between(0.35, 0.6)
    knots = np.linspace(-0.95, 0.95, bends + 1)
    mask = np.zeros(x.shape, bool)
    for i in range(bends):
        y0, y1 = (height, -height) if i % 2 else (-height, height)
        mask |= segment(x, y, knots[i], y0, knots[i + 1], y1, stroke * 0.8)
    return mask


def grid(x, y, r, stroke):
    bars = np.array([-0.35, 0.35]) if r.chance(0.5) else np.array([-0.65, 0.0, 0.65])
    gap_x = np.abs(x[..., None] - bars).min(-1)
    gap_y = np.abs(y[..., None] - bars).min(-1)
    inside = (np.abs(x) < 0.9) & (np.abs(y) < 0.9)
    return inside & ((gap_x < stroke * 0.7) | (gap_y < stroke * 0.7))


def crescent(x, y, r, stroke):
    bite, shift = r.between(0.7, 0.85), r.between(0.4, 0.6)
    return (np.hypot(x, y) < 0.95) & (np.hypot(x - shift, y) > bite)


def heart(x, y, r, stroke):
    half = 0.76  # a square on its corner, and a disc on each of its upper edges
    lobe = np.hypot(np.abs(x) - half / 2, y + 0.15 - half / 2) < half / np.sqrt(2)
    return lobe | (np.abs(x) + np.abs(y + 0.15) < half)


def hourglass(x, y, r, stroke):
    waist, flare = r.between(0.02, 0.14), r.between(0.65, 0.9)
    return (np.abs(y) < 0.88) & (np.abs(x) < waist + np.abs(y) * flare)


DRAW = [ring, cross, star, arrow, spiral, zigzag, grid, crescent, heart, hourglass]
CAN_BE_HOLLOW = {"star", "heart"}  # an hourglass without its inside would be two bars


# --- the picture around them -----------------------------------------------------------------------------


def place(r, radius, centre):
    """Coordinates turned, stretched and sheared into the symbol's own plane, and mirrored half of the time."""
    turn, stretch, shear = r.between(0, 2 * np.pi), r.between(0.8, 1.25), r.between(-0.25, 0.25)
    dx, dy = (GRID_X - centre[0]) / radius, (GRID_Y - centre[1]) / radius
    x = (np.cos(turn) * dx + np.sin(turn) * dy) * stretch
    y = (np.cos(turn) * dy - np.sin(turn) * dx) / stretch
    return (-x if r.chance(0.5) else x) + shear * y, y


def symbol(r, label):
    radius = r.between(6.0, 10.5)
    reach = max(SIZE / 2 - 0.85 * radius, 1.0)
    centre = SIZE / 2 + r.between(-reach, reach, 2)
    x, y = place(r, radius, centre)
    stroke = max(r.between(0.09, 0.22), 0.75 / radius)
    shape_key = r.whole(0, 2**31)
    mask = DRAW[label](x, y, Random(shape_key), stroke)
    if CLASSES[label] in CAN_BE_HOLLOW and r.chance(0.4):
        mask &= ~DRAW[label](x * 1.6, y * 1.6, Random(shape_key), stroke)
    return mask


def clutter(r):
    """A bar, a blob, an arc or a wedge anywhere: the parts that symbols are made of."""
    x, y = place(r, r.between(2.0, 9.0), r.between(0, SIZE, 2))
    kind, stroke = r.whole(0, 3), r.between(0.12, 0.3)
    if kind == 0:
        return segment(x, y, -1, 0, 1, 0, stroke)
    if kind == 1:
        return np.hypot(x, y) < 0.6
    if kind == 2:
        return (np.abs(np.hypot(x, y) - 0.8) < stroke) & (np.abs(np.arctan2(y, x)) < r.between(0.6, 2.2))
    return (np.abs(y) < 0.7) & (np.abs(x) < 0.35 - 0.5 * y)


def occluder(r, mask):
    """Clutter that hides a part of the symbol, never more than a quarter of it."""
    for _ in range(8):
        cover = clutter(r)
        hidden = (cover & mask).sum() / max(mask.sum(), 1)
        if 0.05 < hidden < 0.25:
            return cover
    return np.zeros_like(mask)


def two_colours(r):
    """Background and ink, apart by a contrast that is sometimes low."""
    while True:
        back, ink = r.between(0, 1, 3), r.between(0, 1, 3)
        if 0.3 < np.abs(back - ink).mean() < 0.75:
            return back, ink


def paint(canvas, mask, colour, opacity=1.0):
    return np.where(mask[None], canvas * (1 - opacity) + colour[:, None, None] * opacity, canvas)


def picture(label, *key):
    r = Random(*key)
    back, ink = two_colours(r)
    slope = r.between(-0.012, 0.012, (3, 2))
    canvas = back[:, None, None] + slope[:, 0, None, None] * (GRID_X - SIZE / 2) + slope[:, 1, None, None] * (GRID_Y - SIZE / 2)
    for _ in range(r.whole(1, 6)):
        near_ink = r.chance(0.15)
        colour = ink + r.between(-0.1, 0.1, 3) if near_ink else back + r.between(-0.4, 0.4, 3)
        canvas = paint(canvas, clutter(r), colour, r.between(0.3, 0.9))
    mask = symbol(r, label)
    canvas = paint(canvas, mask, ink, r.between(0.75, 1.0))
    for _ in range(r.whole(0, 2)):
        colour = back + r.between(-0.35, 0.35, 3)
        canvas = paint(canvas, occluder(r, mask), colour)

    pixels = canvas.reshape(3, SIZE, OVERSAMPLE, SIZE, OVERSAMPLE).mean((2, 4))
    pixels = pixels + r.between(0.0, 0.10) * r.between(-1, 1, (1, SIZE, SIZE))  # grain, equal in R, G and B
    specks = r.between(0, 1, (SIZE, SIZE)) < r.between(0, 0.04)
    pixels = np.where(specks, r.between(0, 1, (3, SIZE, SIZE)), pixels)
    steps = np.floor(np.clip(pixels, 0, 1) * (LEVELS - 1) + 0.5)
    return (steps * (255 // (LEVELS - 1))).astype(np.uint8)


# --- files -----------------------------------------------------------------------------------------------


def make_split(number, count):
    kinds = len(CLASSES)
    labels = np.concatenate([Random(SEED, number, 0, group).order(kinds) for group in range(-(-count // kinds))])
    labels = labels[:count].astype(np.int64)
    images = np.stack([picture(int(label), SEED, number, 1, i) for i, label in enumerate(labels)])
    return images, labels


def contact_sheet(images, labels, path, rows=12, zoom=2):
    """One column a class, in the order of CLASSES."""
    from PIL import Image

    cell = SIZE * zoom + 2
    sheet = Image.new("RGB", (len(CLASSES) * cell, rows * cell), "white")
    for column in range(len(CLASSES)):
        for row, image in enumerate(images[labels == column][:rows]):
            tile = Image.fromarray(image.transpose(1, 2, 0).copy()).resize((SIZE * zoom, SIZE * zoom), Image.NEAREST)
            sheet.paste(tile, (column * cell + 1, row * cell + 1))
    sheet.save(path, optimize=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=os.path.dirname(os.path.abspath(__file__)), help="folder to write to")
    parser.add_argument("--sheet", help="also write a PNG with twelve samples of each class of the test split")
    arguments = parser.parse_args()
    for number, (split, count) in enumerate(SPLITS.items()):
        images, labels = make_split(number, count)
        path = os.path.join(arguments.out, f"glyphs_{split}.npz")
        np.savez_compressed(path, images=images, labels=labels)
        for name, array in (("images", images), ("labels", labels)):
            print(f"{split}.{name} {array.dtype} {list(array.shape)} sha256 {hashlib.sha256(array.tobytes()).hexdigest()}")
        print(f"{path}: {os.path.getsize(path)} bytes")
        if split == "test" and arguments.sheet:
            contact_sheet(images, labels, arguments.sheet)


if __name__ == "__main__":
    main()
