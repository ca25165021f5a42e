# tests/bench/peer/tokenise.py - a chat data set as tokenised rows (gpu/engine/rows_file.h), so that ours and
# the peer train on the same tokens. usage: tokenise.py MODEL DATA.jsonl OUT.safetensors [ROWS] [answer|all]
import json
import os
import sys

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer

LENGTH_MAX = 512


def main(model, data, out, rows="256", loss_on="all"):
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokens, trained, lengths = [], [], []
    for line in open(data, encoding="utf-8").read().splitlines()[: int(rows)]:
        row = json.loads(line)
        chat = row.get("messages") or [{"role": "user", "content": row["question"]},
                                       {"role": "assistant", "content": row["answer"]}]
        ids = tokenizer.apply_chat_template(chat, return_dict=True)["input_ids"][:LENGTH_MAX]
        prompt = 0
        if loss_on == "answer":
            prompt = len(tokenizer.apply_chat_template(chat[:-1], add_generation_prompt=True,
                                                       return_dict=True)["input_ids"])
        tokens += ids
        trained += [0] * min(prompt, len(ids)) + [1] * (len(ids) - prompt)
        lengths.append(len(ids))
    save_file({"rows.tokens": torch.tensor(tokens, dtype=torch.int32),
               "rows.trained": torch.tensor(trained, dtype=torch.uint8),
               "rows.lengths": torch.tensor(lengths, dtype=torch.int32)}, out)
    print(len(lengths), "rows,", len(tokens), "tokens,", sum(trained), "trained")


main(*sys.argv[1:])
