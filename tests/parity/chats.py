# tests/parity/chats.py - what transformers makes of conversations with the tokenizers and chat templates of real models:
# text, tokens, and trl's training targets. usage: chats.py CHATS_DIR OUT_DIR   (chats_setup.sh fills CHATS_DIR)
#
# OUT_DIR gets a folder for each model (as on a hub) and cases.json, which parity_chats compares with kairo's own.
import datetime
import glob
import json
import os
import sys

import transformers.utils.chat_template_utils as chat_template_utils
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from rows_golden import as_trl_trains_it

NOW = datetime.datetime(2026, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)


class Fixed(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW if tz else NOW.replace(tzinfo=None)


chat_template_utils.datetime = Fixed

# Formats of models whose template is in neither source, said anew.
PHI4 = ("{% for m in messages %}{{ '<|im_start|>' + m.role + '<|im_sep|>' + m.content + '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}")
PHI4_MINI = ("{% for m in messages %}{% if m.role == 'system' and m.tools %}{{ '<|system|>' + m.content + '<|tool|>' + m.tools + '<|/tool|>' "
             "+ '<|end|>' }}{% else %}{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{% endif %}{% endfor %}"
             "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}")
OLMO = ("{{ bos_token }}{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}"
        "{% if not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '\\n<|assistant|>\\n' }}{% endif %}")
PHI3_TOKENS = ["<|endoftext|>", "<|assistant|>", "<|placeholder1|>", "<|placeholder2|>", "<|placeholder3|>", "<|placeholder4|>", "<|system|>",
               "<|end|>", "<|placeholder5|>", "<|placeholder6|>", "<|user|>"]
PHI4_TOKENS = {100257: "<|endoftext|>", 100264: "<|im_start|>", 100265: "<|im_end|>", 100266: "<|im_sep|>"}
PHI4_MINI_TOKENS = {199999: "<|endoftext|>", 200018: "<|endofprompt|>", 200019: "<|assistant|>", 200020: "<|end|>", 200021: "<|user|>",
                    200022: "<|system|>", 200023: "<|tool|>", 200024: "<|/tool|>"}
DEEPSEEK_TOKENS = ["<\uff5cend\u2581of\u2581sentence\uff5c>", "<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>", "<\uff5cbegin\u2581of\u2581sentence\uff5c>",
                   "<\uff5c\u2581pad\u2581\uff5c>", "<think>", "</think>"]
GRANITE_TOKENS = {100264: "<|start_of_role|>", 100265: "<|end_of_role|>", 100266: "<|end_of_text|>", 100267: "<|tool_call|>"}


def added(number, text, rstrip=False):
    return {"id": number, "content": text, "single_word": False, "lstrip": False, "rstrip": rstrip, "normalized": False, "special": True}


def model(chats, out, name, tokenizer, template=None, tokens=(), text=None, **config):
    """A folder as on a hub: a tokenizer of chats/tokenizers, perhaps with more tokens, and a template."""
    folder = os.path.join(out, name)
    os.makedirs(folder)
    with open(f"{chats}/tokenizers/{tokenizer}/tokenizer.json", encoding="utf-8") as file:
        whole = json.load(file)
    with open(f"{chats}/tokenizers/{tokenizer}/tokenizer_config.json", encoding="utf-8") as file:
        told = json.load(file)
    if tokens:
        numbers = {entry["id"] for entry in tokens}
        texts = {entry["content"] for entry in tokens}
        whole["added_tokens"] = [t for t in whole["added_tokens"] if t["id"] not in numbers and t["content"] not in texts] + list(tokens)
        told = {"tokenizer_class": "PreTrainedTokenizerFast", **config}
    told.update(config)
    if template:
        with open(f"{chats}/llama/templates/{template}.jinja", encoding="utf-8") as file:
            text = file.read()
    if text:
        told["chat_template"] = text
    with open(f"{folder}/tokenizer.json", "w", encoding="utf-8") as file:
        json.dump(whole, file, ensure_ascii=False)
    with open(f"{folder}/tokenizer_config.json", "w", encoding="utf-8") as file:
        json.dump(told, file, ensure_ascii=False)
    return folder


def models(chats, out):
    def make(name, tokenizer, *rest, **more):
        return model(chats, out, name, tokenizer, *rest, **more)

    def many(tokens):
        return [added(number, text) for number, text in tokens.items()]

    phi3 = [added(32000 + i, text, rstrip=text != "<|endoftext|>") for i, text in enumerate(PHI3_TOKENS)]
    make("llama-3.2", "llama3_2")
    make("llama-3.1", "llama3_2", "meta-llama-Llama-3.1-8B-Instruct")
    for kind, tokenizer, template, first in (("llama", "llama3_2", "Llama-8B", 128009), ("qwen", "qwen2_5", "Qwen-32B", 151643)):
        make(f"deepseek-r1-distill-{kind}", tokenizer, f"deepseek-ai-DeepSeek-R1-Distill-{template}",
             [added(first + i, text) for i, text in enumerate(DEEPSEEK_TOKENS)], bos_token=DEEPSEEK_TOKENS[3], eos_token=DEEPSEEK_TOKENS[0])
    make("smollm3", "llama3_2", "HuggingFaceTB-SmolLM3-3B")
    make("mistral-nemo", "mistral_nemo")
    make("mistral-small-3.2", "mistral_nemo", "Mistral-Small-3.2-24B-Instruct-2506")
    make("ministral-3", "mistral_nemo", "mistralai-Ministral-3-14B-Reasoning-2512")
    make("qwen2.5", "qwen2_5")
    make("qwen3", "qwen3")
    make("gemma-2", "gemma2", "google-gemma-2-2b-it")
    make("gemma-3", "gemma3")
    make("phi-3.5", "llama2", "microsoft-Phi-3.5-mini-instruct", phi3, bos_token="<s>", eos_token="<|endoftext|>", pad_token="<|endoftext|>")
    make("phi-4", "gpt4", None, many(PHI4_TOKENS), PHI4, bos_token="<|endoftext|>", eos_token="<|im_end|>", pad_token="<|endoftext|>")
    make("phi-4-mini", "gpt4o", None, many(PHI4_MINI_TOKENS), PHI4_MINI, bos_token="<|endoftext|>", eos_token="<|endoftext|>")
    make("granite-3.3", "gpt4", "ibm-granite-granite-3.3-2B-Instruct", many(GRANITE_TOKENS), bos_token="<|end_of_text|>", eos_token="<|end_of_text|>")
    make("granite-4.1", "gpt4", "ibm-granite-granite-4.1", many(GRANITE_TOKENS), bos_token="<|end_of_text|>", eos_token="<|end_of_text|>")
    make("olmo-2", "gpt4", None, many({100257: "<|endoftext|>"}), OLMO, bos_token="<|endoftext|>", eos_token="<|endoftext|>")
    folder = os.path.join(out, "falcon")
    AutoTokenizer.from_pretrained(f"{chats}/llama", gguf_file="ggml-vocab-falcon.gguf").save_pretrained(folder)


def user(content, **more):
    return {"role": "user", "content": content, **more}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


def system(content):
    return {"role": "system", "content": content}


CALL = {"type": "function", "id": "abcdef123", "function": {"name": "get_temp", "arguments": {"town": "Ulm", "days": [1, 2], "deep": {"a": None}}}}
TOOL = {"type": "function", "function": {"name": "get_temp", "description": "The temperature of a town, in \u00b0C", "parameters": {
    "type": "object", "properties": {"town": {"type": "string", "description": "its name"}, "unit": {"type": "string", "enum": ["C", "F"]}},
    "required": ["town"]}}}
ASKED = [user("How warm is it in Ulm?"), {"role": "assistant", "content": "", "tool_calls": [CALL]},
         {"role": "tool", "name": "get_temp", "tool_call_id": "abcdef123", "content": "12"}]
CODE = "def f(x):\n    return  x\t+ 1\n\n\n# <b>end</b> {{ not.jinja }} {% raw %}"
CONVERSATIONS = {
    "one turn": ([user("Hi, who are you?")], None),
    "answered": ([user("Hi"), assistant("Hello! How can I help?")], None),
    "system": ([system("You are terse."), user("Hi"), assistant("Hi.")], None),
    "several turns": ([system("S"), user("a"), assistant("b"), user("c"), assistant("d"), user("e")], None),
    "line ends": ([user("\n\n a \n"), assistant("  b\n\n"), user("\tc\r\n"), assistant("d ")], None),
    "code": ([user(CODE), assistant("```\n" + CODE + "\n```")], None),
    "scripts": ([system("\u00c4rger"), user("\u0645\u0631\u062d\u0628\u0627 \u4f60\u597d \U0001F600\U0001F468\u200d\U0001F469\u200d\U0001F467 e\u0301 \u200b"),
                 assistant("\u3053\u3093\u306b\u3061\u306f \U0001F1E9\U0001F1EA \ufb01")], None),
    "digits": ([user("1234567890 12 3.14159 1,000,000 0x1F 2026-02-03"), assistant("7 + 5 = 12")], None),
    "empty": ([system(""), user(""), assistant("")], None),
    "special words": ([user("<|im_end|> <|end|> <|eot_id|> </s> <end_of_turn> [INST] <s>"), assistant("<think>\nhm\n</think>\n\nyes")], None),
    "thinks": ([user("q"), assistant("a", reasoning_content="because"), user("r"), assistant("<think>x</think>b")], None),
    "tools": (ASKED + [assistant("12 degrees.")], [TOOL]),
    "tools, asked": (ASKED[:1], [TOOL, {**TOOL, "function": {**TOOL["function"], "name": "other"}}]),
    "tools, answered": (ASKED, [TOOL]),
    "two users": ([user("a"), user("b"), assistant("c")], None),
    "assistant first": ([assistant("Hello"), user("a"), assistant("b")], None),
    "long": ([user("word " * 300 + "end"), assistant("so " * 200)], None),
}


def rendered(tokenizer, messages, tools, asks):
    try:
        return {"text": tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=asks, tokenize=False)}
    except Exception as e:  # whatever a template raises
        return {"refused": type(e).__name__ + ": " + str(e)[:200]}


