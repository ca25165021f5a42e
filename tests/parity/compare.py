# tests/parity/compare.py - compares two folders of golden files, which must hold the same files. Bytes must be
# equal, but for floats in tensor files: they may differ by the rounding of another CPU's vector width, 1e-6 of
# the tensor's largest value; sums over a whole backward pass (seen: 1.8e-6 between an AMD and an Intel processor)
# and what comes out of many steps by more.
import pathlib
import sys

LIMITS = {"grad": 4e-6, "losses": 1e-5, "eval_losses": 1e-4, "trained": 1e-3}


def files(folder):
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def tensor_differences(name, new_file, old_file):
    import torch
    from safetensors.torch import load_file

    new, old = load_file(new_file), load_file(old_file)
    if new.keys() != old.keys():
        yield f"{name}: other tensors: {sorted(new.keys() ^ old.keys())[:5]}"
        return
    for key in new:
        a, b = new[key], old[key]
        if a.shape != b.shape or a.dtype != b.dtype:
            yield f"{name}: {key}: another shape or type"
        elif not a.is_floating_point():
            if not torch.equal(a, b):
                yield f"{name}: {key}: differs"
        else:
            limit = LIMITS.get(key.split(".")[0], 1e-6)
            scale = max(b.abs().max().item(), 1e-12) if b.numel() else 1.0
            largest = (a.float() - b.float()).abs().max().item() if b.numel() else 0.0
            if not largest <= limit * scale:
                yield f"{name}: {key}: {largest:.3g} of {scale:.3g}"


def differences(made, kept):
    for name in sorted(files(made) - files(kept)):
        yield f"{name}: is not among the kept files"
    for name in sorted(files(kept) - files(made)):
        yield f"{name}: was not made anew"
    for name in sorted(files(kept) & files(made)):
        if (made / name).read_bytes() == (kept / name).read_bytes():
            continue
        if name.suffix == ".safetensors":
            yield from tensor_differences(name, made / name, kept / name)
        else:
            yield f"{name}: differs"


found = list(differences(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
print("\n".join(found) or "the golden files are those of the oracle")
sys.exit(1 if found else 0)
