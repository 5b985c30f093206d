#!/usr/bin/env python3
"""Clients that leave, dawdle, overload and pry, against a server on this machine; says what happened, and ends with 1 when it was wrong.

    martlet serve --port 8642 --slots 8 &
    Tools/clients/hostile.py --port 8642 --pid PID [--disconnects 1000] [--streams 200] [--minutes 10] [--only PART…]

`soak` runs for --minutes, and only when they are given: a mixed load, its memory and latency written to --csv and drawn to --svg.

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
import urllib.error
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
    """How long it takes until nothing runs, waits or has keys and values; nil when it never does."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        values = metrics()
        if busy(values) == 0 and values["martlet:kv_cache_blocks_used"] == 0 and values["martlet:requests_in_flight"] <= 1:
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
    gate = asyncio.Semaphore(1000)

    async def one(number):
        async with gate:
            while (text := await text_of(f"Canary {number % 50}:", number % 50)) is None:
                await asyncio.sleep(0.2)
            return text

    alone = [await text_of(f"Canary {number}:", number) for number in range(50)]
    before = memory()
    together = await asyncio.gather(*[one(number) for number in range(args.streams)])
    wrong = [n for n, text in enumerate(together) if text != alone[n % 50]]
    report("canaries", not wrong, f"{args.streams} streams, {len(wrong)} wrong; memory {before} to {memory()} (MB, descriptors)")


async def overload():
    """Ten times more than the queue takes, by clients that come again when they are told to: refusals are quick, and cost the accepted next
    to nothing."""
    refusals, statuses = [], set()

    async def client(end, counts):
        while time.monotonic() < end:
            began = time.monotonic()
            reader, writer = await asyncio.open_connection("127.0.0.1", args.port)
            writer.write(request({"prompt": "The", "max_tokens": 16, "ignore_eos": True}, extra="Connection: close\r\n"))
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            status = head.split()[1]
            statuses.add(status)
            if status == "200":
                if time.monotonic() <= end:
                    counts.append(16)
            else:
                later = [line for line in head.split("\r\n") if line.startswith("retry-after:")]
                refusals.append((time.monotonic() - began, bool(later)))
                wait = float(later[0].split(":")[1]) * (0.5 + random.random()) if later else 0.5
                await asyncio.sleep(max(0, min(wait, end - time.monotonic())))
            writer.close()

    async def rate(clients):
        counts, began = [], time.monotonic()
        await asyncio.gather(*[client(began + args.seconds, counts) for _ in range(clients)])
        return sum(counts) / args.seconds

    full = await rate(args.queue)
    over = await rate(10 * args.queue)
    late = sorted(seconds for seconds, _ in refusals)
    worst = late[int(len(late) * 0.99)] if late else 0
    good = statuses <= {"200", "429"} and all(said for _, said in refusals) and refusals and over >= 0.95 * full
    report("overload", good, f"{full:.0f} tokens/s with {args.queue} clients, {over:.0f} with ten times as many; "
                             f"{len(refusals)} refused, 99 % of them in {1000 * worst:.0f} ms")


def numbers():
    """Every numeric field at the edges of its range: 400 that names it."""
    ranges = {
        "max_tokens": (0, 1 << 24), "temperature": (0, 100), "top_p": (0, 1), "top_k": (-1, 1 << 24), "min_p": (0, 1),
        "typical_p": (0, 1), "repeat_penalty": (0.01, 100), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2),
        "n": (1, 8), "logprobs": (0, 20)}
    wrong = []
    for name, (low, high) in ranges.items():
        for value in [low - 1, high + 1, "1", [], {}, True, "NaN", 1e308, -1e308]:
            status, error = post({"prompt": "a", "max_tokens": 1, name: value})
            if status != 400 or error["param"] != name:
                wrong.append((name, value, status, error))
        for text in ["1e400", "-1e400", "99999999999999999999"]:
            status, error = post('{"prompt": "a", "%s": %s}' % (name, text))
            if status != 400:
                wrong.append((name, text, status, error))
        if low == 0 and name != "max_tokens":
            status, error = post('{"prompt": "a", "max_tokens": 1, "%s": -0}' % name)
            if status != 200:
                wrong.append((name, "-0", status, error))
    for field, value in [("logit_bias", {"99999999": 1}), ("logit_bias", {"-1": 1}), ("logit_bias", {"1": 101}),
                         ("logit_bias", {"x": 1}), ("stop", [""]), ("stop", ["a"] * 100_000), ("stop", [1]), ("n", 10**9)]:
        status, error = post({"prompt": "a", "max_tokens": 1, field: value})
        if status != 400 or not (error["param"] or "").startswith(field):
            wrong.append((field, status, error))
    report("numbers", not wrong, str(wrong[:3]))


