# tests/parity/rows_golden.py - rows as people write them, with the tokens and targets that trl's own SFTTrainer makes of them
# with SmolLM2's tokenizer. usage: rows_golden.py OUT_DIR SMOLLM2_DIR (make_golden.py calls it, too)
import json
import sys
import tempfile
import types

from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer

TURN = "<|im_start|>{{ m.role }}\n"
CALLS = "{% for c in m.tool_calls %}<call>{{ c.function.name }} {{ c.function.arguments | tojson }}</call>{% endfor %}"
PROMPT = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
TEMPLATES = {
    "model's": None,
    "tools": "{%- if tools %}<|im_start|>system\nTools: {{ tools | tojson }}<|im_end|>\n{% endif %}{% for m in messages %}" + TURN
             + "{{ m.content if m.content }}{% if m.tool_calls %}" + CALLS + "{% endif %}<|im_end|>\n{% endfor %}" + PROMPT,
    # A key that is there makes the difference: a null must not be there.
    "has key": "{% for m in messages %}" + TURN + "{% if 'tool_calls' in m %}" + CALLS + "{% else %}{{ m.content }}{% endif %}"
               "<|im_end|>\n{% endfor %}" + PROMPT,
    # The generation prompt has an empty think block that the chat does not have.
    "thinks": "{% for m in messages %}" + TURN + "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}"
              "<|im_start|>assistant\n<think>\n\n</think>\n\n{% endif %}",
    # Named templates, as in tokenizer_config.json: chats with tools are rendered with tool_use.
    "named": None,
    "reasons": "{% for m in messages %}" + TURN + "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
               "{{ m.content }}<|im_end|>\n{% endfor %}" + PROMPT,
}

TEMPLATES["named"] = {"default": TEMPLATES["thinks"], "tool_use": TEMPLATES["tools"]}


def user(content, **more):
    return {"role": "user", "content": content, **more}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


CALL = {"type": "function", "function": {"name": "get_temp", "arguments": {"town": "Ulm"}}}
TOOL = {"type": "function", "function": {"name": "get_temp", "parameters": {
    "type": "object", "properties": {"town": {"type": "string"}, "unit": {"type": "string", "default": None}}}}}
FLOATS = {"type": "function", "function": {"name": "fit", "parameters": {"type": "object", "properties": {
    "lr": {"type": "number", "default": 0.00001}, "cap": {"type": "number", "maximum": 1e20}, "tiny": {"default": 1.5e-7},
    "one": {"default": 1.0}, "big": {"default": 123456789012345678901234567890}}}}}
ASKED = [user("How warm is it in Ulm?"), {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "content": "12"}]
PAIRS = [("def f():\n    ", "return 1"), ("Hello ", "world"), ("Hello", " world"), ("a", "b"), ("", "x"), ("Q: 12", "34"),
         ("two  ", "  blanks"), ("x\n", "\ny"), ("smile ", "\U0001F600"), ("caf", "\u00e9"), ("e", "\u0301t\u00e9"),
         ("A:\n\n", "\n\nB"), ("tab\t", "\tx"), ("end.", ""), ("<|im_start|>", "x"), ("1", "000"), ("  ", "  ")]
ROWS = [(f"pair {i}", "model's", {"prompt": p, "completion": c}) for i, (p, c) in enumerate(PAIRS)] + [
    ("chat pair", "model's", {"prompt": [user("q")], "completion": [assistant("a")]}),
    ("chat pair, earlier answer", "model's",
     {"prompt": [user("q"), assistant("a"), user("r")], "completion": [assistant(" b")]}),
    ("chat pair, line ends", "model's", {"prompt": [user("q")], "completion": [assistant("\n\na\n")]}),
    ("empty think block", "thinks", {"prompt": [user("q")], "completion": [assistant("a")]}),
    ("empty think block, answer in brackets", "thinks", {"prompt": [user("q")], "completion": [assistant("<b>a</b>")]}),
    ("tools", "tools", {"prompt": ASKED, "completion": [assistant("12 degrees.")], "tools": [TOOL]}),
    ("tools as text", "tools", {"prompt": ASKED, "completion": [assistant("12 degrees.")], "tools": json.dumps([TOOL])}),
    ("named templates, tools", "named", {"prompt": ASKED, "completion": [assistant("12 degrees.")], "tools": [TOOL]}),
    ("named templates, no tools", "named", {"prompt": [user("q")], "completion": [assistant("a")]}),
    ("no tools", "tools", {"prompt": ASKED, "completion": [assistant("12 degrees.")], "tools": None}),
    ("tools with floats", "tools", {"prompt": [user("go")], "completion": [assistant("ok")], "tools": json.dumps([FLOATS])}),
    ("null calls", "has key", {"prompt": [user("hi", tool_calls=None)],
                               "completion": [assistant("a long and useful answer", tool_calls=None)]}),
    ("reasoning", "reasons", {"prompt": [user("q")], "completion": [assistant("a", reasoning="so so")]}),
    ("thinking", "reasons", {"prompt": [user("q")], "completion": [assistant("a", reasoning_content=None, thinking="hm")]}),
]


def as_trl_trains_it(row, tokenizer, template):
    trainer = types.SimpleNamespace(_tokenizer=tokenizer, completion_only_loss=True, chat_template=template)
    args = SFTConfig(output_dir=tempfile.gettempdir(), report_to=[], use_cpu=True, bf16=False, max_length=None)
    made = SFTTrainer._prepare_dataset(trainer, Rows([row]), tokenizer, args, False, None, "train")
    return next(iter(made))


class Rows:
    """What _prepare_dataset asks of a data set, over plain objects: Arrow would fill in the members that a message lacks."""

    def __init__(self, rows):
        self.rows, self.format = rows, {"type": None}

    @property
    def column_names(self):
        return sorted({name for row in self.rows for name in row})

    def __iter__(self):
        return iter(self.rows)

    def map(self, function, fn_kwargs=None, remove_columns=None, **_):
        made = []
        for row in self.rows:
            row = {**row, **function(dict(row), **(fn_kwargs or {}))}
            for name in [remove_columns] if isinstance(remove_columns, str) else remove_columns or []:
                row.pop(name, None)
            made.append(row)
        return Rows(made)


def write(out, smollm2):
    cases = []
    for name, template, row in ROWS:
        tokenizer = AutoTokenizer.from_pretrained(smollm2)
        named = isinstance(TEMPLATES[template], dict)
        if named:
            tokenizer.chat_template = TEMPLATES[template]
        made = as_trl_trains_it(row, tokenizer, None if named else TEMPLATES[template])
        cases.append({"name": name, "template": TEMPLATES[template] or "", "row": row, "tokens": made["input_ids"],
                      "mask": [int(label != -100) for label in made["labels"]]})
    with open(f"{out}/smollm2_rows.json", "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases) + "\n]\n")


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2])
