import MartletPlatform
import Synchronization

/// Counters and histograms of a service, and their text in Prometheus' exposition format 0.0.4.
///
/// The names end as vLLM's do, so that dashboards need only another prefix.
package final class ServiceMetrics: Sendable {
    /// The durations that are measured, in seconds.
    enum Duration: String, CaseIterable, Sendable {
        case firstToken = "time_to_first_token_seconds"
        case betweenTokens = "inter_token_latency_seconds"
        case whole = "e2e_request_latency_seconds"
        case queue = "request_queue_time_seconds"
        case prefill = "request_prefill_time_seconds"

        var help: String {
            switch self {
            case .firstToken: "From a request's arrival to its first token."
            case .betweenTokens: "Between a token and the next of the same choice."
            case .whole: "From a request's arrival to the end of its answer."
            case .queue: "From a request's arrival to when it left the queue."
            case .prefill: "From when a request left the queue to its first token."
            }
        }
    }

    private static let bounds: [Double] = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 600,
    ]

    private struct Histogram {
        /// The counts of the histogram, one more than there are bounds: the last takes what is above all.
        var counts = [Int](repeating: 0, count: bounds.count + 1)
        var sum = 0.0
    }

    private struct State {
        var histograms: [Duration: Histogram] = [:]
        var answers: [String: Int] = [:]
        var finishes: [String: Int] = [:]
        var promptTokens = 0
        var cachedTokens = 0
        var generatedTokens = 0
        var disconnects = 0
        var inFlight = 0
    }
    private let state = Mutex(State())

    package init() {}

    func observe(_ duration: Duration, _ value: Swift.Duration) {
        let seconds = value.seconds
        let bucket = ServiceMetrics.bounds.firstIndex { seconds <= $0 } ?? ServiceMetrics.bounds.count
        state.withLock {
            $0.histograms[duration, default: Histogram()].counts[bucket] += 1
            $0.histograms[duration, default: Histogram()].sum += seconds
        }
    }

    func finished(_ reason: AnswerFinish) { state.withLock { $0.finishes[reason.rawValue, default: 0] += 1 } }

    func tokens(prompt: Int, cached: Int, generated: Int) {
        state.withLock {
            $0.promptTokens += prompt
            $0.cachedTokens += cached
            $0.generatedTokens += generated
        }
    }

    func requestBegan() { state.withLock { $0.inFlight += 1 } }

    func requestEnded(route: String, status: Int) {
        state.withLock {
            $0.inFlight -= 1
            $0.answers["route=\"\(route)\",status=\"\(status)\"", default: 0] += 1
        }
    }

    /// The mean seconds of an answer; 2 as long as there was none.
    var answerSeconds: Double {
        state.withLock { state in
            let histogram = state.histograms[.whole] ?? Histogram()
            let count = histogram.counts.reduce(0, +)
            return count == 0 ? 2 : histogram.sum / Double(count)
        }
    }

    func disconnected() { state.withLock { $0.disconnects += 1 } }

    /// The numbers of requests that are being answered, and of clients that left before they were.
    package var counts: (inFlight: Int, disconnects: Int) { state.withLock { ($0.inFlight, $0.disconnects) } }

    // MARK: Exposition

    private typealias Sample = (labels: String, value: Int)

    /// The exposition, with how busy each model's engine is.
    func text(loads: [(model: String, load: EngineLoad)]) -> String {
        let state = state.withLock { $0 }
        var lines = ServiceMetrics.lines(of: loads) + ServiceMetrics.lines(of: state)
        for duration in Duration.allCases {
            lines += ServiceMetrics.lines(duration, state.histograms[duration] ?? Histogram())
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func metric(_ name: String, _ type: String, _ help: String, _ samples: [Sample]) -> [String] {
        ["# HELP martlet:\(name) \(help)", "# TYPE martlet:\(name) \(type)"]
            + samples.map { "martlet:\(name)" + ($0.labels.isEmpty ? "" : "{\($0.labels)}") + " \($0.value)" }
    }

    /// The lines of each model's engine: what it does and has done.
    private static func lines(of loads: [(model: String, load: EngineLoad)]) -> [String] {
        func metric(_ name: String, _ type: String, _ help: String, _ value: (EngineLoad) -> Int) -> [String] {
            self.metric(name, type, help, loads.map { ("model_name=\"\(escaped($0.model))\"", value($0.load)) })
        }
        return metric("num_requests_running", "gauge", "Generations that run.", \.running)
            + metric("num_requests_waiting", "gauge", "Generations that wait for a place.", \.waiting)
            + metric(
                "spec_decode_num_draft_tokens_total", "counter", "Tokens that were guessed ahead.", \.guessedTokens)
            + metric(
                "spec_decode_num_accepted_tokens_total", "counter", "Guessed tokens that were right.",
                \.acceptedTokens)
            + metric("texts_read_total", "counter", "Texts that were read whole, not written.", \.texts)
            + metric("text_passes_total", "counter", "Passes that they shared.", \.textPasses)
            + metric(
                "kv_cache_blocks_used", "gauge", "Blocks of 64 positions of keys and values that texts have.",
                \.usedBlocks)
            + metric("kv_cache_blocks", "gauge", "Blocks that there may be.", \.blocks)
            + metric(
                "num_preemptions_total", "counter", "Texts that gave their blocks to an older one.", \.preemptions)
    }

    /// The lines of the service itself.
    private static func lines(of state: State) -> [String] {
        func metric(_ name: String, _ type: String, _ help: String, _ value: Int) -> [String] {
            self.metric(name, type, help, [("", value)])
        }
        func sorted(_ counts: [String: Int], _ labels: (String) -> String) -> [Sample] {
            counts.sorted { $0.key < $1.key }.map { (labels($0.key), $0.value) }
        }
        return metric("requests_in_flight", "gauge", "HTTP requests that are being answered.", state.inFlight)
            + metric("prompt_tokens_total", "counter", "Tokens of prompts.", state.promptTokens)
            + metric(
                "prefix_cache_hits_total", "counter", "Tokens of prompts that were not computed again.",
                state.cachedTokens)
            + metric("generation_tokens_total", "counter", "Tokens generated.", state.generatedTokens)
            + self.metric(
                "request_success_total", "counter", "Choices that ended, by why.",
                sorted(state.finishes) { "finished_reason=\"\($0)\"" })
            + self.metric(
                "http_requests_total", "counter", "Requests answered, by route and status.",
                sorted(state.answers) { $0 })
            + metric(
                "client_disconnects_total", "counter", "Clients that left before their answer was complete.",
                state.disconnects)
    }

    private static func lines(_ duration: Duration, _ histogram: Histogram) -> [String] {
        let name = "martlet:" + duration.rawValue
        var lines = ["# HELP \(name) \(duration.help)", "# TYPE \(name) histogram"]
        var total = 0
        for (bound, count) in zip(bounds.map { "\($0)" } + ["+Inf"], histogram.counts) {
            total += count
            lines.append("\(name)_bucket{le=\"\(bound)\"} \(total)")
        }
        return lines + ["\(name)_sum \(histogram.sum)", "\(name)_count \(total)"]
    }

    private static func escaped(_ label: String) -> String {
        label.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}
