#!/usr/bin/env python3
"""Martlet's server beside llama.cpp's on the same model files: the load of load.py on one after the other, in turns.

    Benchmarks/serving/compare.py .build/release/martlet MODEL.gguf… --peer "PYTHON Benchmarks/serving/llama_server.py" [--clients 8 32]

--peer is a command that takes MODEL --port N --slots N --threads N and serves OpenAI's API until it is ended; a folder with llama_server.py is
enough, with a Python that has xllamacpp. Starts servers of its own on free ports of 127.0.0.1, one at a time. Prints a table and JSON lines.
"""
import argparse
import json
import os
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request

parser = argparse.ArgumentParser()
parser.add_argument("binary")
parser.add_argument("models", nargs="+")
parser.add_argument("--peer", required=True)
parser.add_argument("--clients", type=int, nargs="+", default=[8, 32])
parser.add_argument("--requests", type=int, default=2, help="of each client in each turn")
parser.add_argument("--read", type=int, default=256)
parser.add_argument("--write", type=int, default=64)
parser.add_argument("--turns", type=int, default=2)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--ids", type=int, default=30_000, help="prompts are tokens below this number; 0 for words")
args = parser.parse_args()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A server while it is used."""

    def __init__(self, command, port):
        self.port = port
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10).read()
                return
            except (urllib.error.URLError, ConnectionError):
                if self.process.poll() is not None:
                    raise SystemExit(f"{command}: it ended with {self.process.returncode}")
                time.sleep(0.1)
        raise SystemExit(f"{command}: not ready after a minute")

    def load(self, clients, requests):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "load.py")
        out = subprocess.run(
            [sys.executable, script, "--port", str(self.port), "--clients", str(clients), "--requests", str(requests),
             "--read", str(args.read), "--write", str(args.write), "--ids", str(args.ids)], check=True, capture_output=True, text=True).stdout
        return json.loads(out)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def ours(model, port, slots):
    return [args.binary, "serve", "-m", f"model={model}", "--port", str(port), "--slots", str(slots), "--threads", str(args.threads)]


def theirs(model, port, slots):
    return [*shlex.split(args.peer), model, "--port", str(port), "--slots", str(slots), "--threads", str(args.threads)]


print("| model | clients | tokens/s | peer | ratio | first token p50 | peer | p99 | peer | ratio | between p99 | peer |")
print("|---|---|---|---|---|---|---|---|---|---|---|---|")
for model in args.models:
    for clients in args.clients:
        results = {ours: [], theirs: []}
        for _ in range(args.turns):
            for side, command in enumerate((ours, theirs)):
                port = free_port()
                server = Server(command(model, port, clients), port)
                try:
                    server.load(min(2, clients), 1)
                    results[command].append(server.load(clients, args.requests))
                finally:
                    server.end()
                print(json.dumps({"side": ["martlet", "peer"][side], "model": model, **results[command][-1]}), file=sys.stderr, flush=True)

        def middle(side, name):
            return statistics.median(result[name] for result in results[side])

        mine, other = middle(ours, "tokens_per_second"), middle(theirs, "tokens_per_second")
        first, last = [middle(side, "first_token_p50") for side in (ours, theirs)], [middle(side, "first_token_p99") for side in (ours, theirs)]
        gaps = [middle(side, "gap_p99") for side in (ours, theirs)]
        print(f"| {os.path.basename(model)} | {clients} | {mine:.0f} | {other:.0f} | {mine / other:.2f} | {first[0]:.2f} s | {first[1]:.2f} s "
              f"| {last[0]:.2f} s | {last[1]:.2f} s | {last[0] / last[1]:.2f} | {1000 * gaps[0]:.0f} ms | {1000 * gaps[1]:.0f} ms |", flush=True)
