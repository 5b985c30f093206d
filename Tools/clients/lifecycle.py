#!/usr/bin/env python3
"""A server from its start to its end: loading, keys, names that pry, draining, signals, starts that fail. Ends with 1 when something is wrong.

    Tools/clients/lifecycle.py .build/release/martlet MODEL

Starts servers of its own on free ports of 127.0.0.1. Needs nothing but Python.
"""
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

binary, model = sys.argv[1], sys.argv[2]
folder = tempfile.mkdtemp()
failures = []
KEY = "a-key-of-this-script"


def report(name, good, facts=""):
    print(f"{name}: {'ok' if good else 'WRONG'} {facts}", flush=True)
    if not good:
        failures.append(name)


class Server:
    """A server that runs while it is used; its log is kept."""

    def __init__(self, *options, keys=True):
        self.keys = keys
        key_file = os.path.join(folder, "keys")
        with open(key_file, "w") as file:
            file.write(f"# keys\n{KEY}\n")
        self.log_path = os.path.join(folder, f"log{time.monotonic_ns()}")
        log = open(self.log_path, "w")
        self.process = subprocess.Popen(
            [binary, "serve", "-m", "model=" + model, "--port", "0", *(["--api-key-file", key_file] if keys else []), *options],
            stderr=log, stdout=subprocess.DEVNULL)
        while not (line := next((l for l in self.log().splitlines() if l.startswith("martlet: http://")), "")):
            if self.process.poll() is not None:
                raise RuntimeError(self.log())
            time.sleep(0.005)
        self.port = int(line.rstrip("/").rsplit(":", 1)[1])

    def log(self):
        with open(self.log_path, errors="surrogateescape") as file:
            return file.read()

    def ask(self, method, path, body=None, key=KEY, headers={}):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        fields = dict(headers)
        if key:
            fields["Authorization"] = "Bearer " + key
        if body is not None:
            fields["Content-Type"] = "application/json"
        connection.request(method, path, None if body is None else json.dumps(body), fields)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, dict(answer.getheaders()), text

    def ready(self):
        while self.ask("GET", "/health")[0] != 200:
            time.sleep(0.02)

    def end(self, number=signal.SIGTERM, seconds=60):
        self.process.send_signal(number)
        return self.process.wait(seconds)


def loading():
    server = Server()
    status, headers, _ = server.ask("GET", "/health", key=None)
    asked = server.ask("POST", "/v1/completions", {"model": "model", "prompt": "a", "max_tokens": 1})[0]
    report("loading is said", status in (503, 200) and asked in (503, 200), f"health {status}, a request {asked}")
    server.ready()
    report("an idle server ends at once", server.end(seconds=5) == 0)


def keys():
    server = Server()
    server.ready()
    document = json.loads(server.ask("GET", "/openapi.json")[2])
    wrong = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            place = path.replace("{id}", "model")
            for key in (None, "wrong", KEY + "x", KEY[:-1]):
                status = server.ask(method.upper(), place, {} if method == "post" else None, key=key)[0]
                is_open = operation["security"] == []
                if (status == 401) == is_open:
                    wrong.append((method, place, key, status))
    count = sum(len(methods) for methods in document["paths"].values())
    report("every route but health asks for a key", not wrong and server.ask("GET", "/nowhere", key=None)[0] == 401,
           f"{count} routes {wrong[:3]}")
    pry()
    server.end()
    report("keys are never logged", KEY not in server.log() and "wrong" not in server.log())


