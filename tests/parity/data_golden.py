# tests/parity/data_golden.py - the golden files about data: a parquet file of pyarrow, and chats with the tokens and
# assistant masks of transformers' apply_chat_template. usage: data_golden.py OUT_DIR (make_golden.py calls it, too)
import json
import os
import sys

import pyarrow
import pyarrow.parquet
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

TURN = "{{ '<|im_start|>' + m['role'] + '\\n' }}"
TEMPLATES = {
    "blocks": "{% for m in messages %}" + TURN + "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] + "
              "'<|im_end|>' }}{% endgeneration %}{% else %}{{ m['content'] + '<|im_end|>' }}{% endif %}{{ '\\n' }}"
              "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    # Line ends and blanks around the tags: what trim_blocks, lstrip_blocks and the minus signs leave of them.
    "lines": "{% for m in messages %}\n  " + TURN + "\n  {% if m['role'] == 'assistant' %}\n    {%- generation -%}\n"
             "    {{ m['content'] | trim }}<|im_end|>\n    {%- endgeneration -%}\n  {% else %}\n    {{ m['content'] }}\n"
             "  {% endif %}\n{% endfor %}\n",
}
CHATS = {
    "one": [("user", "q"), ("assistant", "a")],
    "two": [("system", "be brief"), ("user", "q é?"), ("assistant", "é a."), ("user", "b"), ("assistant", " c ")],
    "first": [("assistant", "hello"), ("user", "hi"), ("assistant", "bye")],
    "emoji": [("user", "😀"), ("assistant", "😀 and <|im_end|> inside")],
    "empty": [("user", ""), ("assistant", ""), ("user", "x"), ("assistant", "y")],
}


def tiny_tokenizer():
    """tests/gpu/hf/tiny_tokenizer.cpp, written a second time: a token a byte, printable ones first."""
    printable = [b for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or b >= 0xAE]
    rest = [b for b in range(256) if b not in printable]
    names = [chr(b) for b in printable] + [chr(0x100 + i) for i in range(len(rest))]
    tokenizer = Tokenizer(models.BPE(vocab={name: i for i, name in enumerate(names)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False)
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in ("<|im_start|>", "<|im_end|>")])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")


def masks(out):
    tokenizer, cases = tiny_tokenizer(), []
    for template_name, template in TEMPLATES.items():
        for chat_name, chat in CHATS.items():
            messages = [{"role": role, "content": content} for role, content in chat]
            made = tokenizer.apply_chat_template(messages, chat_template=template, return_dict=True,
                                                 return_assistant_tokens_mask=True)
            cases.append({"name": f"{template_name}, {chat_name}", "template": template, "messages": messages,
                          "tokens": made["input_ids"], "mask": made["assistant_masks"]})
    with open(f"{out}/masks.json", "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n]\n")


def rows(out):
    chats = [[{"role": "user", "content": f"Hi {i}"}, {"role": "assistant", "content": "é" * (i + 1)}] for i in range(3)]
    table = pyarrow.Table.from_pylist([{"messages": chat, "n": i} for i, chat in enumerate(chats)])
    pyarrow.parquet.write_table(table, f"{out}/rows.parquet")


def tools(out):
    """Two rows with different tools: Arrow gives each struct the members of both."""
    lines = []
    for name, argument in (("get_temp", "town"), ("get_stock", "ticker")):
        schema = {"type": "object", "properties": {argument: {"type": "string"}}}
        call = {"type": "function", "function": {"name": name, "arguments": {argument: "X"}}}
        lines.append({"messages": [{"role": "user", "content": "go"}, {"role": "assistant", "tool_calls": [call]},
                                   {"role": "tool", "content": "ok"}, {"role": "assistant", "content": "Done."}],
                      "tools": [{"type": "function", "function": {"name": name, "parameters": schema}}]})
    with open(f"{out}/tools.jsonl", "w", encoding="utf-8") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(lines), f"{out}/tools.parquet")


def write(out):
    os.makedirs(out, exist_ok=True)
    tools(out)
    masks(out)
    rows(out)


if __name__ == "__main__":
    write(sys.argv[1])