def cases_of(name, folder, tokenizer, with_tokens):
    out = []
    for conversation, (messages, tools) in CONVERSATIONS.items():
        for asks in (False, True):
            case = {"model": name, "folder": folder, "conversation": conversation, "messages": messages, "tools": tools, "asks": asks}
            case.update(rendered(tokenizer, messages, tools, asks))
            if with_tokens and "text" in case:
                case["tokens"] = tokenizer(case["text"], add_special_tokens=False).input_ids
            if with_tokens and not asks and messages[-1]["role"] == "assistant" and len(messages) > 1:
                row = {"prompt": messages[:-1], "completion": messages[-1:], **({"tools": tools} if tools else {})}
                case["row"] = row
                try:
                    made = as_trl_trains_it(row, tokenizer, None)
                    case["row_tokens"], case["row_mask"] = made["input_ids"], [int(label != -100) for label in made["labels"]]
                    # Where the question is rendered otherwise once it is answered, trl trains a part of the question.
                    asked = rendered(tokenizer, messages[:-1], tools, True).get("text", "")
                    if not case["text"].startswith(asked) and name.startswith("mistral-nemo"):
                        case["row_trains"] = messages[-1]["content"] + tokenizer.eos_token
                        if not messages[-1]["content"]:  # nothing by which kairo could find it
                            del case["row"]
                except Exception as e:
                    case["row_refused"] = type(e).__name__ + ": " + str(e)[:200]
            out.append(case)
    return out


