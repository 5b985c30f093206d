#!/usr/bin/env python3
"""Closed-loop load on a server of OpenAI's API on this machine: tokens per second, time to first token, gaps between tokens.

    Benchmarks/serving/load.py --port 8642 --clients 8 --requests 4 --read 256 --write 64

Every client asks `--requests` times, one after the other, for `--write` tokens after a prompt of about `--read`. Only 127.0.0.1 is asked, and
every loop is bounded. Needs nothing but Python. Prints one JSON object. llama-server takes the same requests, so both can be run in turn.
"""
import argparse
import asyncio
import json
import time


async def ask(port, model, prompt, write, key):
    """One streamed completion: (seconds to the first token, gaps, tokens written, tokens read)."""
    body = json.dumps({
        "model": model, "prompt": prompt, "max_tokens": write, "temperature": 0, "ignore_eos": True, "stream": True,
        "cache_prompt": False, "stream_options": {"include_usage": True}}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    began = time.monotonic()
    writer.write(
        b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nConnection: close\r\n"
        + f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    status = (await reader.readline()).split()[1]
    if status != b"200":
        raise RuntimeError(f"status {status.decode()}: {(await reader.read(2000)).decode(errors='replace')}")
    first, last, gaps, usage = None, None, [], {}
    while line := await reader.readline():
        if not line.startswith(b"data: {"):
            continue
        event, now = json.loads(line[6:]), time.monotonic()
        usage = event.get("usage") or usage
        if event["choices"] and event["choices"][0].get("text"):
            if first is None:
                first = now - began
            else:
                gaps.append(now - last)
            last = now
    writer.close()
    return first or 0.0, gaps, usage.get("completion_tokens", 0), usage.get("prompt_tokens", 0)


def share(values, part):
    """The value below which `part` of the values lie."""
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))] if values else 0.0


async def main(args):
    words = "time year people way day man thing woman life child world school state family student group".split()

    async def client(number):
        results = []
        for turn in range(args.requests):
            # Each prompt begins otherwise, so that nothing is remembered from another.
            if args.ids:
                # Exactly so many, whatever the vocabulary makes of words.
                prompt = [(7_919 * i + 104_729 * (number + 1) + 611_953 * turn) % args.ids for i in range(args.read)]
                results.append(await ask(args.port, args.model, prompt, args.write, args.key))
                continue
            prompt = f"{number} {turn} " + " ".join(words[(number + turn + i) % len(words)] for i in range(args.read - 6))
            results.append(await ask(args.port, args.model, prompt, args.write, args.key))
        return results

    began = time.monotonic()
    answers = [answer for part in await asyncio.gather(*[client(n) for n in range(args.clients)]) for answer in part]
    seconds = time.monotonic() - began
    written, read = sum(a[2] for a in answers), sum(a[3] for a in answers)
    gaps = [gap for answer in answers for gap in answer[1]]
    print(json.dumps({
        "clients": args.clients, "requests": len(answers), "seconds": round(seconds, 3), "read": read, "written": written,
        "tokens_per_second": round((read + written) / seconds, 1), "written_per_second": round(written / seconds, 1),
        "first_token_p50": round(share([a[0] for a in answers], 0.5), 4),
        "first_token_p99": round(share([a[0] for a in answers], 0.99), 4),
        "gap_p50": round(share(gaps, 0.5), 4), "gap_p99": round(share(gaps, 0.99), 4)}))


parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, default=8642)
parser.add_argument("--model", default="")
parser.add_argument("--key", default="none")
parser.add_argument("--clients", type=int, default=8, choices=range(1, 1025), metavar="1-1024")
parser.add_argument("--requests", type=int, default=4, choices=range(1, 101), metavar="1-100")
parser.add_argument("--read", type=int, default=256)
parser.add_argument("--write", type=int, default=64)
parser.add_argument("--ids", type=int, default=0, help="prompts are tokens below this number, not words")
asyncio.run(main(parser.parse_args()))
