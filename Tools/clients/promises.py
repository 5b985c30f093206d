#!/usr/bin/env python3
"""What the engine promises, on a real model: answers by schema, guesses, chats at once, vectors at once. Ends with 1 when a promise is not kept.

    Tools/clients/promises.py .build/release/martlet MODEL [--answers 200] [--chats 32] [--turns 3]

MODEL has a chat template. Starts a server of its own on a free port of 127.0.0.1. Needs nothing but Python; where jsonschema is installed,
it checks the answers too. Speeds are measured in turns and told, not judged: they are the machine's.
"""
import argparse
import concurrent.futures
import json
import os
import re
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.request

parser = argparse.ArgumentParser()
parser.add_argument("binary")
parser.add_argument("model")
parser.add_argument("--answers", type=int, default=200, help="how many answers by schema")
parser.add_argument("--chats", type=int, default=32, help="how many chats at once")
parser.add_argument("--turns", type=int, default=3, help="how often each speed is measured")
args = parser.parse_args()
failures = []

try:
    import jsonschema
except ImportError:
    jsonschema = None
    print("jsonschema is not installed: answers are parsed, and their keys and types compared")


def report(name, good, facts=""):
    print(f"{name}: {'ok' if good else 'WRONG'} {facts}", flush=True)
    if not good:
        failures.append(name)


class Server:
    def __init__(self, *options):
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log", delete=False)
        self.process = subprocess.Popen(
            [args.binary, "serve", "-m", "model=" + args.model, "--port", "0", "--slots", "32", *options], stderr=self.log,
            stdout=subprocess.DEVNULL)
        while not (found := re.search(r"martlet: http://\S*:(\d+)", open(self.log.name, errors="replace").read())):
            if self.process.poll() is not None:
                raise SystemExit(open(self.log.name, errors="replace").read())
            time.sleep(0.01)
        self.port = int(found[1])
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=10).read()
                return
            except urllib.error.URLError:
                time.sleep(0.05)

    def ask(self, path, body):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.loads(answer.read())

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)
        os.unlink(self.log.name)


def at_once(function, items, count=32):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(function, items))


# --- answers by schema

def text(longest):
    return {"type": "string", "maxLength": longest}


SCHEMAS = [
    {"type": "object", "properties": {"name": text(24), "age": {"type": "integer", "minimum": 0, "maximum": 120}},
     "required": ["name", "age"], "additionalProperties": False},
    {"type": "object", "properties": {
        "title": text(40), "tags": {"type": "array", "items": text(12), "minItems": 1, "maxItems": 4},
        "kind": {"enum": ["book", "film", "song"]}, "year": {"type": "integer", "minimum": 1000, "maximum": 2100}},
     "required": ["title", "tags", "kind", "year"], "additionalProperties": False},
    {"type": "array", "items": {"type": "object", "properties": {
        "city": text(20), "visited": {"type": "boolean"}}, "required": ["city", "visited"], "additionalProperties": False},
     "minItems": 2, "maxItems": 3},
    {"type": "object", "properties": {
        "when": {"type": "string", "format": "date"}, "who": {"type": "string", "pattern": "^[A-Z][a-z]{1,9}$"},
        "note": {"type": ["string", "null"], "maxLength": 30}}, "required": ["when", "who", "note"],
     "additionalProperties": False},
    {"$defs": {"person": {"type": "object", "properties": {"name": text(16)}, "required": ["name"],
                          "additionalProperties": False}},
     "type": "object", "properties": {"author": {"$ref": "#/$defs/person"}, "reader": {"$ref": "#/$defs/person"}},
     "required": ["author", "reader"], "additionalProperties": False},
    {"type": "object", "properties": {
        "answer": {"anyOf": [{"type": "integer", "minimum": -5, "maximum": 999}, {"type": "boolean"}, {"type": "null"}]},
        "sure": {"type": "number", "minimum": 0, "maximum": 1}}, "required": ["answer", "sure"],
     "additionalProperties": False},
]
SUBJECTS = ["a swallow", "Paris", "the moon", "an old novel", "Ada Lovelace", "a river", "breakfast", "a violin", "chess", "a storm"]


def shaped(value, schema, root):
    """Whether a value has the types and keys of a schema: what is checked without jsonschema."""
    if "$ref" in schema:
        return shaped(value, root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root)
    if "anyOf" in schema:
        return any(shaped(value, one, root) for one in schema["anyOf"])
    if "enum" in schema:
        return value in schema["enum"]
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
             "null": type(None)}
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(isinstance(value, kinds[kind]) and (kind == "boolean" or not isinstance(value, bool)) for kind in types):
        return False
    if isinstance(value, dict):
        return set(value) == set(schema["required"]) and all(
            shaped(part, schema["properties"][key], root) for key, part in value.items())
    if isinstance(value, list):
        return schema["minItems"] <= len(value) <= schema["maxItems"] and all(
            shaped(part, schema["items"], root) for part in value)
    if isinstance(value, str):
        return len(value) <= schema.get("maxLength", len(value))
    return value is None or schema.get("minimum", value) <= value <= schema.get("maximum", value)


