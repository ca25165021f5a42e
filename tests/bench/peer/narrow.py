#!/usr/bin/env python3
# tests/bench/peer/narrow.py - a model folder's f32 weights as bf16, cut off: the sizes of a real one's.
"""usage: narrow.py FOLDER OUT"""
import json
import os
import shutil
import struct
import sys

folder, out = sys.argv[1:]
os.makedirs(out, exist_ok=True)
for name in os.listdir(folder):
    if not name.endswith(".safetensors"):
        shutil.copy(os.path.join(folder, name), out)
with open(os.path.join(folder, "model.safetensors"), "rb") as file:
    header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    begin, at, narrow, bodies = file.tell(), 0, {}, []
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        if tensor["dtype"] != "F32":
            sys.exit(f"narrow: {name} is {tensor['dtype']}, not F32")
        first, last = tensor["data_offsets"]
        narrow[name] = {"dtype": "BF16", "shape": tensor["shape"], "data_offsets": [at, at + (last - first) // 2]}
        at += (last - first) // 2
        bodies.append((first, last))
    text = json.dumps(narrow).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(out, "model.safetensors"), "wb") as to:
        to.write(struct.pack("<Q", len(text)) + text)
        for first, last in bodies:
            file.seek(begin + first)
            wide = file.read(last - first)
            half = bytearray(len(wide) // 2)
            half[0::2], half[1::2] = wide[2::4], wide[3::4]
            to.write(half)
