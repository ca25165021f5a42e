#!/usr/bin/env bash
# transformers 5.24.0: a tokenizer.json whose pre-tokenizer is Sequence(Digits, ByteLevel) gives other tokens through
# AutoTokenizer when tokenizer_config.json says "tokenizer_class": "GPT2Tokenizer": the class builds a ByteLevel
# pre-tokenizer of its own, so numbers are no longer split into digits. The file alone (tokenizers 0.23) and
# "PreTrainedTokenizerFast" split them. SmolLM and other models were trained with split digits.
# kairo reads tokenizer.json as it is. Parity goldens must therefore be made with PreTrainedTokenizerFast.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check transformers==5.24.0 tokenizers==0.23.3 || {
  echo "SKIP: transformers 5.24.0 cannot be installed here"
  exit 77
}
HF_HUB_OFFLINE=1 "$folder/venv/bin/python" - "$folder" 2>/dev/null <<'PYTHON'
import json, os, sys
import tokenizers, transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer

symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
vocabulary = {symbol: number for number, symbol in enumerate([*symbols, "12"])}
tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("1", "2")]))
tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
    [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
tokenizer.decoder = decoders.ByteLevel()
print("transformers", transformers.__version__, "tokenizers", tokenizers.__version__)
seen = {"the file alone": tokenizer.encode("12").tokens}
for name in ("GPT2Tokenizer", "PreTrainedTokenizerFast"):
    folder = os.path.join(sys.argv[1], name)
    os.mkdir(folder)
    tokenizer.save(folder + "/tokenizer.json")
    with open(folder + "/tokenizer_config.json", "w") as file:
        json.dump({"tokenizer_class": name}, file)
    with open(folder + "/config.json", "w") as file:
        json.dump({"model_type": "llama"}, file)
    loaded = AutoTokenizer.from_pretrained(folder)
    seen[name] = loaded.convert_ids_to_tokens(loaded.encode("12", add_special_tokens=False))
for how, tokens in seen.items():
    print(f'  "12" by {how}: {tokens}')
expected = {"the file alone": ["1", "2"], "GPT2Tokenizer": ["12"], "PreTrainedTokenizerFast": ["1", "2"]}
print("as described" if seen == expected else f"changed; it was {expected}")
sys.exit(seen != expected)
PYTHON
