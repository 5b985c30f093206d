#!/usr/bin/env python3
"""Clients that leave, dawdle, overload and pry, against a server on this machine; says what happened, and ends with 1 when it was wrong.

    martlet serve --port 8642 --slots 8 &
    Tools/clients/hostile.py --port 8642 --pid PID [--disconnects 1000] [--streams 200]

Only 127.0.0.1 is asked, and every loop is bounded. Needs nothing but Python.
"""
import argparse
import asyncio
import json
import os
import random
import struct
import socket
import sys
import time
import urllib.request

failures = []


def report(name, good, facts=""):
    print(f"{name}: {'ok' if good else 'WRONG'} {facts}", flush=True)
    if not good:
        failures.append(name)


def get(path):
    with urllib.request.urlopen(f"http://127.0.0.1:{args.port}{path}", timeout=30) as answer:
        return answer.read().decode()


def metrics():
    """The values of the exposition by name, summed over labels."""
    values = {}
    for line in get("/metrics").splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            name = name.split("{")[0]
            values[name] = values.get(name, 0) + float(value)
    return values


def busy(values):
    return values["martlet:num_requests_running"] + values["martlet:num_requests_waiting"]


def memory():
    """Resident megabytes and open descriptors of the server."""
    if not args.pid:
        return 0, 0
    with open(f"/proc/{args.pid}/status") as file:
        resident = next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024
    return resident, len(os.listdir(f"/proc/{args.pid}/fd"))


def request(body, path="/v1/completions", extra=""):
    data = json.dumps(body).encode()
    return (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{extra}"
            f"Content-Length: {len(data)}\r\n\r\n").encode() + data


def idle(seconds=20):
    """How long it takes until nothing runs or waits; nil when it never does."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        values = metrics()
        if busy(values) == 0 and values["martlet:requests_in_flight"] <= 1:
            return time.monotonic() - began
        time.sleep(0.02)
    return None


async def leave(number):
    """One client that leaves: queued, reading or writing, streaming or not, by FIN or RST."""
    reader, writer = await asyncio.open_connection("127.0.0.1", args.port)
    stream = number % 2 == 0
    writer.write(request({"prompt": "The " * (1 + number % 40), "max_tokens": 400, "ignore_eos": True, "stream": stream}))
    await writer.drain()
    if stream and number % 3 == 0:
        await reader.read(600)
    else:
        await asyncio.sleep(random.random() * 0.05)
    if number % 5 == 0:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()


async def disconnects():
    before = metrics()["martlet:client_disconnects_total"]
    for start in range(0, args.disconnects, 25):
        await asyncio.gather(*[leave(n) for n in range(start, min(start + 25, args.disconnects))])
    took = await asyncio.to_thread(idle)
    count = metrics()["martlet:client_disconnects_total"] - before
    report("disconnects", took is not None and count == args.disconnects, f"{count:.0f} counted, idle after {took} s")


async def text_of(prompt, seed, tokens=24):
    reader, writer = await asyncio.open_connection("127.0.0.1", args.port)
    writer.write(request({"prompt": prompt, "max_tokens": tokens, "temperature": 1, "seed": seed, "stream": True,
                          "ignore_eos": True}, extra="Connection: close\r\n"))
    await writer.drain()
    if b"200" not in await reader.readline():
        writer.close()
        return None
    text = ""
    while line := await reader.readline():
        if line.startswith(b"data: {"):
            text += "".join(choice["text"] for choice in json.loads(line[6:])["choices"])
    writer.close()
    return text


async def canaries():
    """Streams at once, each with a text and seed of its own: none may hold what another says."""
    gate = asyncio.Semaphore(64)

    async def one(number):
        async with gate:
            return await text_of(f"Canary {number % 50}:", number % 50)

    alone = [await text_of(f"Canary {number}:", number) for number in range(50)]
    before = memory()
    together = await asyncio.gather(*[one(number) for number in range(args.streams)])
    wrong = [n for n, text in enumerate(together) if text != alone[n % 50]]
    after = memory()
    report("canaries", not wrong, f"{args.streams} streams, {len(wrong)} wrong; memory {before} to {after} (MB, descriptors)")


async def overload():
    """Ten times more than the queue takes: refusals are quick and say when to come again."""
    async def one():
        began = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", args.port)
        writer.write(request({"prompt": "The", "max_tokens": 8, "ignore_eos": True}, extra="Connection: close\r\n"))
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        writer.close()
        return head.split()[1], "retry-after:" in head, time.monotonic() - began

    answers = await asyncio.gather(*[one() for _ in range(args.overload)])
    refused = [answer for answer in answers if answer[0] == "429"]
    good = all(answer[0] in ("200", "429") for answer in answers) and all(answer[1] for answer in refused)
    report("overload", good, f"{len(refused)} of {len(answers)} refused")


async def slow():
    """Silent and dripping connections beside honest ones."""
    silent = [await asyncio.open_connection("127.0.0.1", args.port) for _ in range(100)]
    for index, (_, writer) in enumerate(silent):
        if index % 2:
            writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: 127")
    began = time.monotonic()
    text = await text_of("The", 1)
    report("honest beside slow", text is not None, f"{time.monotonic() - began:.2f} s")

    async def closed(reader):
        return await asyncio.wait_for(reader.read(1000), args.idle + 10) is not None

    ends = await asyncio.gather(*[closed(reader) for reader, _ in silent], return_exceptions=True)
    report("slow connections end", all(end is True for end in ends), f"after {time.monotonic() - began:.1f} s")


async def odd():
    """Bytes that are no good request: every one gets an answer or a closed connection, and the server lives."""
    pieces = [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"".join(b"x%d: 1\r\n" % n for n in range(10_000)) + b"\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x00" * 100, b"GET /\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    ]
    bodies = [b"[" * 10_000, b'{"prompt": "\xff\xfe"}', b'{"prompt": "\\ud800"}', b'{"temperature": 1e400}', b'{"a":1,"a":2}',
              b"\xef\xbb\xbf{}", b'{"prompt": NaN}', b"", b'{"prompt": "\\u0000"}', b'{"prompt": "' + b"x" * 10_000_000 + b'"}']
    for body in bodies:
        pieces.append(b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                      b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    seen = []
    for piece in pieces:
        reader, writer = await asyncio.open_connection("127.0.0.1", args.port)
        try:
            writer.write(piece)
            await writer.drain()
            line = await asyncio.wait_for(reader.readline(), 40)
            seen.append(line.split()[1].decode() if line else "closed")
        except (ConnectionError, asyncio.TimeoutError) as error:
            seen.append(type(error).__name__)
        writer.close()
    good = json.loads(get("/health"))["status"] == "ok" and not any(status.startswith("5") for status in seen)
    report("odd bytes", good, " ".join(seen))


async def main():
    before = memory()
    for part in (disconnects, canaries, overload, odd, slow):
        await part()
        await asyncio.to_thread(idle)
    time.sleep(1)
    print(f"memory {before} to {memory()} (MB, descriptors)")
    return 1 if failures else 0


parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, default=8642)
parser.add_argument("--pid", type=int)
parser.add_argument("--disconnects", type=int, default=1000)
parser.add_argument("--streams", type=int, default=200)
parser.add_argument("--overload", type=int, default=400)
parser.add_argument("--idle", type=int, default=30, help="the server's seconds for a silent connection")
args = parser.parse_args()
sys.exit(asyncio.run(main()))
