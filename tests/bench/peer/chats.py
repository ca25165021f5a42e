"""tests/bench/peer/chats.py - short chats, and how long transformers takes to make tokens of them.

usage: chats.py make N FILE | chats.py time MODEL FILE   (a line "ROWS TOKENS SECONDS", the best of three)
The template's text and its tokens only: which of them are an answer's is not looked for, as kairo does.
"""
import json
import random
import sys
import time

WORDS = "the a row of data and then some words about adapters models tokens jumps over lazy quick brown fox dog sets".split()


def make(count, path):
    say = random.Random(1)
    with open(path, "w") as out:
        for _ in range(count):
            question, answer = (" ".join(say.choices(WORDS, k=k)) for k in (12, 15))
            turns = [{"role": "user", "content": question + "?"}, {"role": "assistant", "content": answer + "."}]
            out.write(json.dumps({"messages": turns}) + "\n")


def timed(model, path):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    best = None
    for _ in range(3):
        begin = time.perf_counter()
        with open(path) as lines:
            chats = [json.loads(line)["messages"] for line in lines]
        texts = [tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats]
        ids = tokenizer(texts, add_special_tokens=False)["input_ids"]  # in one call: the crate's threads
        took = time.perf_counter() - begin
        best = took if best is None else min(best, took)
    print(len(ids), sum(map(len, ids)), f"{best:.4f}")


if sys.argv[1] == "make":
    make(int(sys.argv[2]), sys.argv[3])
else:
    timed(sys.argv[2], sys.argv[3])
