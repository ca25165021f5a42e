#!/usr/bin/env python3
"""Do answers under a JSON schema validate? 100 questions to the base model and to an adapter of it, at temperature 1, eight at a
time, five schemas in turn; the judge is the library jsonschema.

usage: schema_answers.py KAIRO_SERVE MODEL ADAPTER    Prints how many of how many have ended and validate; fails on any other."""
import collections
import concurrent.futures
import json
import socket
import subprocess
import sys
import time
import urllib.request

import jsonschema

QUESTIONS, AT_ONCE, TOKENS = 100, 8, 400


def fields(**properties):
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def words(most):
    return {"type": "string", "minLength": 1, "maxLength": most}


SCHEMAS = [
    fields(answer=words(60), topic={"enum": ["geography", "words", "identity", "other"]}),
    fields(city=words(20), country=words(20), people={"type": "integer", "minimum": 0, "maximum": 40_000_000}),
    fields(tags={"type": "array", "items": words(12), "minItems": 1, "maxItems": 4}, sure={"type": "boolean"}),
    {**fields(of={"anyOf": [{"$ref": "#/$defs/day"}, {"type": "null"}]}, code={"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"}),
     "$defs": {"day": {"type": "string", "format": "date"}}},
    fields(steps={"type": "array", "minItems": 2, "maxItems": 3, "items": fields(what=words(24), minutes={
        "type": "number", "minimum": 0, "maximum": 90})}),
]
TOPICS = ("What is the capital of France?", "Who are you?", "Name a river and where it flows.", "What is the opposite of cheap?",
          "How does one bake bread?", "When was the telephone invented?", "Tell me about the moon.")


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def ask(port, model, number):
    schema = SCHEMAS[number % len(SCHEMAS)]
    body = {"model": model, "temperature": 1, "seed": number, "max_tokens": TOKENS,
            "messages": [{"role": "user", "content": f"{TOPICS[number % len(TOPICS)]} ({number})"}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as reply:
        choice = json.load(reply)["choices"][0]
    text = choice["message"]["content"]
    if choice["finish_reason"] != "stop":
        return f"has not ended after {TOKENS} tokens: {text[:200]}"
    try:
        jsonschema.validate(json.loads(text), schema, format_checker=jsonschema.FormatChecker())
    except (ValueError, jsonschema.ValidationError) as error:
        return f"{str(error).splitlines()[0]}: {text[:200]}"
    return None


def main():
    program, model, adapter = sys.argv[1:]
    port = free_port()
    server = subprocess.Popen([program, "--model", model, "--name", "base", "--adapter", f"tuned={adapter}", "--port", str(port),
                               "--slots", str(AT_ONCE)], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                if server.poll() is not None:
                    sys.exit(f"schema_answers: kairo-serve ended: {server.stderr.read()[-500:]}")
                time.sleep(0.1)
        begin, right, wrong = time.monotonic(), collections.Counter(), []
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            asked = {pool.submit(ask, port, name, number): name for number in range(QUESTIONS) for name in ("base", "tuned")}
            for answer in concurrent.futures.as_completed(asked):
                if answer.result() is None:
                    right[asked[answer]] += 1
                else:
                    wrong.append(f"{asked[answer]}: {answer.result()}")
        print("\n".join(wrong[:10]), end="\n" if wrong else "")
        print(f"answers under a JSON schema: {sum(right.values())} of {2 * QUESTIONS} validate (base {right['base']}, tuned "
              f"{right['tuned']}), {time.monotonic() - begin:.0f} s")
        sys.exit(1 if wrong else 0)
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
