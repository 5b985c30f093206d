#!/usr/bin/env python3
"""Every call that the official clients have here, against a server on this machine.

    pip install openai ollama litellm langchain-openai llama-index-llms-openai-like llama-index-embeddings-openai-like anthropic
    martlet serve -m MODEL --port 8642 &
    Tools/clients/check.py --port 8642 [--embeddings NAME]

MODEL has a chat template; NAME is an encoder of texts that the server has beside it, for what ranks. Needs no network. Ends with 1 when a call fails; a client that is not installed is passed over with a line.
"""
import argparse
import asyncio
import base64
import importlib
import json
import os
import struct
import sys
import traceback
import urllib.request

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
os.environ.setdefault("OPENAI_API_KEY", "none")
checks, failures = [], []


def check(client):
    """Registers a check of a client, which is a module's name."""

    def register(function):
        checks.append((client, function))
        return function

    return register


TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
MESSAGES = [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": "What is a bird?"}]


def client():
    import openai

    return openai.OpenAI(base_url=f"http://127.0.0.1:{args.port}/v1", api_key=args.key, max_retries=0)


@check("openai")
def models():
    names = [model.id for model in client().models.list()]
    assert args.model in names, names
    assert client().models.retrieve(args.model).owned_by == "martlet"


@check("openai")
def chat():
    answer = client().chat.completions.create(
        model=args.model, messages=MESSAGES, max_completion_tokens=24, temperature=0.7, top_p=0.9, seed=3, n=2,
        frequency_penalty=0.1, presence_penalty=0.1, stop=["###"], logit_bias={"5": -1}, user="me")
    assert len(answer.choices) == 2 and answer.usage.completion_tokens > 0 and answer.system_fingerprint
    assert all(choice.finish_reason in ("stop", "length") for choice in answer.choices)
    again = client().chat.completions.create(
        model=args.model, messages=MESSAGES, max_completion_tokens=24, temperature=0.7, top_p=0.9, seed=3, n=2,
        frequency_penalty=0.1, presence_penalty=0.1, stop=["###"], logit_bias={"5": -1}, user="me")
    assert [c.message.content for c in answer.choices] == [c.message.content for c in again.choices]


@check("openai")
def chat_stream():
    parts, usage, reasons = [], None, []
    stream = client().chat.completions.create(
        model=args.model, messages=MESSAGES, max_tokens=24, temperature=0, stream=True,
        stream_options={"include_usage": True})
    for chunk in stream:
        if chunk.usage:
            usage = chunk.usage
        for choice in chunk.choices:
            parts.append(choice.delta.content or "")
            reasons.append(choice.finish_reason)
    whole = client().chat.completions.create(model=args.model, messages=MESSAGES, max_tokens=24, temperature=0)
    assert "".join(parts) == whole.choices[0].message.content, (parts, whole)
    assert usage.completion_tokens == whole.usage.completion_tokens and reasons[-1] in ("stop", "length")


@check("openai")
def chat_probabilities():
    answer = client().chat.completions.create(
        model=args.model, messages=MESSAGES, max_tokens=5, temperature=0, logprobs=True, top_logprobs=4)
    tokens = answer.choices[0].logprobs.content
    assert len(tokens) == answer.usage.completion_tokens and len(tokens[0].top_logprobs) == 4
    assert tokens[0].logprob == tokens[0].top_logprobs[0].logprob <= 0


@check("openai")
def chat_async():
    async def run():
        import openai

        api = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{args.port}/v1", api_key=args.key, max_retries=0)

        async def one(index):
            stream = await api.chat.completions.create(
                model=args.model, messages=[{"role": "user", "content": f"Number {index}"}], max_tokens=16,
                temperature=0.9, seed=index, stream=True)
            return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

        together = await asyncio.gather(*[one(index) for index in range(6)])
        alone = [await one(index) for index in range(6)]
        assert together == alone, "an answer depends on the others"

    asyncio.run(run())


@check("openai")
def stream_that_is_left():
    stream = client().chat.completions.create(model=args.model, messages=MESSAGES, max_tokens=500, stream=True)
    for index, _ in enumerate(stream):
        if index == 2:
            break
    stream.close()


@check("openai")
def tools_forced():
    answer = client().chat.completions.create(
        model=args.model, messages=[{"role": "user", "content": "How is the weather in Rome?"}], tools=[TOOL],
        tool_choice={"type": "function", "function": {"name": "weather"}}, max_tokens=64, temperature=0)
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "weather" and call.id
    if args.constraints:
        assert isinstance(json.loads(call.function.arguments)["city"], str)
        assert answer.choices[0].finish_reason == "tool_calls"


@check("openai")
def tools_in_a_conversation():
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
    answer = client().chat.completions.create(
        model=args.model, tools=[TOOL], max_tokens=8, messages=[
            {"role": "user", "content": "How is the weather in Rome?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "Sunny"}])
    assert answer.choices[0].finish_reason


@check("openai")
def structured():
    if not args.constraints:
        return
    import pydantic

    class Bird(pydantic.BaseModel):
        name: str
        wings: int

    answer = client().chat.completions.parse(
        model=args.model, messages=MESSAGES, response_format=Bird, max_tokens=128, temperature=0)
    if answer.choices[0].finish_reason == "stop":
        assert isinstance(answer.choices[0].message.parsed, Bird)


@check("openai")
def completions():
    answer = client().completions.create(model=args.model, prompt="Once upon", max_tokens=8, temperature=0, logprobs=2)
    assert answer.choices[0].text and len(answer.choices[0].logprobs.tokens) == answer.usage.completion_tokens
    both = client().completions.create(model=args.model, prompt=["a", "b"], max_tokens=2, n=2, echo=True)
    assert [choice.index for choice in both.choices] == [0, 1, 2, 3]
    stream = client().completions.create(model=args.model, prompt="Once upon", max_tokens=8, temperature=0, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream if chunk.choices) == answer.choices[0].text


@check("openai")
def responses():
    api = client()
    answer = api.responses.create(model=args.model, input="What is a bird?", max_output_tokens=16, temperature=0)
    assert answer.output_text and answer.usage.output_tokens > 0
    events = list(
        api.responses.create(
            model=args.model, input="What is a bird?", max_output_tokens=16, temperature=0, stream=True))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == answer.output_text and events[-1].type in ("response.completed", "response.incomplete")


@check("openai")
def embeddings():
    model = args.embeddings or args.model
    floats = client().embeddings.create(model=model, input=["one", "two"], encoding_format="float")
    plain = client().embeddings.create(model=model, input=["one", "two"])
    assert len(plain.data) == 2 and plain.usage.prompt_tokens > 0
    assert max(abs(a - b) for a, b in zip(floats.data[0].embedding, plain.data[0].embedding)) < 1e-6
    raw = post("/v1/embeddings", {"model": model, "input": "one", "encoding_format": "base64"})
    assert len(base64.b64decode(raw["data"][0]["embedding"])) % struct.calcsize("f") == 0
    short = client().embeddings.create(model=model, input="one", dimensions=8)
    assert len(short.data[0].embedding) == 8


@check("openai")
def errors():
    import openai

    for change, name in [({"temperature": 999999}, "temperature"), ({"top_p": -1}, "top_p"), ({"n": 1000}, "n")]:
        try:
            client().chat.completions.create(model=args.model, messages=MESSAGES, **change)
        except openai.BadRequestError as error:
            assert error.param == name, error
        else:
            raise AssertionError(change)
    try:
        client().chat.completions.create(model="none", messages=MESSAGES)
    except openai.NotFoundError as error:
        assert error.code == "model_not_found"
    else:
        raise AssertionError("an unknown model answers")


def anthropic_client():
    import anthropic

    return anthropic.Anthropic(base_url=f"http://127.0.0.1:{args.port}", api_key=args.key, max_retries=0)


ANTHROPIC = {"system": "Answer briefly.", "messages": [{"role": "user", "content": "What is a bird?"}], "max_tokens": 24}
# Newer versions of the client have no argument of that name.
GREEDY = {"temperature": 0}
ANTHROPIC_TOOL = {
    "name": "weather", "description": TOOL["function"]["description"], "input_schema": TOOL["function"]["parameters"]}


@check("anthropic")
def messages():
    answer = anthropic_client().messages.create(
        model=args.model, extra_body={"temperature": 0.7, "top_p": 0.9, "top_k": 40, "seed": 3}, **ANTHROPIC)
    assert answer.type == "message" and answer.role == "assistant" and answer.stop_reason in ("end_turn", "max_tokens")
    assert answer.content[0].type == "text" and answer.usage.output_tokens > 0
    counted = anthropic_client().messages.count_tokens(
        model=args.model, system=ANTHROPIC["system"], messages=ANTHROPIC["messages"])
    usage = answer.usage
    assert counted.input_tokens == usage.input_tokens + usage.cache_read_input_tokens
    assert any(model.id == args.model for model in anthropic_client().models.list())
    assert anthropic_client().models.retrieve(args.model).display_name == args.model


@check("anthropic")
def messages_stream():
    whole = anthropic_client().messages.create(model=args.model, extra_body=GREEDY, **ANTHROPIC)
    with anthropic_client().messages.stream(model=args.model, extra_body=GREEDY, **ANTHROPIC) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert text == whole.content[0].text == message.content[0].text
    assert message.stop_reason == whole.stop_reason and message.usage.output_tokens == whole.usage.output_tokens


@check("anthropic")
def messages_tools():
    asked = [{"role": "user", "content": "The weather in Paris?"}]
    fields = {"model": args.model, "max_tokens": 200, "extra_body": GREEDY, "tools": [ANTHROPIC_TOOL]}
    forced = {"type": "tool", "name": "weather"}
    answer = anthropic_client().messages.create(messages=asked, tool_choice=forced, **fields)
    use = answer.content[-1]
    assert answer.stop_reason == "tool_use" and use.type == "tool_use" and isinstance(use.input["city"], str)
    with anthropic_client().messages.stream(messages=asked, tool_choice=forced, **fields) as stream:
        assert stream.get_final_message().content[-1].input == use.input
    result = {"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": "Rain."}]}
    after = anthropic_client().messages.create(
        messages=asked + [{"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}],
        tool_choice={"type": "none"}, **fields)
    assert after.content[0].type == "text" and after.stop_reason in ("end_turn", "max_tokens")


@check("anthropic")
def messages_prefill_and_stop():
    question = {"role": "user", "content": "Count from one to five in words."}
    answer = anthropic_client().messages.create(
        model=args.model, max_tokens=40, extra_body=GREEDY, messages=[question, {"role": "assistant", "content": "one, two,"}])
    assert not answer.content[0].text.startswith("one, two,")
    stopped = anthropic_client().messages.create(
        model=args.model, max_tokens=40, extra_body=GREEDY, messages=[question], stop_sequences=["3"])
    assert stopped.stop_reason == "stop_sequence" and stopped.stop_sequence == "3"
    assert all("3" not in block.text for block in stopped.content)


@check("anthropic")
def messages_errors():
    import anthropic

    for fields, kind in [
        ({"messages": [], "max_tokens": 5}, anthropic.BadRequestError),
        ({"messages": ANTHROPIC["messages"], "max_tokens": 5, "model": "nobody"}, anthropic.NotFoundError),
        ({"messages": ANTHROPIC["messages"], "max_tokens": 5, "tool_choice": {"type": "any"}}, anthropic.BadRequestError),
    ]:
        try:
            anthropic_client().messages.create(**({"model": args.model} | fields))
        except kind as error:
            assert error.request_id and error.body["type"] == "error" and error.body["error"]["message"]
        else:
            raise AssertionError(f"{fields} was answered")


@check("anthropic")
def messages_async():
    import anthropic

    async def ask():
        own = anthropic.AsyncAnthropic(base_url=f"http://127.0.0.1:{args.port}", api_key=args.key, max_retries=0)
        events = []
        async with own.messages.stream(model=args.model, extra_body=GREEDY, **ANTHROPIC) as stream:
            async for event in stream:
                events.append(event.type)
        return events

    events = asyncio.run(ask())
    assert events[0] == "message_start" and events[-1] == "message_stop" and "content_block_delta" in events


@check("ollama")
def ollama_calls():
    import ollama

    api = ollama.Client(host=f"http://127.0.0.1:{args.port}", headers={"Authorization": f"Bearer {args.key}"})
    assert args.model in [model.model for model in api.list().models]
    assert api.show(args.model).details
    options = {"num_predict": 12, "temperature": 0, "seed": 1}
    whole = api.chat(model=args.model, messages=MESSAGES, options=options)
    pieces = [part.message.content for part in api.chat(
        model=args.model, messages=MESSAGES, options=options, stream=True)]
    assert "".join(pieces) == whole.message.content and whole.done
    assert api.generate(model=args.model, prompt="Hello", options=options).response is not None
    assert "".join(part.response for part in api.generate(
        model=args.model, prompt="Hello", options=options, stream=True)) is not None
    assert len(api.embed(model=args.embeddings or args.model, input=["a", "b"]).embeddings) == 2


@check("litellm")
def litellm_calls():
    import litellm

    common = dict(model=f"openai/{args.model}", api_base=f"http://127.0.0.1:{args.port}/v1", api_key=args.key)
    answer = litellm.completion(messages=MESSAGES, max_tokens=12, temperature=0, **common)
    chunks = litellm.completion(messages=MESSAGES, max_tokens=12, temperature=0, stream=True, **common)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == answer.choices[0].message.content
    vectors = litellm.embedding(
        model=f"openai/{args.embeddings or args.model}", input=["a"], api_base=common["api_base"], api_key=args.key,
        encoding_format="float")
    assert len(vectors.data) == 1


@check("litellm")
def litellm_calls_of_ollama():
    import litellm

    base = dict(api_base=f"http://127.0.0.1:{args.port}", api_key=args.key)
    for kind in ["ollama_chat", "ollama"]:
        common = dict(model=f"{kind}/{args.model}", max_tokens=12, temperature=0, **base)
        answer = litellm.completion(messages=MESSAGES, **common)
        chunks = litellm.completion(messages=MESSAGES, stream=True, **common)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert text and text == answer.choices[0].message.content, (kind, text)
    vectors = litellm.embedding(model=f"ollama/{args.embeddings or args.model}", input=["a", "b"], **base)
    assert len(vectors.data) == 2


@check("json")
def curl_as_ollama_shows_it():
    """Ollama's examples post JSON with the type that curl gives to what it posts."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{args.port}/api/generate",
        json.dumps({"model": args.model, "prompt": "Hello", "stream": False, "options": {"num_predict": 4}}).encode(),
        {"content-type": "application/x-www-form-urlencoded", "authorization": f"Bearer {args.key}"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        assert json.load(answer)["done"]


@check("langchain_openai")
def langchain_calls():
    import langchain_openai

    common = dict(model=args.model, base_url=f"http://127.0.0.1:{args.port}/v1", api_key=args.key)
    chat = langchain_openai.ChatOpenAI(temperature=0, max_tokens=12, **common)
    text = chat.invoke("What is a bird?").content
    assert "".join(part.content for part in chat.stream("What is a bird?")) == text
    assert chat.bind_tools([TOOL]).invoke("Hello") is not None
    vectors = langchain_openai.OpenAIEmbeddings(
        check_embedding_ctx_length=False, **{**common, "model": args.embeddings or args.model})
    assert len(vectors.embed_documents(["a", "b"])) == 2


@check("llama_index.llms.openai_like")
def llama_index_calls():
    from llama_index.core.llms import ChatMessage
    from llama_index.core.tools import FunctionTool
    from llama_index.embeddings.openai_like import OpenAILikeEmbedding
    from llama_index.llms.openai_like import OpenAILike

    common = dict(api_base=f"http://127.0.0.1:{args.port}/v1", api_key=args.key, max_retries=0)
    model = OpenAILike(
        model=args.model, is_chat_model=True, is_function_calling_model=True, temperature=0, max_tokens=24, **common)
    messages = [ChatMessage(role="user", content="What is a bird?")]
    text = model.chat(messages).message.content
    assert text and "".join(part.delta or "" for part in model.stream_chat(messages)) == text

    def weather(city: str) -> str:
        """The weather of a city"""
        return "Sunny"

    answer = model.chat_with_tools(
        [FunctionTool.from_defaults(weather)], user_msg="How is the weather in Rome?", tool_required=True)
    calls = model.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
    assert not args.constraints or [call.tool_name for call in calls] == ["weather"], answer
    plain = OpenAILike(model=args.model, is_chat_model=False, temperature=0, max_tokens=8, **common)
    text = plain.complete("Once upon").text
    assert text and "".join(part.delta for part in plain.stream_complete("Once upon")) == text
    vectors = OpenAILikeEmbedding(model_name=args.embeddings or args.model, **common)
    assert len(vectors.get_text_embedding_batch(["a", "b"])) == 2


def post(path, body):
    request = urllib.request.Request(
        f"http://127.0.0.1:{args.port}{path}", json.dumps(body).encode(),
        {"content-type": "application/json", "authorization": f"Bearer {args.key}"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


# Bodies as these programs send them, shortened in their texts only.
TAGS = "### Task:\nSuggest 1-3 tags for the chat history.\n### Output:\nJSON format: { \"tags\": [\"tag1\"] }"
EDIT = {
    "type": "function",
    "function": {
        "name": "write_file",
        "description": "new or updated files",
        "parameters": {
            "type": "object", "required": ["explanation", "files"],
            "properties": {
                "explanation": {"type": "string"},
                "files": {"type": "array", "items": {"type": "string"}}}},
    },
}
RECORDED = {
    "Open WebUI": {
        "stream": True, "messages": MESSAGES, "temperature": 0.8, "top_p": 0.9, "max_tokens": 16,
        "frequency_penalty": 0, "seed": 42, "stop": ["<end>"], "stream_options": {"include_usage": True}},
    "Open WebUI's tags": {
        "stream": False, "messages": [{"role": "user", "content": TAGS}], "max_tokens": 16,
        "metadata": {"task": "tags_generation", "chat_id": "x"}},
    "Continue": {
        "messages": [
            {"role": "system", "content": "You are a coding assistant."},
            {"role": "user", "content": [{"type": "text", "text": "Explain"}]}],
        "max_tokens": 16, "stream": True, "stream_options": {"include_usage": True}, "temperature": 0.5,
        "tools": [EDIT], "parallel_tool_calls": False},
    "Cline": {
        "messages": [
            {"role": "developer", "content": "You are Cline."},
            {"role": "user", "content": [{"type": "text", "text": "<task>Fix it</task>"},
                                         {"type": "text", "text": "<environment_details>x</environment_details>"}]},
            {"role": "assistant", "content": "<thinking>x</thinking>"}, {"role": "user", "content": "Go on"}],
        "temperature": 0, "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 16,
        "reasoning_effort": "medium"},
    "aider": {
        "messages": [{"role": "system", "content": "Act as an expert."}, {"role": "user", "content": "Hi"},
                     {"role": "assistant", "content": "Ok."}, {"role": "user", "content": "Change it"}],
        "temperature": 0, "stream": False, "max_tokens": 64, "tools": [EDIT],
        "tool_choice": {"type": "function", "function": {"name": "write_file"}}},
}


@check("json")
def recorded_bodies():
    for name, body in RECORDED.items():
        request = urllib.request.Request(
            f"http://127.0.0.1:{args.port}/v1/chat/completions", json.dumps({"model": args.model, **body}).encode(),
            {"content-type": "application/json", "authorization": f"Bearer {args.key}", "x-api-key": args.key})
        with urllib.request.urlopen(request, timeout=120) as answer:
            text = answer.read().decode()
        if body["stream"]:
            last = json.loads(text.split("data: ")[-2])
            assert text.rstrip().endswith("[DONE]") and last["choices"] == [] and last["usage"], name
        else:
            message = json.loads(text)["choices"][0]["message"]
            assert message["role"] == "assistant", name
            assert "tool_choice" not in body or message["tool_calls"][0]["function"]["name"] == "write_file", name


@check("json")
def recorded_bodies_besides_chats():
    """Continue's reranking, aider's context for Ollama, what interfaces poll."""
    model = args.embeddings or args.model
    ranked = post("/v1/rerank", {"model": model, "query": "a bird", "documents": ["a sparrow", "a stone"]})
    assert len(ranked["results"]) == 2
    answer = post("/api/chat", {
        "model": args.model, "messages": MESSAGES, "stream": False,
        "options": {"num_ctx": 8192, "temperature": 0, "num_predict": 8}})
    assert answer["done"] and answer["message"]["role"] == "assistant"
    for path in ["/v1/models", "/api/tags", "/api/ps", "/api/version"]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{args.port}{path}", headers={"authorization": f"Bearer {args.key}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.load(answer), path


@check("openai")
def a_hundred_schemas():
    """Answers that a schema forces: each one that ended is what the schema says."""
    if not args.constraints:
        return
    shapes = [
        {"type": "integer", "minimum": 0, "maximum": 99}, {"type": "string", "maxLength": 12}, {"type": "boolean"},
        {"enum": ["red", "green", "blue"]}, {"type": "array", "items": {"type": "integer"}, "maxItems": 3}]
    ended = 0
    for index in range(100):
        names = [f"k{n}" for n in range(1 + index % 4)]
        schema = {
            "type": "object", "required": names, "additionalProperties": False,
            "properties": {name: shapes[(index + n * 3) % 5] for n, name in enumerate(names)}}
        answer = client().chat.completions.create(
            model=args.model, messages=[{"role": "user", "content": f"Case {index}: fill in the object."}], seed=index,
            temperature=1, max_tokens=120,
            response_format={"type": "json_schema", "json_schema": {"name": "o", "schema": schema, "strict": True}})
        if answer.choices[0].finish_reason != "stop":
            continue
        ended += 1
        value = json.loads(answer.choices[0].message.content)
        assert list(value) == names, value
        for name, entry in value.items():
            shape = schema["properties"][name]
            kind = {"integer": int, "string": str, "boolean": bool, "array": list}.get(shape.get("type"))
            assert entry in shape["enum"] if "enum" in shape else isinstance(entry, kind), value
    assert ended >= 95, ended


def main():
    for name, function in checks:
        try:
            importlib.import_module(name)
        except ImportError:
            print(f"{function.__name__}: passed over, {name} is not installed")
            continue
        try:
            function()
            print(f"{function.__name__}: ok")
        except Exception:
            failures.append(function.__name__)
            print(f"{function.__name__}: FAILED\n{traceback.format_exc()}")
    print(f"{len(checks) - len(failures)} of {len(checks)} pass")
    return 1 if failures else 0


parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, default=8642)
parser.add_argument("--model", help="a model of the server (default: the first that it names)")
parser.add_argument("--embeddings", help="the model that is asked for vectors (default: the same)")
parser.add_argument("--key", default="none")
parser.add_argument("--constraints", action="store_true", help="forced formats are checked too")
args = parser.parse_args()
args.model = args.model or client().models.list().data[0].id
sys.exit(main())