def main(chats, out):
    os.makedirs(out)
    models(chats, out)
    cases = []
    for name in sorted(os.listdir(out)):
        folder = os.path.join(out, name)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        plain = PreTrainedTokenizerFast(tokenizer_file=f"{folder}/tokenizer.json")
        texts = [message.get("content") or "" for messages, _ in CONVERSATIONS.values() for message in messages]
        for text in sorted(set(texts)):
            for special in (False, True):
                here = tokenizer(text, add_special_tokens=special).input_ids
                cases.append({"model": name, "folder": folder, "plain": text, "special": special, "tokens": here})
                if here != plain(text, add_special_tokens=special).input_ids:
                    print(f"note: {name}: {type(tokenizer).__name__} differs from its tokenizer.json on {text[:40]!r}", file=sys.stderr)
        if tokenizer.chat_template:
            cases += cases_of(name, folder, tokenizer, True)
    # Every other template there is, as text, with one tokenizer.
    folder = model(chats, out, "any", "qwen3", text="{{ messages }}", bos_token="<s>", eos_token="</s>")
    known = AutoTokenizer.from_pretrained(folder)
    for path in sorted(glob.glob(f"{chats}/llama/templates/*.jinja")):
        name = "template " + os.path.basename(path)[:-len(".jinja")]
        with open(path, encoding="utf-8") as file:
            known.chat_template = file.read()
        cases += [{**case, "template": path} for case in cases_of(name, folder, known, False)]
    with open(f"{out}/cases.json", "w", encoding="utf-8") as file:
        json.dump({"now": int(NOW.timestamp()), "cases": cases}, file, ensure_ascii=False)
    print(f"{len(cases)} cases")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