def schemas():
    """Hostile schemas, expressions and grammars: an error or an answer, in bounded time."""
    deep = {"type": "string"}
    for _ in range(300):
        deep = {"type": "array", "items": deep}
    cases = [
        deep, {"$ref": "#"}, {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, {"enum": []},
        {"enum": list(range(100_000))}, {"anyOf": [{"const": n} for n in range(10_000)]}, {"type": "array", "minItems": 10**9},
        {"type": "string", "maxLength": 10**9}, {"type": "string", "minLength": 10**9}, {"type": "string", "pattern": "(a+)+$"},
        {"type": "string", "pattern": "(((((a*)*)*)*)*)*"}, {"type": "string", "pattern": "[a-z]{1,100000}"},
        {"type": "string", "pattern": "(?=a)b"}, {"type": "string", "pattern": "("}, {"type": "string", "pattern": "a" * 100_000},
        {"type": "integer", "minimum": -10**30, "maximum": 10**30}, {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"properties": {f"k{n}": {"type": "string"} for n in range(5_000)}, "type": "object"}, {"not": {}}, {"if": {}}, True, False,
        {"patternProperties": {"(a|b)*": {"type": "string"}}}, {"type": "nothing"}, {"type": ["string", "integer", 7]},
    ]
    bodies = [{"messages": [{"role": "user", "content": "x"}], "max_tokens": 8, "response_format": {
        "type": "json_schema", "json_schema": {"name": "x", "schema": case}}} for case in cases]
    for grammar in ["", "root ::=", "root ::= root", 'root ::= "a" | root', "root ::= " + '"a" | ' * 50_000 + '"a"', "root ::= other",
                    "root ::= (" * 5_000, 'root ::= "a"{1000000000}', "root ::= [^", "\0", 'root ::= ""']:
        bodies.append({"messages": [{"role": "user", "content": "x"}], "max_tokens": 8, "grammar": grammar})
    for parameters in cases:
        bodies.append({"messages": [{"role": "user", "content": "x"}], "max_tokens": 8, "tool_choice": "required", "tools": [
            {"type": "function", "function": {"name": "f", "parameters": parameters}}]})
    seen, wrong = {}, []
    for body in bodies:
        began = time.monotonic()
        status, error = post(body, "/v1/chat/completions")
        took = time.monotonic() - began
        seen[status] = seen.get(status, 0) + 1
        if status not in (200, 400) or took > 5:
            wrong.append((status, round(took, 1), error, json.dumps(body)[:120]))
    report("schemas", not wrong, f"{seen} {wrong[:3]}")


def characters():
    """What is written at random, in pieces, is what is written at once: characters are never cut."""
    wrong = 0
    for seed in range(30):
        body = {"prompt": "🦜東京", "max_tokens": 48, "temperature": 3, "seed": seed, "ignore_eos": True}
        whole = json.loads(raw(body)[1])["choices"][0]["text"]
        lines = raw({**body, "stream": True})[1].split("\n")
        parts = [choice["text"] for line in lines if line.startswith("data: {") for choice in json.loads(line[6:])["choices"]]
        wrong += "".join(parts) != whole
    report("characters", wrong == 0, f"{wrong} of 30 differ")


def raw(body, path="/v1/completions"):
    """Status and text of an answer."""
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    asked = urllib.request.Request(
        f"http://127.0.0.1:{args.port}{path}", data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def post(body, path="/v1/completions"):
    """Status and error of an answer."""
    status, text = raw(body, path)
    return status, json.loads(text).get("error")


async def soak():
    """A mixed load for minutes: what it takes of memory and descriptors, and how long answers take, over time."""
    end, rows, latencies, wrong = time.monotonic() + 60 * args.minutes, [], [], 0
    alone = {seed: await text_of(f"Canary {seed}:", seed) for seed in range(20)}

    async def client(number):
        nonlocal wrong
        random.seed(number)
        while time.monotonic() < end:
            kind = random.random()
            began = time.monotonic()
            if kind < 0.7:
                seed = random.randrange(20)
                text = await text_of(f"Canary {seed}:", seed)
                wrong += text not in (None, alone[seed])
                if text is None:
                    await asyncio.sleep(0.5)
                else:
                    latencies.append(time.monotonic() - began)
            elif kind < 0.9:
                await leave(random.randrange(1 << 20))
            else:
                await asyncio.to_thread(post, {"prompt": "x " * random.randrange(1, 4_000), "max_tokens": 4})

    async def watch():
        while time.monotonic() < end:
            await asyncio.sleep(5)
            recent, latencies[:] = sorted(latencies), []
            middle = recent[len(recent) // 2] if recent else 0
            last = recent[int(len(recent) * 0.99)] if recent else 0
            rows.append((round(time.monotonic() - end + 60 * args.minutes), *memory(), len(recent), middle, last))

    await asyncio.gather(watch(), *[client(number) for number in range(args.queue)])
    took = await asyncio.to_thread(idle)
    if args.csv:
        with open(args.csv, "w") as file:
            file.write("seconds,resident_megabytes,descriptors,answers,median_seconds,p99_seconds\n")
            file.writelines(",".join(f"{value:g}" for value in row) + "\n" for row in rows)
    if args.svg:
        draw(rows, args.svg)
    third = max(1, len(rows) // 3)
    first, last = (sum(row[1] for row in part) / len(part) for part in (rows[third:2 * third] or rows, rows[-third:]))
    answers = sum(row[3] for row in rows)
    report("soak", not wrong and took is not None and last <= first * 1.05,
           f"{args.minutes:g} minutes, {answers} answers, {wrong} wrong; {first:.0f} MB in the second third, {last:.0f} in the last; "
           f"idle after {took} s")


def draw(rows, path):
    """Memory and latency over time as a picture."""
    curves = [("resident memory (MB)", 1, "#9a3412"), ("median latency (s)", 4, "#1d4ed8"), ("99 % latency (s)", 5, "#15803d")]
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 420" font-family="sans-serif" font-size="11">',
             '<rect width="640" height="420" fill="#fff"/>']
    span = max(row[0] for row in rows) or 1
    for index, (name, column, colour) in enumerate(curves):
        top, most = 25 + 130 * index, max(row[column] for row in rows) or 1
        points = " ".join(f"{60 + 560 * row[0] / span:.1f},{top + 90 - 90 * row[column] / most:.1f}" for row in rows)
        parts.append(f'<path d="M60,{top} V{top + 90} H620" fill="none" stroke="#999"/><text x="60" y="{top - 6}">{name}</text>'
                     f'<text x="54" y="{top + 8}" text-anchor="end">{most:.3g}</text><text x="54" y="{top + 93}" text-anchor="end">0</text>'
                     f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    parts.append(f'<text x="60" y="410">0 s</text><text x="620" y="410" text-anchor="end">{span:.0f} s</text></svg>')
    with open(path, "w") as file:
        file.write("\n".join(parts))


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
    parts = [disconnects, canaries, overload, numbers, schemas, characters, odd, slow] + ([soak] if args.minutes else [])
    for part in parts:
        if args.only and part.__name__ not in args.only:
            continue
        if asyncio.iscoroutinefunction(part):
            await part()
        else:
            await asyncio.to_thread(part)
        await asyncio.to_thread(idle)
    time.sleep(1)
    print(f"memory {before} to {memory()} (MB, descriptors)")
    return 1 if failures else 0


parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, default=8642)
parser.add_argument("--pid", type=int)
parser.add_argument("--only", nargs="*", help="parts by name")
parser.add_argument("--disconnects", type=int, default=1000)
parser.add_argument("--streams", type=int, default=200)
parser.add_argument("--queue", type=int, default=32, help="clients that fill the server's --max-queue, or load it when it is soaked")
parser.add_argument("--seconds", type=float, default=10, help="of each half of overload")
parser.add_argument("--minutes", type=float, default=0, help="of soak")
parser.add_argument("--csv")
parser.add_argument("--svg")
parser.add_argument("--idle", type=int, default=30, help="the server's seconds for a silent connection")
args = parser.parse_args()
sys.exit(asyncio.run(main()))
