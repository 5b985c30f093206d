"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const make = (tag, text, className) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  };
  const notice = (text) => { $("notice").textContent = text || ""; };

  // A message of the server's error envelope, or the status.
  const failure = async (response) => {
    try { return (await response.json()).error.message; } catch { return "The server answered " + response.status + "."; }
  };
  const post = (path, body, signal) => fetch(path, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal });

  // ---- models and tabs

  let models = [];
  const current = () => models.find((model) => model.id === $("model").value);
  // A model that is not loaded yet is loaded when it is asked: what it can is known then.
  const can = (task) => !current()?.meta || current().meta.tasks.includes(task);

  const chosen = () => {
    const model = current();
    if (!model) return;
    $("pair-label").hidden = !model.meta || !can("classify");
    $("target-label").hidden = !model.meta || !can("translate");
    const talks = can("chat") || can("complete");
    $("send").disabled = !talks || Boolean(running);
    notice(talks || !$("look").hidden ? "" : "This model does not continue texts; look inside it instead.");
    $("message").placeholder = !talks ? "This model writes nothing" : can("chat") ? "Write a message; Enter sends, Shift-Enter makes a new line"
      : "This model continues a text: write its beginning";
  };

  const loadModels = async () => {
    const response = await fetch("v1/models");
    if (!response.ok) return notice(await failure(response));
    const selected = $("model").value;
    models = (await response.json()).data;
    $("model").replaceChildren(...models.map((model) => {
      const option = make("option", model.id);
      option.value = model.id;
      return option;
    }));
    if (models.some((model) => model.id === selected)) $("model").value = selected;
    if (!models.length) { notice("The model is being loaded."); setTimeout(loadModels, 1000); } else { notice(""); }
    chosen();
  };
  $("model").addEventListener("change", chosen);

  const tabs = [$("tab-chat"), $("tab-look")];
  const show = (tab) => {
    for (const other of tabs) {
      const isShown = other === tab;
      other.setAttribute("aria-selected", String(isShown));
      other.tabIndex = isShown ? 0 : -1;
      $(other.getAttribute("aria-controls")).hidden = !isShown;
    }
    chosen();
  };
  tabs.forEach((tab, index) => {
    tab.addEventListener("click", () => show(tab));
    tab.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      const other = tabs[1 - index];
      show(other);
      other.focus();
    });
  });

  // ---- chat

  let messages = [];
  let running = null;

  const number = (id) => $(id).value === "" ? undefined : Number($(id).value);
  const settings = () => ({
    temperature: number("temperature"), top_p: number("top-p"), top_k: number("top-k"),
    max_tokens: number("max-tokens"), seed: number("seed") });

  const bubble = (role, text) => {
    const element = make("article", undefined, "message " + role);
    element.append(make("span", role === "user" ? "You" : current()?.id || "Model", "who"));
    const thinking = make("span", "", "thinking");
    thinking.hidden = true;
    const body = make("span", text, "text");
    element.append(thinking, body);
    follow(() => $("log").append(element));
    return { element, thinking, body, text: text };
  };

  // Changes the conversation; whoever looks at its end goes on to see the end.
  const follow = (change) => {
    const page = document.documentElement;
    const isAtEnd = page.scrollHeight - page.scrollTop - page.clientHeight < 160;
    change();
    if (isAtEnd) page.scrollTop = page.scrollHeight;
  };

  // What answers mark in a text: code, bold words, headings. Nothing else of Markdown, and never HTML.
  const inline = (text) => text.split(/(`[^`\n]+`|\*\*[^*\n]+\*\*|^#{1,6} [^\n]*$)/m).filter(Boolean).map((part) => {
    if (part.length > 2 && part.startsWith("`") && part.endsWith("`")) return make("code", part.slice(1, -1));
    if (part.length > 4 && part.startsWith("**") && part.endsWith("**")) return make("strong", part.slice(2, -2));
    const heading = /^#{1,6} ([^\n]*)$/.exec(part);
    return heading ? make("strong", heading[1]) : document.createTextNode(part);
  });

  const render = (shown) => {
    const nodes = [];
    let [lines, code] = [[], null];
    const flush = (isLast) => {
      const text = lines.join("\n").replace(nodes.length ? /^\n+/ : /^$/, "").replace(isLast ? /$^/ : /\n+$/, "");
      nodes.push(...inline(text));
      lines = [];
    };
    const flushCode = () => {
      const block = make("pre");
      block.append(make("code", code.join("\n")));
      nodes.push(block);
      code = null;
    };
    for (const line of shown.text.split("\n")) {
      if (!/^\s*```/.test(line)) (code ?? lines).push(line);
      else if (code) flushCode();
      else { flush(false); code = []; }
    }
    if (code) flushCode(); else flush(true);
    follow(() => shown.body.replaceChildren(...nodes));
  };

  const finishBubble = (shown, facts) => {
    const tools = make("div", undefined, "tools");
    const copy = make("button", "Copy");
    copy.type = "button";
    copy.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(shown.text); copy.textContent = "Copied"; }
      catch { copy.textContent = "Not allowed here"; }
      setTimeout(() => { copy.textContent = "Copy"; }, 1500);
    });
    const again = make("button", "Regenerate");
    again.type = "button";
    again.addEventListener("click", () => {
      if (running) return;
      const index = messages.findIndex((message) => message.shown === shown);
      if (index < 0) return;
      for (const message of messages.slice(index)) message.shown.element.remove();
      messages = messages.slice(0, index);
      answer();
    });
    tools.append(copy, again, make("span", facts));
    follow(() => shown.element.append(tools));
  };

  // Calls `take` with each object of a stream of events.
  const events = async (response, take) => {
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      const lines = rest.split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
        const event = JSON.parse(line.slice(6));
        if (event.error) throw new Error(event.error.message);
        take(event);
      }
    }
  };

  // The conversation without questions that got an error for an answer.
  const kept = () => messages.filter((message, index) => !message.failed && !messages[index + 1]?.failed);

  const request = () => {
    const common = { model: current().id, stream: true, stream_options: { include_usage: true }, ...settings() };
    if (can("chat")) {
      const system = $("system").value.trim();
      const all = kept().map(({ role, content }) => ({ role, content }));
      return ["v1/chat/completions", { ...common, messages: system ? [{ role: "system", content: system }, ...all] : all }];
    }
    return ["v1/completions", { ...common, prompt: kept().map((message) => message.content).join("") }];
  };

  const answer = async () => {
    const isKnown = Boolean(current().meta);
    const [path, body] = request();
    const shown = bubble("assistant", "");
    running = new AbortController();
    $("stop").disabled = false;
    $("send").disabled = true;
    let usage = null;
    let thinking = "";
    const began = performance.now();
    let first = 0;
    let failed = false;
    try {
      const response = await post(path, body, running.signal);
      if (!response.ok) throw new Error(await failure(response));
      await events(response, (event) => {
        usage = event.usage || usage;
        const choice = event.choices[0];
        if (!choice) return;
        const delta = choice.delta || { content: choice.text };
        if (delta.content || delta.reasoning_content) first = first || performance.now();
        if (delta.reasoning_content) {
          thinking += delta.reasoning_content;
          shown.thinking.hidden = false;
          shown.thinking.textContent = thinking;
        }
        if (delta.content) {
          shown.text += delta.content;
          render(shown);
        }
      });
    } catch (error) {
      if (error.name !== "AbortError") {
        failed = !shown.text;
        shown.element.classList.add("error");
        shown.body.append((shown.text ? "\n" : "") + error.message);
      }
    }
    const seconds = (performance.now() - (first || began)) / 1000;
    const count = usage?.completion_tokens;
    finishBubble(shown, count ? count + " tokens, " + (count / Math.max(seconds, 0.001)).toFixed(1) + " a second" : "");
    // The conversation may have been cleared meanwhile.
    if (shown.element.isConnected) messages.push({ role: "assistant", content: shown.text, failed, shown });
    running = null;
    const isElsewhere = ![document.body, $("stop"), $("send")].includes(document.activeElement);
    $("stop").disabled = true;
    chosen();
    if (!isElsewhere) $("message").focus();
    if (!isKnown) await loadModels();
  };

  const send = () => {
    const text = $("message").value;
    if (!text.trim() || running || !current() || $("send").disabled) return;
    notice("");
    messages.push({ role: "user", content: text, shown: bubble("user", text) });
    $("message").value = "";
    answer();
  };
  $("composer").addEventListener("submit", (event) => { event.preventDefault(); send(); });
  $("message").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
    if (event.key === "Escape") running?.abort();
  });
  $("stop").addEventListener("click", () => running?.abort());
  $("clear").addEventListener("click", () => { running?.abort(); messages = []; $("log").replaceChildren(); });

  // ---- look inside

  let look = null;
  let row = 0;

  const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const visible = (text) => text.replace(/\n/g, "⏎").replace(/\t/g, "⇥").replace(/ /g, "·") || "∅";
  const percent = (value) => (100 * value).toFixed(value < 0.001 ? 3 : 1) + " %";

  const bars = (list, items) => list.replaceChildren(...items.map((item) => {
    const line = make("li", undefined, item.out ? "out" : "");
    const bar = make("span", undefined, "bar");
    const fill = make("i");
    fill.style.width = Math.max(0, Math.min(100, 100 * item.share)) + "%";
    bar.append(fill);
    line.append(make("code", item.name), bar, make("span", item.value, "value"));
    return line;
  }));

  const tokenList = (list, tokens, select) => {
    list.replaceChildren(...tokens.map((token, index) => {
      const option = make("span", visible(token.text));
      option.setAttribute("role", "option");
      option.setAttribute("aria-label", "token " + (index + 1) + ": " + token.text);
      option.tabIndex = -1;
      option.append(make("small", String(token.id)));
      option.addEventListener("click", () => select(index));
      option.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); select(index); }
        if (!step) return;
        event.preventDefault();
        const next = Math.max(0, Math.min(tokens.length - 1, index + step));
        list.children[next].focus();
        select(next);
      });
      return option;
    }));
    if (list.firstChild) list.firstChild.tabIndex = 0;
  };

  const written = () => look.target_tokens || look.tokens;
  const kinds = { attention: "over itself", encoder_attention: "of the encoder", cross_attention: "of what is written over the text" };
  const attention = () => (look[$("which").value] || [])[Number($("layer").value)];

  // The weights of one row, of one head or their mean.
  const weights = (map, index) => {
    const head = Number($("head").value);
    const heads = head < 0 ? [...Array(map.heads).keys()] : [head];
    return Array.from({ length: map.keys }, (_, key) =>
      heads.reduce((sum, h) => sum + map.bytes[(h * map.rows + index) * map.keys + key], 0) / (255 * heads.length));
  };

  const keysOf = () => $("which").value === "attention" ? written() : look.tokens;
  const rowsOf = () => $("which").value === "encoder_attention" ? look.tokens : written();

  const showAttention = () => {
    const map = attention();
    const canvas = $("map");
    canvas.hidden = !map;
    if (!map) return $("attended").replaceChildren();
    map.bytes = map.bytes || bytesOf(map.weights);
    $("head").max = map.heads - 1;
    $("layer-value").textContent = Number($("layer").value) + 1 + " of " + look[$("which").value].length;
    $("head-value").textContent = Number($("head").value) < 0 ? "mean of " + map.heads : Number($("head").value) + 1 + " of " + map.heads;
    canvas.width = map.keys;
    canvas.height = map.rows;
    const context = canvas.getContext("2d");
    const picture = context.createImageData(map.keys, map.rows);
    const [r, g, b] = getComputedStyle(document.documentElement).getPropertyValue("--mark").split(",").map(Number);
    for (let i = 0; i < map.rows; i++) {
      weights(map, i).forEach((weight, key) => {
        picture.data.set([r, g, b, Math.round(255 * Math.sqrt(weight))], 4 * (i * map.keys + key));
      });
    }
    context.putImageData(picture, 0, 0);
    const own = weights(map, Math.min(row, map.rows - 1));
    const order = own.map((weight, key) => key).sort((a, b) => own[b] - own[a]).slice(0, 12);
    bars($("attended"), order.map((key) => ({
      name: visible(keysOf()[key]?.text ?? ""), share: own[key], value: percent(own[key]) })));
    const list = $("which").value === "attention" && look.target_tokens ? $("target-tokens") : $("tokens");
    for (const other of [$("tokens"), $("target-tokens")]) for (const child of other.children) child.style.background = "";
    own.forEach((weight, key) => {
      if (list.children[key]) list.children[key].style.background = "rgba(var(--mark), " + Math.sqrt(weight) * 0.8 + ")";
    });
  };

  // The distribution by temperature, top-k and top-p, as the sampler has it.
  const showNext = () => {
    const [t, k, p] = ["t", "k", "p"].map((id) => Number($(id).value));
    $("t-value").textContent = t.toFixed(2);
    $("k-value").textContent = k || "all";
    $("p-value").textContent = p.toFixed(2);
    if (!look.next) return $("next").replaceChildren();
    if (!look.next.values) {
      const bytes = bytesOf(look.next.logits);
      look.next.values = new Float32Array(bytes.buffer);
    }
    const values = look.next.values;
    const most = look.next.best.length ? values[look.next.best[0].id] : 0;
    const weight = (value) => t === 0 ? (value === most ? 1 : 0) : Math.exp((value - most) / t);
    const kept = k > 0 ? look.next.best.slice(0, k) : null;
    let total = 0;
    if (kept) for (const token of kept) total += weight(values[token.id]);
    else for (const value of values) total += weight(value);
    let mass = 0;
    const items = look.next.best.slice(0, 12).map((token, index) => {
      const share = weight(values[token.id]) / total;
      const out = (k > 0 && index >= k) || (p < 1 && mass >= p);
      if (!out) mass += share;
      return { name: visible(token.text), share: out ? 0 : share, out };
    });
    const scale = p < 1 && mass > 0 ? mass : 1;
    bars($("next"), items.map((item) => ({
      ...item, share: item.share / scale, value: item.out ? "out" : percent(item.share / scale) })));
  };

  const showLayers = () => {
    const body = $("layers").tBodies[0];
    body.replaceChildren(...look.layers.map((guesses, index) => {
      const line = make("tr");
      const cell = make("td");
      for (const guess of guesses) {
        const code = make("code", visible(guess.text));
        const share = Math.exp(guess.log_probability);
        code.title = percent(share);
        code.style.background = "rgba(var(--mark), " + share * 0.6 + ")";
        cell.append(code);
      }
      line.append(make("td", String(index + 1)), cell);
      return line;
    }));
  };

  const showCost = () => {
    for (const name of ["parameters", "operations"]) {
      const items = look.cost[name];
      const total = items.reduce((sum, item) => sum + item.count, 0);
      bars($(name), items.map((item) => ({
        name: item.part, share: item.count / total, value: item.count.toLocaleString("en", { notation: "compact" }) })));
    }
  };

  const mark = () => {
    const list = look.target_tokens ? $("target-tokens") : $("tokens");
    [...list.children].forEach((child, index) => {
      child.setAttribute("aria-selected", String(index === row));
      child.tabIndex = index === row ? 0 : -1;
    });
    const token = written()[row];
    const bytes = token.bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    $("token-facts").textContent =
      "Token " + (row + 1) + " of " + written().length + ": id " + token.id + (bytes ? ", bytes " + bytes : "");
  };

  const showAll = () => {
    $("result").hidden = false;
    $("summary").textContent = look.model + ", " + look.model_type + " (" + look.kind + "), "
      + look.tokens.length + " tokens, " + look.layers.length + " layers";
    row = look.row;
    const select = (index) => {
      if (index === row) return;
      row = index;
      mark();
      showAttention();
      if (window.martletLook === undefined) ask(index);
    };
    tokenList($("tokens"), look.tokens, look.target_tokens ? () => {} : select);
    $("target-tokens").hidden = !look.target_tokens;
    if (look.target_tokens) tokenList($("target-tokens"), look.target_tokens, select);
    const names = Object.keys(kinds).filter((name) => look[name]);
    $("which").replaceChildren(...names.map((name) => {
      const option = make("option", kinds[name]);
      option.value = name;
      return option;
    }));
    $("layer").max = Math.max(0, (look[names[0]] || []).length - 1);
    mark();
    showAttention();
    showNext();
    showLayers();
    showCost();
  };

  const question = () => ({
    model: current().id, text: $("text").value, pair: $("pair").value || undefined,
    target: $("target").value || undefined });

  let asked = 0;
  const ask = async (chosenRow) => {
    const number = ++asked;
    $("run").disabled = true;
    try {
      const response = await post("v1/explain", { ...question(), row: chosenRow });
      if (number !== asked) return;
      if (!response.ok) return notice(await failure(response));
      notice("");
      const answer = await response.json();
      if (!current().meta) await loadModels();
      if (chosenRow === undefined) { look = answer; showAll(); return; }
      look.next = answer.next;
      look.layers = answer.layers;
      showNext();
      showLayers();
    } catch (error) {
      notice(error.message);
    } finally {
      $("run").disabled = false;
    }
  };

  $("question").addEventListener("submit", (event) => { event.preventDefault(); if (current()) ask(); });
  for (const id of ["layer", "head"]) $(id).addEventListener("input", showAttention);
  $("which").addEventListener("change", () => {
    $("layer").max = Math.max(0, (look[$("which").value] || []).length - 1);
    showAttention();
  });
  for (const id of ["t", "k", "p"]) $(id).addEventListener("input", showNext);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (look) showAttention(); });

  // A file that `martlet explain` wrote carries its look, and asks nobody.
  if (window.martletLook !== undefined) {
    look = window.martletLook;
    document.querySelector("header nav").hidden = true;
    document.querySelector(".model").hidden = true;
    $("question").hidden = true;
    show($("tab-look"));
    showAll();
  } else {
    loadModels().catch((error) => notice(error.message));
  }
})();
