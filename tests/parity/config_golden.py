# tests/parity/config_golden.py - the fields that people may write into training_config.yaml: trl's SFTConfig and peft's
# LoraConfig, with their defaults. usage: config_golden.py OUT_DIR (make_golden.py calls it, too)
import dataclasses
import json
import os
import sys

from peft import LoraConfig
from trl import SFTConfig


def defaults(cls):
    out = {}
    for f in dataclasses.fields(cls):
        value = f.default
        if value is dataclasses.MISSING and f.default_factory is not dataclasses.MISSING:
            value = f.default_factory()
        value = getattr(value, "value", value)  # of an enumeration
        out[f.name] = value if isinstance(value, (bool, int, float, str, list, dict)) else None
    return out


def write(folder):
    fields = {"TrainingArguments": defaults(SFTConfig), "LoraConfig": defaults(LoraConfig)}
    with open(os.path.join(folder, "config_fields.json"), "w") as f:
        json.dump(fields, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    write(sys.argv[1])
