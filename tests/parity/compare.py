# tests/parity/compare.py - compares two folders of golden files. Integers must be equal; floats may differ by
# the rounding of another CPU's vector width: 1e-6 of the tensor's largest value (losses: 1e-5).
import pathlib
import sys

import torch
from safetensors.torch import load_file


def differences(made, kept):
    for path in sorted(made.rglob("*.safetensors")):
        name = path.relative_to(made)
        if not (kept / name).exists():
            yield f"{name}: is not among the kept files"
            continue
        new, old = load_file(path), load_file(kept / name)
        if new.keys() != old.keys():
            yield f"{name}: other tensors: {sorted(new.keys() ^ old.keys())[:5]}"
            continue
        for key in new:
            a, b = new[key], old[key]
            if a.shape != b.shape or a.dtype != b.dtype:
                yield f"{name}: {key}: another shape or type"
            elif not a.is_floating_point():
                if not torch.equal(a, b):
                    yield f"{name}: {key}: differs"
            else:
                limit = 1e-5 if key == "losses" else 1e-6
                scale = max(b.abs().max().item(), 1e-12) if b.numel() else 1.0
                largest = (a.float() - b.float()).abs().max().item() if b.numel() else 0.0
                if not largest <= limit * scale:
                    yield f"{name}: {key}: {largest:.3g} of {scale:.3g}"


found = list(differences(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
print("\n".join(found) or "the golden files are those of the oracle")
sys.exit(1 if found else 0)