def pry():
    """Names that lead elsewhere, and bytes that would steer a log or a terminal."""
    server = Server()
    server.ready()
    names = ["../model", "/etc/passwd", "model/../../etc/passwd", "a\r\nb", "\x1b[31mred", "\0", "‮model", "x" * 100_000]
    statuses = [
        server.ask("POST", path, {"model": name, "prompt": "a", "input": "a", "max_tokens": 1})[0]
        for name in names for path in ("/v1/completions", "/v1/embeddings", "/v1/models/load", "/v1/models/unload")]
    paths = ["/../etc/passwd", "/page.js/../../x", "/%2e%2e/etc/passwd", "/v1/models/..%2f..%2fetc%2fpasswd", "//etc/passwd"]
    statuses += [server.ask("GET", path)[0] for path in paths]
    server.ask("GET", "/health", headers={"x-request-id": "a\x1b[31m", "traceparent": "00-\x1b[31m"})
    server.ask("GET", "/health", headers={"x-request-id": "my-id.1", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
    server.end()
    lines = [line for line in server.log().splitlines() if line.startswith("{")]
    entries = [json.loads(line) for line in lines]
    report("names that pry are not found", all(status in (400, 404) for status in statuses), str(sorted(set(statuses))))
    report("a log line is one object without control bytes",
           len(entries) > len(statuses) and not any(ord(c) < 32 for line in lines for c in line))
    mine = [entry for entry in entries if entry.get("request_id") == "my-id.1"]
    report("request ids and traces are logged", len(mine) == 1 and mine[0].get("traceparent", "").startswith("00-0af7"))


def stream(server, tokens, result):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.request("POST", "/v1/completions", json.dumps(
        {"prompt": "The", "max_tokens": tokens, "stream": True, "ignore_eos": True, "n": 8}),
        {"Content-Type": "application/json"})
    answer = connection.getresponse()
    result["begun"] = True
    try:
        result["text"] = answer.read().decode()
    except (http.client.IncompleteRead, ConnectionError) as error:
        result["text"] = getattr(error, "partial", b"").decode()


def streams(server, tokens, count=3):
    results = [{} for _ in range(count)]
    threads = [threading.Thread(target=stream, args=(server, tokens, result)) for result in results]
    for thread in threads:
        thread.start()
    while not all("begun" in result for result in results):
        time.sleep(0.01)
    return threads, results


def draining():
    server = Server(keys=False)
    server.ready()
    threads, results = streams(server, 300)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    ready = server.ask("GET", "/ready")[0]
    refused = server.ask("POST", "/v1/completions", {"prompt": "a"})
    for thread in threads:
        thread.join()
    code = server.process.wait(30)
    complete = all(result["text"].rstrip().endswith("[DONE]") for result in results)
    report("draining answers what runs and takes no more",
           code == 0 and complete and ready == 503 and refused[0] == 503 and "Retry-After" in {k.title() for k in refused[1]},
           f"exit {code}, ready {ready}, new work {refused[0]}")
    server = Server("--drain-seconds", "0", keys=False)
    server.ready()
    threads, results = streams(server, 8_000)
    began = time.monotonic()
    code = server.end(seconds=20)
    for thread in threads:
        thread.join()
    told = [("[DONE]" in result["text"]) != ('"error"' in result["text"]) for result in results]
    some = any('"error"' in result["text"] for result in results)
    report("what is left after the drain ends with an error", code == 0 and all(told) and some, f"after {time.monotonic() - began:.1f} s")
    server = Server(keys=False)
    server.ready()
    threads, _ = streams(server, 8_000)
    server.process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    began = time.monotonic()
    code = server.end(seconds=5)
    report("a second signal ends at once", code == 130 and time.monotonic() - began < 1, f"exit {code}")


def killed():
    server = Server(keys=False)
    server.ready()
    port = server.port
    streams(server, 8_000)
    server.process.kill()
    server.process.wait()
    again = Server("--port", str(port), keys=False)
    again.ready()
    report("after kill -9 it starts again on the same port", again.port == port)
    taken = subprocess.run([binary, "serve", "-m", model, "--port", str(port)], capture_output=True, text=True, timeout=30)
    again.end()
    lines = [line for line in taken.stderr.splitlines() if line.strip()]
    report("a port that is taken is one line", taken.returncode == 1 and str(port) in lines[-1], str(lines[-1:]))


def failing():
    bad = os.path.join(folder, "bad.gguf")
    with open(bad, "wb") as file:
        file.write(b"GGUF" + bytes(100))
    for name, arguments, code in [
        ("a model that is broken", ["-m", bad], 1), ("a model that is not there", ["-m", "nowhere"], 1),
        ("the network without keys", ["-m", model, "--host", "0.0.0.0"], 2), ("a port too large", ["--port", "70000"], 2),
        ("two models of one name", ["-m", "a=" + model, "-m", "a=" + model], 2),
        ("an empty key file", ["-m", model, "--api-key-file", "/dev/null"], 2),
        ("check of a broken model", ["-m", bad, "--check"], 1), ("check of a good one", ["-m", model, "--check"], 0),
    ]:
        result = subprocess.run([binary, "serve", "--port", "0", *arguments], capture_output=True, text=True, timeout=60)
        lines = [line for line in result.stderr.splitlines() if line.strip() and not line.startswith("martlet: http://")]
        report(name, result.returncode == code and len(lines) <= (0 if code == 0 else 1 if code == 1 else 3),
               f"exit {result.returncode}: {lines[:3]}")


for part in (loading, keys, draining, killed, failing):
    part()
sys.exit(1 if failures else 0)
