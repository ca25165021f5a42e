# tests/parity/gguf_golden.py - blocks of each number format of GGUF, and their values by the `gguf` package.
# usage: gguf_golden.py OUT_DIR (make_golden.py calls it, too)
import json
import os
import sys

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

# where the f16 numbers of a block lie: any bits are a block, but infinities are nobody's
HALVES = {"F32": [], "F16": [0], "BF16": [], "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
BLOCKS = {"F32": 8, "F16": 64, "BF16": 64}


def blocks(kind, size, count):
    random = np.random.default_rng(int(kind))
    out = random.integers(0, 256, (count, size), dtype=np.uint8)
    for at in HALVES[kind.name]:
        halves = (random.standard_normal(count) * 2.0 ** random.integers(-20, 3, count)).astype(np.float16)
        out[:, at:at + 2] = halves.view(np.uint8).reshape(count, 2)
    if kind.name in ("F32", "BF16"):  # finite
        out[:, -1] &= 0xBF
    return out


def write(out):
    golden = {}
    for name in HALVES:
        kind = GGMLQuantizationType[name]
        data = blocks(kind, GGML_QUANT_SIZES[kind][1], BLOCKS.get(name, 2))
        flat = data.reshape(1, -1)
        values = flat.view(np.float32) if name == "F32" else flat.view(np.float16).astype(np.float32) if name == "F16" else dequantize(flat, kind)
        golden[name] = {"type": int(kind), "blocks": data.tobytes().hex(), "values": values.astype("<f4").tobytes().hex()}
    with open(os.path.join(out, "gguf_blocks.json"), "w") as file:
        json.dump(golden, file, indent=0)
        file.write("\n")


if __name__ == "__main__":
    write(sys.argv[1])