def answers_by_schema(server):
    def answer(number):
        schema = SCHEMAS[number % len(SCHEMAS)]
        body = {
            "messages": [{"role": "user", "content": f"Answer in JSON about {SUBJECTS[number % len(SUBJECTS)]}."}],
            "temperature": [0, 0.7, 1][number % 3], "seed": number, "max_tokens": 400,
            "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}}
        choice = server.ask("/v1/chat/completions", body)["choices"][0]
        return schema, choice["message"]["content"], choice["finish_reason"]

    began = time.monotonic()
    valid, cut = 0, 0
    for schema, content, finish in at_once(answer, range(args.answers), 8):
        cut += finish != "stop"
        try:
            value = json.loads(content)
            if jsonschema:
                jsonschema.Draft202012Validator(schema).validate(value)
            valid += shaped(value, schema, schema)
        except Exception as error:
            print(f"  {finish}: {content!r}: {error}")
    report("answers by schema", valid == args.answers and cut == 0,
           f"{valid} of {args.answers} valid, {cut} cut, {time.monotonic() - began:.0f} s with 8 at once")


# --- chats at once

def chat(server, number):
    body = {
        "messages": [{"role": "system", "content": "You answer in a few sentences."},
                     {"role": "user", "content": f"Tell me something about {SUBJECTS[number % len(SUBJECTS)]}, in {number + 2} words."}],
        "temperature": [0, 0.8][number % 2], "seed": number, "max_tokens": 64, "logprobs": number % 4 == 3}
    choice = server.ask("/v1/chat/completions", body)["choices"][0]
    return json.dumps([choice["message"], choice["finish_reason"], choice["logprobs"]], sort_keys=True)


def alone_and_at_once(title, work):
    """Asks one by one, then all at once: the answers must be the same."""
    began = time.monotonic()
    alone = [work(number) for number in range(args.chats)]
    between = time.monotonic()
    together = at_once(work, range(args.chats), args.chats)
    ended = time.monotonic()
    same = sum(a == b for a, b in zip(alone, together))
    report(title, same == args.chats,
           f"{same} of {args.chats} are what they are alone; {between - began:.2f} s one by one, {ended - between:.2f} s at once")


def chats_at_once(server):
    alone_and_at_once("chats at once", lambda number: chat(server, number))


def vectors_at_once(server):
    def vector(number):
        return server.ask("/v1/embeddings", {"input": f"{SUBJECTS[number % len(SUBJECTS)]} and number {number}"})["data"][0]["embedding"]

    alone_and_at_once("vectors at once", vector)


def constrained_beside_free(server):
    """Tokens a second of eight texts that a grammar of letters and spaces keeps, and of eight free ones."""
    def speed(grammar):
        body = {"messages": [{"role": "user", "content": "Tell me a story."}], "max_tokens": 96, "ignore_eos": True, "temperature": 0.8}
        if grammar:
            body["grammar"] = "root ::= [a-zA-Z ,.]+"
        began = time.monotonic()
        answers = at_once(lambda number: server.ask("/v1/chat/completions", {**body, "seed": number}), range(8), 8)
        return sum(answer["usage"]["completion_tokens"] for answer in answers) / (time.monotonic() - began)

    speed(True), speed(False)
    pairs = [(speed(False), speed(True)) for _ in range(args.turns)]
    free, kept = (statistics.median(column) for column in zip(*pairs))
    print(f"constrained beside free: {kept:.0f} against {free:.0f} tokens/s at 8 streams, {kept / free:.2f} times", flush=True)


# --- guesses

ARTICLE = """The common swift is a medium-sized bird, superficially similar to the barn swallow or house martin but somewhat larger, though not
stemming from those passerine species, being in the order Apodiformes. The resemblances between the groups are due to convergent evolution,
reflecting similar contextual development. Swifts spend most of their lives flying: they eat, drink, and sleep in the air, and come to the
ground only to nest. Some individuals go ten months without landing. No other bird spends as much of its life in flight. Young swifts in the
nest can survive for a few days without food by dropping their body temperature and metabolic rate."""
CODE = '''def total(items, rate):
    result = 0
    for item in items:
        if item.price is None:
            continue
        if item.count < 0:
            raise ValueError("count is negative")
        result += item.price * item.count
    result = result + result * rate
    print("the total is", result)
    return result
'''
TASKS = {
    "summarising": f"Summarise this text by its most important sentences, word for word:\n\n{ARTICLE}",
    "editing code": f"Rename the variable result to amount in this function and print the whole function again:\n\n```python\n{CODE}```",
}


def guesses():
    for name, task in TASKS.items():
        prompt = f"<|im_start|>user\n{task}<|im_end|>\n<|im_start|>assistant\n"
        texts, speeds, usage = set(), {True: [], False: []}, {}
        for turn in range(2 * args.turns):
            guess = turn % 2 == 1
            out = subprocess.run(
                [args.binary, "generate", "-m", args.model, "--json", "--temperature", "0", "--max-tokens", "200",
                 *(["--guess"] if guess else []), prompt], capture_output=True, text=True, check=True)
            answer = json.loads(out.stdout)
            texts.add(answer["text"])
            speeds[guess].append(answer["timings"]["generation_tokens_per_second"])
            if guess:
                usage = answer["usage"]["completion_tokens_details"]
        plain, guessed = statistics.median(speeds[False]), statistics.median(speeds[True])
        right = usage["accepted_prediction_tokens"]
        report(f"guesses while {name}", len(texts) == 1,
               f"{guessed:.0f} against {plain:.0f} tokens/s, {guessed / plain:.2f} times; {right} of "
               f"{right + usage['rejected_prediction_tokens']} right")


server = Server()
try:
    chats_at_once(server)
    vectors_at_once(server)
    answers_by_schema(server)
    constrained_beside_free(server)
finally:
    server.end()
guesses()
raise SystemExit(1 if failures else 0)
