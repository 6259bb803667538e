#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes golden/: array files as NumPy itself makes them, for npy_test.cpp, which knows their
elements by formula. Needs python3-numpy; run it in this folder after changing it."""
import io
import pathlib
import zipfile

import numpy as np

GOLDEN = pathlib.Path(__file__).parent / "golden"
TYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?"]


def elements(kind, shape):
    """Element i in row-major order is 3 i - 7, or 3 i where unsigned, or i odd where bool."""
    index = np.arange(int(np.prod(shape)))
    if kind == "?":
        return (index % 2 == 1).reshape(shape)
    return (3 * index - (0 if kind[0] == "u" else 7)).reshape(shape)


def main():
    GOLDEN.mkdir(exist_ok=True)
    arrays = {}
    for kind in TYPES:
        values = elements(kind, (2, 3, 4))
        key = kind.replace("?", "b1")
        arrays[f"little_{key}"] = values.astype("<" + kind)
        arrays[f"big_{key}"] = values.astype(">" + kind)
        arrays[f"fortran_{key}"] = np.asfortranarray(values.astype("<" + kind))
        arrays[f"big_fortran_{key}"] = np.asfortranarray(values.astype(">" + kind))
    arrays["scalar"] = np.float32(-7)
    arrays["vector"] = elements("i8", (5,)).astype("<i8")
    arrays["empty"] = np.zeros((3, 0, 2), "<f4")
    np.savez(GOLDEN / "stored.npz", **arrays)
    np.savez_compressed(GOLDEN / "deflated.npz", **arrays)
    for version in (1, 2, 3):
        with zipfile.ZipFile(GOLDEN / f"version{version}.npz", "w") as archive:
            content = io.BytesIO()
            np.lib.format.write_array(content, elements("f4", (2, 3)).astype("<f4"), (version, 0))
            archive.writestr("x.npy", content.getvalue())
            if version == 1:
                (GOLDEN / "version1.npy").write_bytes(content.getvalue())


main()
