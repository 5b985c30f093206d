import MartletJSON
import MartletMeasuring

/// The measurements of an engine with several requests at once.
struct StreamsReport {
    /// A prediction of the planner: tokens written per second, and bytes of keys and values in f32.
    struct Prediction {
        let decode: Double
        let cacheBytes: Int
    }

    let results: [EngineSpeedTest.Result]
    /// The prediction of each of the results; empty where none was asked for.
    let predictions: [Prediction]
    let threads: Int
    /// Seconds to the first token of a request, and of one that begins with the same tokens.
    var prefix: (tokens: Int, alone: Double, shared: Double)?
    /// Seconds between tokens of others while a prompt is read, and what a step may take.
    var beside: (tokens: Int, gaps: [Double], reading: Double, stepMilliseconds: Double)?

    private typealias Result = EngineSpeedTest.Result

    private func total(_ result: Result) -> Double {
        Double(result.readTokens + result.writtenTokens) / result.seconds
    }

    var json: JSON {
        var object = JSONObject()
        object["threads"] = .integer(threads)
        object["streams"] = streams
        if let prefix {
            object["prefix"] = [
                "tokens": .integer(prefix.tokens), "first_token_seconds": .number(prefix.alone),
                "shared_first_token_seconds": .number(prefix.shared),
            ]
        }
        if let beside {
            object["beside"] = [
                "tokens": .integer(beside.tokens), "seconds": .number(beside.reading),
                "between_tokens_seconds": percentiles(beside.gaps),
                "step_seconds": .number(beside.stepMilliseconds / 1_000),
            ]
        }
        return .object(object)
    }

    private var streams: JSON {
        .array(
            results.enumerated().map { index, result in
                let object: JSON = [
                    "streams": .integer(result.streams), "seconds": .number(result.seconds),
                    "tokens_per_second": .number(total(result)),
                    "decode_tokens_per_second": .number(result.decode),
                    "first_token_seconds": percentiles(result.firstTokens),
                    "between_tokens_seconds": percentiles(result.gaps),
                    "guessed_tokens": .integer(result.guessedTokens),
                    "accepted_tokens": .integer(result.acceptedTokens), "cache_bytes": .integer(result.cacheBytes),
                ]
                guard index < predictions.count, case .object(var fields) = object else { return object }
                fields["predicted_decode_tokens_per_second"] = .number(predictions[index].decode)
                fields["predicted_cache_bytes"] = .integer(predictions[index].cacheBytes)
                return .object(fields)
            })
    }

    private func percentiles(_ values: [Double]) -> JSON {
        ["p50": .number(Result.percentile(0.5, values)), "p99": .number(Result.percentile(0.99, values))]
    }

    var text: String {
        func milliseconds(_ share: Double, _ values: [Double]) -> String {
            "\(Int((Result.percentile(share, values) * 1e3).rounded()))"
        }
        func column(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(1, width - text.utf8.count)) + text
        }
        let isDrafted = results.contains { $0.guessedTokens > 0 }
        let names =
            ["streams", "tokens/s", "writing/s", "first ms", "p99", "between ms", "p99"]
            + (isDrafted ? ["guessed", "right"] : [])
            + (predictions.isEmpty ? [] : ["predicted/s", "cache MB", "predicted"])
        let rows = results.enumerated().map { index, result in
            [
                "\(result.streams)", "\(Int(total(result).rounded()))", "\(Int(result.decode.rounded()))",
                milliseconds(0.5, result.firstTokens), milliseconds(0.99, result.firstTokens),
                milliseconds(0.5, result.gaps), milliseconds(0.99, result.gaps),
            ] + (isDrafted ? ["\(result.guessedTokens)", "\(result.acceptedTokens)"] : [])
                + (index < predictions.count ? predicted(predictions[index], result) : [])
        }
        return ([names] + rows).map { $0.map { column($0, 11) }.joined() + "\n" }.joined() + others
    }

    private func predicted(_ prediction: Prediction, _ result: Result) -> [String] {
        func megabytes(_ bytes: Int) -> String { "\((Double(bytes) / 1e5).rounded() / 10)" }
        return [
            "\(Int(prediction.decode.rounded()))", megabytes(result.cacheBytes), megabytes(prediction.cacheBytes),
        ]
    }

    /// The gain and loss of requests by others.
    private var others: String {
        func milliseconds(_ seconds: Double) -> String { "\((seconds * 1e4).rounded() / 10)" }
        var text = ""
        if let prefix {
            text += "first token  \(milliseconds(prefix.alone)) ms, \(milliseconds(prefix.shared)) ms behind "
            text += "\(prefix.tokens) tokens that another one had\n"
        }
        if let beside {
            text += "beside       \(beside.tokens) tokens, read in \(milliseconds(beside.reading)) ms, others wait "
            text += "\(milliseconds(Result.percentile(0.5, beside.gaps))) ms for a token, p99 "
            text += "\(milliseconds(Result.percentile(0.99, beside.gaps))) ms, in steps of "
            text += "\(milliseconds(beside.stepMilliseconds / 1e3)) ms\n"
        }
        return text
    }
}
