#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes golden/: small images, the pixels that Pillow decodes from them (pixels.npz), and what
Pillow's resize makes of some (resize.npz). Needs python3-pil and python3-numpy; run it in this
folder after changing it. The images in golden/ were made with Pillow 9.4."""
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image

GOLDEN = pathlib.Path(__file__).parent / "golden"
RESIZES = [(20, 30), (45, 30), (23, 61), (7, 5), (1, 1), (45, 61), (70, 64)]  # height, width


def scene(height, width):
    """Gradients, a disc, stripes and some noise: smooth parts, edges, saturated parts."""
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([255 * x / width, 255 * y / height, 128 + 127 * np.sin(x / 3)], axis=2)
    image[(y - height / 2) ** 2 + (x - width / 2) ** 2 < (height / 4) ** 2] = [250, 10, 0]
    image[:, ::8] = 255
    image += np.random.default_rng(1).normal(0, 8, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def noise(height, width):
    """Only 0 and 255: a cubic filter overshoots everywhere."""
    return np.random.default_rng(2).integers(0, 2, (height, width, 3)).astype(np.uint8) * 255


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, depth, color, interlaced, rows):
    """A PNG from unfiltered rows, for the kinds that Pillow does not write."""
    data = b"".join(b"\0" + row for row in rows)
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))


def adam7(pixels):
    """The rows of the seven passes of an interlaced image."""
    for y0, x0, dy, dx in [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]:
        for row in pixels[y0::dy, x0::dx]:
            if row.size:
                yield row.tobytes()


def write_jpegs(picture):
    image = Image.fromarray(picture)
    for name, options in {
        "color_420.jpg": {"subsampling": "4:2:0"},
        "color_422.jpg": {"subsampling": "4:2:2"},
        "color_444.jpg": {"subsampling": "4:4:4", "optimize": True},
        "progressive.jpg": {"progressive": True},
    }.items():
        image.save(GOLDEN / name, quality=85, **options)
    image.convert("L").save(GOLDEN / "gray.jpg", quality=85)
    image.convert("CMYK").save(GOLDEN / "cmyk.jpg", quality=85)


def write_pngs(picture):
    small = picture[:13, :18]
    image = Image.fromarray(small)
    image.save(GOLDEN / "rgb.png")
    image.convert("L").save(GOLDEN / "gray.png")
    image.convert("1").save(GOLDEN / "bits.png")
    image.quantize(11).save(GOLDEN / "palette.png")
    alpha = np.arange(small.shape[0] * small.shape[1], dtype=np.uint8).reshape(small.shape[:2])
    Image.fromarray(np.dstack([small, alpha])).save(GOLDEN / "rgba.png")
    image.convert("LA").save(GOLDEN / "gray_alpha.png")
    image.quantize(5).save(GOLDEN / "palette_transparent.png", transparency=2)
    height, width = small.shape[:2]
    deep = (small.astype(int) * 256 + 77).astype(">u2")
    (GOLDEN / "rgb16.png").write_bytes(png(width, height, 16, 2, 0, [row.tobytes() for row in deep]))
    (GOLDEN / "gray16.png").write_bytes(png(width, height, 16, 0, 0, [row[:, 0].tobytes() for row in deep]))
    (GOLDEN / "interlaced.png").write_bytes(png(width, height, 8, 2, 1, adam7(small)))


def main():
    GOLDEN.mkdir(exist_ok=True)
    picture = scene(45, 61)
    write_jpegs(picture)
    write_pngs(picture)
    pixels = {}
    for file in sorted(GOLDEN.iterdir()):
        if file.suffix in (".jpg", ".png"):
            pixels[file.name] = np.asarray(Image.open(file).convert("RGB"))
    # Pillow clips 16-bit gray instead of reducing it; the upper byte is what its 16-bit RGB keeps.
    pixels["gray16.png"] = np.repeat(picture[:13, :18, :1], 3, axis=2)
    np.savez_compressed(GOLDEN / "pixels.npz", **pixels)

    arrays = {}
    for name, source in {"scene": picture, "noise": noise(33, 40)}.items():
        arrays[name] = source
        for kind, method in {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}.items():
            for height, width in RESIZES:
                result = Image.fromarray(source).resize((width, height), method)
                arrays[f"{name}/{kind}/{height}x{width}"] = np.asarray(result)
    np.savez_compressed(GOLDEN / "resize.npz", **arrays)


main()
