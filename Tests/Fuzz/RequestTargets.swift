import Dispatch
import MartletAPI
import MartletJSON
import MartletPlatform
import Synchronization

/// Bodies of requests, which a service answers with a tiny model.
extension FuzzTargets {
    static func requests(_ fixtures: String) throws -> [FuzzTarget] {
        let path = fixtures + "/gguf/llama-q4_0.gguf"
        guard fileExists(path) else { return [] }
        let service = ModelService(ServiceSettings())
        service.add(
            try waiting {
                var settings = ServedModel.Settings(threads: 1)
                settings.context = 32
                return try await ServedModel.load(name: "m", path: path, settings)
            })
        let bodies = requestBodies.map { ($0.0, Array($0.1.utf8)) }
        return [
            FuzzTarget(name: "request", weight: 20) { mutator in
                let (route, body) = bodies[mutator.below(bodies.count)]
                let request = APIRequest(
                    method: "POST", path: route,
                    headers: ["host": "127.0.0.1", "content-type": "application/json"], body: mutator.json(body))
                try waiting {
                    guard case .stream(let write) = await service.respond(to: request).body else { return }
                    try await write { _ in }
                }
            }
        ]
    }

    /// Runs asynchronous work, and waits for it.
    private static func waiting<Result: Sendable>(
        _ work: @escaping @Sendable () async throws -> Result
    ) throws -> Result {
        let (done, result) = (DispatchSemaphore(value: 0), Outcome<Result>())
        Task {
            do { result.set(.success(try await work())) } catch { result.set(.failure(error)) }
            done.signal()
        }
        done.wait()
        return try result.get()
    }

    private final class Outcome<Value: Sendable>: Sendable {
        private let value = Mutex<Swift.Result<Value, any Error>?>(nil)

        func set(_ new: Swift.Result<Value, any Error>) { value.withLock { $0 = new } }
        func get() throws -> Value {
            guard let value = value.withLock({ $0 }) else { throw CancellationError() }
            return try value.get()
        }
    }

    private static let requestBodies = [
        (
            "/v1/chat/completions",
            #"{"model":"m","messages":[{"role":"system","content":"a"},{"role":"user","content":[{"type":"text","text":"b"}]}],"max_tokens":2,"temperature":0.5,"top_p":0.9,"stream":true,"stop":["x"],"logprobs":true,"top_logprobs":2,"n":2,"seed":1,"logit_bias":{"3":-1},"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","properties":{"a":{"type":"integer"}}}}}}"#
        ),
        (
            "/v1/chat/completions",
            #"{"messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"1","content":"2"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":"auto","max_tokens":2}"#
        ),
        (
            "/v1/completions",
            #"{"prompt":["a b",[1,2]],"max_tokens":2,"echo":true,"logprobs":1,"suffix":null,"top_k":3,"min_p":0.1,"grammar":"root ::= [a-z]+"}"#
        ),
        (
            "/v1/responses",
            #"{"input":[{"role":"user","content":[{"type":"input_text","text":"a"}]}],"instructions":"b","max_output_tokens":2,"text":{"format":{"type":"text"}},"stream":false}"#
        ),
        (
            "/v1/messages",
            #"{"system":[{"type":"text","text":"a"}],"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"b"}]},{"type":"text","text":"c"}]},{"role":"assistant","content":"d"}],"max_tokens":2,"stop_sequences":["x"],"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"auto","disable_parallel_tool_use":true},"thinking":{"type":"enabled","budget_tokens":1024},"stream":true}"#
        ),
        ("/v1/embeddings", #"{"input":["a","b c"],"encoding_format":"base64","dimensions":4}"#),
        ("/tokenize", #"{"content":"a b","add_special":true,"with_pieces":true}"#),
        ("/detokenize", #"{"tokens":[1,2,3]}"#),
        ("/v1/rerank", #"{"query":"a","documents":["b",{"text":"c"}],"top_n":1}"#),
        (
            "/api/chat",
            #"{"messages":[{"role":"user","content":"a"}],"options":{"num_predict":2,"temperature":0,"stop":["z"]},"format":"json","stream":true}"#
        ),
        ("/api/generate", #"{"prompt":"a","raw":true,"options":{"num_predict":2,"seed":3},"keep_alive":"5m"}"#),
    ]
}
