"""Writes Sources/CKernels/grids.h: the codebooks of ggml's IQ types, as the gguf package has them.

    python Tools/ggml_grids.py        (with the packages of Tools/fixtures/requirements.txt)

Each grid is a list of points of 4 or 8 coordinates. A coordinate is one of a few numbers, so its number in that list is stored, 2 bits or
4 bits each, points one after the other.
"""

from pathlib import Path

import gguf
import numpy as np
from gguf import quants

GRIDS = [("iq2_xxs", quants.IQ2_XXS), ("iq2_xs", quants.IQ2_XS), ("iq2_s", quants.IQ2_S), ("iq3_xxs", quants.IQ3_XXS),
         ("iq3_s", quants.IQ3_S), ("iq1", quants.IQ1_S)]  # fmt: skip


def main() -> None:
    lines = ["// The codebooks of ggml's IQ types. Made by Tools/ggml_grids.py; do not edit.", "",
             "#ifndef MARTLET_GRIDS_H", "#define MARTLET_GRIDS_H", "", "#include <stdint.h>", ""]  # fmt: skip
    for name, kind in GRIDS:
        kind.init_grid()
        points = kind.grid.reshape(-1)
        numbers = np.array([kind.grid_map.index(int(value)) for value in points], dtype=np.uint8)
        bits = 2 if len(kind.grid_map) <= 4 else 4
        packed = np.zeros(len(numbers) * bits // 8, dtype=np.uint8)
        for place in range(8 // bits):
            packed |= numbers[place :: 8 // bits] << np.uint8(place * bits)
        width = kind.grid_shape[1]
        lines.append(f"/// {kind.grid_shape[0]} points of {width} coordinates, {bits} bits each.")
        lines.append(f"static const int8_t {name}_values[] = {{{', '.join(str(int(v)) for v in kind.grid_map)}}};")
        lines.append(f"static const uint8_t {name}_grid[] = {{")
        text = ",".join(map(str, packed.tolist()))
        while text:
            cut = len(text) if len(text) <= 116 else text.rindex(",", 0, 117) + 1
            lines.append("    " + text[:cut])
            text = text[cut:]
        lines += ["};", ""]
    signs = ",".join(map(str, quants.IQ2_XXS.ksigns))
    lines += ["/// Seven signs as bits, and an eighth that makes their number even.", "static const uint8_t even_signs[128] = {"]
    while signs:
        cut = len(signs) if len(signs) <= 116 else signs.rindex(",", 0, 117) + 1
        lines.append("    " + signs[:cut])
        signs = signs[cut:]
    lines += ["};", "", "#endif", ""]
    path = Path(__file__).resolve().parents[1] / "Sources" / "CKernels" / "grids.h"
    path.write_text("\n".join(lines))
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
