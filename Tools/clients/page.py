#!/usr/bin/env python3
"""Drives the page of a server on this machine with headless Chromium, by its own protocol over pipes: type, stream, stop, look inside, 390
pixels wide, keyboard only, dark; checks that no request leaves the origin, and writes pictures.

    apt-get install chromium
    martlet serve -m MODEL --port 8642 &
    Tools/clients/page.py --port 8642 --pictures FOLDER [--others NAME=TEXT…]

Others are encoders and encoder-decoders of the same server, which are only looked into.
"""
import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import time


class Browser:
    """Chromium, spoken to in JSON ended by NUL over descriptors 3 and 4."""

    def __init__(self, program):
        read_commands, self.commands = os.pipe()
        self.answers, write_answers = os.pipe()
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        # The child takes its ends as 3 and 4.
        os.set_inheritable(read_commands, True)
        os.set_inheritable(write_answers, True)
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{read_commands} 4>&{write_answers}', "-", program, "--headless=new",
             "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", f"--user-data-dir={self.profile.name}",
             "--no-first-run", "--disable-background-networking", "--disable-component-update", "about:blank"],
            pass_fds=(read_commands, write_answers), stderr=subprocess.DEVNULL)
        self.number, self.buffer, self.requests, self.session = 0, b"", [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.call(domain + ".enable")

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.next()
            if answer.get("method") == "Network.requestWillBeSent":
                self.requests.append(answer["params"]["request"]["url"])
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def next(self):
        while b"\0" not in self.buffer:
            part = os.read(self.answers, 1 << 20)
            if not part:
                raise RuntimeError("the browser has ended")
            self.buffer += part
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def run(self, script):
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"])
        return result["result"].get("value")

    def wait(self, script, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.run(script):
                return
            time.sleep(0.1)
        raise AssertionError(f"did not happen in {seconds} s: {script}")

    def key(self, name, text=None):
        codes = {"Enter": 13, "Tab": 9, "ArrowRight": 39, "ArrowLeft": 37, "Escape": 27}
        common = dict(key=name, code=name, windowsVirtualKeyCode=codes.get(name, 0))
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def picture(self, name):
        if args.pictures:
            data = self.call("Page.captureScreenshot", format="png")["data"]
            with open(os.path.join(args.pictures, name + ".png"), "wb") as file:
                file.write(base64.b64decode(data))

    def look_like(self, width, height, scheme):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


def main():
    browser = Browser(args.chromium)
    origin = f"http://127.0.0.1:{args.port}/"
    browser.look_like(1100, 900, "light")
    browser.call("Page.navigate", url=origin)
    browser.wait("document.querySelectorAll('#model option').length > 0")
    if args.model:
        choose(browser, args.model)
    # Keyboard only: Tab to the message, type, Enter.
    browser.run("document.querySelector('#tab-chat').focus()")
    for _ in range(3):
        browser.key("Tab")
        if browser.run("document.activeElement.id") == "message":
            break
    assert browser.run("document.activeElement.id") == "message", browser.run("document.activeElement.id")
    browser.call("Input.insertText", text="What is a bird? Answer in one sentence.")
    browser.key("Enter", "\r")
    browser.wait("document.querySelectorAll('.message.assistant .tools').length == 1", 120)
    answer = browser.run("document.querySelector('.message.assistant .text').textContent")
    assert answer.strip(), "an empty answer"
    browser.picture("chat-light")
    # Regenerate, then stop while it streams.
    browser.run("document.getElementById('max-tokens').value = 2000")
    browser.run("document.querySelectorAll('.message.assistant .tools button')[1].click()")
    browser.wait("document.querySelector('.message.assistant .text').textContent.length > 0")
    browser.key("Escape")
    browser.wait("document.getElementById('stop').disabled")
    browser.look_like(390, 844, "dark")
    assert browser.run("document.documentElement.scrollWidth <= 390"), "wider than the phone"
    browser.picture("chat-phone-dark")
    conversations(browser)
    # Look inside, by the keyboard.
    browser.look_like(1100, 1500, "light")
    browser.run("document.querySelector('#tab-chat').focus()")
    browser.key("ArrowRight")
    assert browser.run("!document.getElementById('look').hidden")
    browser.run("document.getElementById('run').click()")
    browser.wait("!document.getElementById('result').hidden", 120)
    count = browser.run("document.querySelectorAll('#tokens [role=option]').length")
    assert count > 3, count
    browser.run("document.querySelector('#tokens [aria-selected=true]').focus()")
    browser.key("ArrowLeft")
    browser.wait(f"document.querySelector('#tokens [aria-selected=true]') == document.querySelectorAll('#tokens [role=option]')[{count - 2}]")
    browser.wait("!document.getElementById('run').disabled")
    shares = browser.run("[...document.querySelectorAll('#next .value')].map(v => parseFloat(v.textContent))")
    assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 100.5, shares
    before = shares[0]
    browser.run("{const t = document.getElementById('t'); t.value = 0.3; t.dispatchEvent(new Event('input'))}")
    after = browser.run("parseFloat(document.querySelector('#next .value').textContent)")
    assert after >= before, (before, after)
    browser.run("{const t = document.getElementById('t'); t.value = 1; t.dispatchEvent(new Event('input'))}")
    browser.picture("look-light")
    browser.look_like(390, 1600, "dark")
    assert browser.run("document.documentElement.scrollWidth <= 390"), "wider than the phone"
    browser.picture("look-phone-dark")
    for other in args.others:
        look_into(browser, *other.split("=", 1))
    outside = [url for url in browser.requests if not url.startswith((origin, "data:", "about:"))]
    assert not outside, outside
    print(f"the page works; {len(browser.requests)} requests, none left {origin}")
    browser.process.kill()
    browser.process.wait()


MARKED = "# Sum\nUse `add` for **two** numbers:\n```python\ndef add(a, b):\n    return a + b  # <script>\n```\nDone, 2 * 3 * 4."


def conversations(browser):
    """What answers mark is shown, and errors and cleared answers are no part of the conversation: by answers that are made up here."""
    browser.run("document.getElementById('clear').click()")
    browser.wait("document.getElementById('stop').disabled")
    events = "".join(f"data: {json.dumps({'choices': [{'delta': {'content': letter}}]})}\n\n" for letter in MARKED)
    error = json.dumps({"error": {"message": "This one fails."}})
    browser.run("window.bodies = []; window.realFetch = window.fetch")
    for text, answer, status in [("first", events, 200), ("second", error, 400), ("third", events, 200)]:
        browser.run(f"window.fetch = async (path, request) => {{ window.bodies.push(request.body); "
                    f"return new Response({json.dumps(answer)}, {{ status: {status} }}) }}; document.getElementById('message').focus()")
        count = browser.run("document.querySelectorAll('.message.assistant .tools').length")
        browser.call("Input.insertText", text=text)
        browser.key("Enter", "\r")
        browser.wait(f"document.querySelectorAll('.message.assistant .tools').length == {count + 1}")
    assert browser.run("document.querySelector('.message pre code').textContent") == "def add(a, b):\n    return a + b  # <script>"
    assert browser.run("[...document.querySelectorAll('.message .text')][1].textContent").endswith("Done, 2 * 3 * 4.")
    assert browser.run("document.querySelectorAll('.message.error').length") == 1
    said = [(message["role"], message["content"]) for message in json.loads(browser.run("window.bodies[2]"))["messages"]]
    assert said == [("user", "first"), ("assistant", MARKED), ("user", "third")], said
    end = browser.run("document.documentElement.scrollHeight - document.documentElement.scrollTop - innerHeight")
    assert end < 160, f"the end of the conversation is {end} below"
    browser.run("window.fetch = window.realFetch; document.getElementById('clear').click()")


def choose(browser, model):
    browser.run(f"{{const m = document.getElementById('model'); m.value = {json.dumps(model)};"
                "m.dispatchEvent(new Event('change'))}")


def look_into(browser, model, text):
    """One look into a model that does not chat: every kind of attention that it has is shown."""
    browser.look_like(1100, 1500, "light")
    choose(browser, model)
    browser.run(f"document.getElementById('text').value = {json.dumps(text)}")
    browser.run("document.getElementById('run').click()")
    browser.wait(f"document.getElementById('summary').textContent.startsWith({json.dumps(model)})", 120)
    assert not browser.run("document.getElementById('notice').textContent")
    for kind in browser.run("[...document.querySelectorAll('#which option')].map(o => o.value)"):
        browser.run(f"{{const w = document.getElementById('which'); w.value = {json.dumps(kind)};"
                    "w.dispatchEvent(new Event('change'))}")
        shares = browser.run("[...document.querySelectorAll('#attended .value')].map(v => parseFloat(v.textContent))")
        assert shares and shares == sorted(shares, reverse=True) and sum(shares) < 102, (kind, shares)
    browser.picture("look-" + model)


parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, default=8642)
parser.add_argument("--model", default="")
parser.add_argument("--chromium", default="chromium")
parser.add_argument("--pictures")
parser.add_argument("--others", nargs="*", default=[])
args = parser.parse_args()
sys.exit(main())
