#!/usr/bin/env bash
# transformers 5.24.0: an OLMo 3 config in the form of transformers 4, with one "rope_theta" for the whole model, gives that
# theta to the layers that see all; those with a sliding window silently get the default, 500000, whatever the file says. The
# published OLMo 3 have 500000, so that nobody sees it there; a model trained anew with another theta computes otherwise in three
# of four layers. The form of transformers 5 (rope_parameters by the layers' types) is taken as it is written.
# kairo reads both forms as transformers does (gpu/formats/rope_config.cpp), so that logits are equal.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check transformers==5.24.0 || {
  echo "SKIP: transformers 5.24.0 cannot be installed here"
  exit 77
}
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import sys
import transformers
from transformers import Olmo3Config

print("transformers", transformers.__version__)
by_type = {"full_attention": {"rope_type": "default", "rope_theta": 10000.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}
configs = {"rope_theta 10000": {"rope_theta": 10000.0}, "rope_parameters by type": {"rope_parameters": by_type}}
seen = {}
for name, words in configs.items():
    parameters = Olmo3Config(num_hidden_layers=4, **words).rope_parameters
    seen[name] = [parameters[kind]["rope_theta"] for kind in ("full_attention", "sliding_attention")]
    print(f"  {name}: full attention {seen[name][0]:.0f}, sliding attention {seen[name][1]:.0f}")
expected = {"rope_theta 10000": [10000.0, 500000.0], "rope_parameters by type": [10000.0, 10000.0]}
print("as described" if seen == expected else f"changed; it was {expected}")
sys.exit(seen != expected)
PYTHON
