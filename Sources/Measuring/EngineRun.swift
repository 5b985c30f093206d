internal import MartletGeneration
internal import MartletLayers
package import MartletModels
import MartletPlatform
package import MartletTensors

/// A model at work as the verbs have it work, pass by pass, each of them timed.
///
/// Several models of one form may take turns, so that the weights of a small one come from memory as those of a large one do.
package final class EngineRun {
    /// What is read and written.
    package struct Request: Sendable, Hashable {
        /// Tokens of each sequence that are read: the prompt, or what an encoder gets.
        package var prompt: Int
        /// Sequences at once.
        package var sequences: Int
        /// Rows of one pass while a prompt is read.
        package var chunk = 512

        package init(prompt: Int, sequences: Int = 1) { (self.prompt, self.sequences) = (prompt, sequences) }
    }

    private let models: [Model]
    private let request: Request
    private let device: Device
    private var reads = 0
    private var steps = 0
    /// For each model, what the sequences remember, and how far they reach. One that has not read goes on with what another remembers, in the
    /// very same memory: nobody looks at the numbers.
    private var caches: [Int: (cache: KeyValueCache, length: Int)] = [:]
    private var sources: [Source] = []
    /// For each decoder the step that writes one token of every sequence; nil where the model has a part that steps do not know.
    private var writers: [Int: DecoderStep?] = [:]

    /// - Precondition: `models` has at least one, and all are alike.
    package init(_ models: [Model], _ request: Request, on device: Device) {
        precondition(!models.isEmpty, "EngineRun: no model")
        (self.models, self.request, self.device) = (models, request, device)
    }

    /// Seconds in which the next model reads everything once: a decoder with the logits that follow, an encoder with its head.
    package func read() -> Double {
        let model = models[reads % models.count]
        reads += 1
        caches = [:]
        return EngineRun.seconds {
            switch model {
            case .decoder(let decoder): read(decoder)
            case .encoder(let encoder):
                var state = Uncached()
                let rows = rows(request.prompt, from: 0, vocabulary: encoder.architecture.vocabulary)
                _ = encoder.head(encoder.hidden(rows, &state, on: device), rows)
            case .encoderDecoder(let model): read(model)
            }
        }
    }

    /// Seconds of one more token for every sequence; nil for an encoder.
    package func write() -> Double? {
        let index = steps % models.count
        steps += 1
        guard case (var cache, let length)? = caches[index] ?? caches.first?.value else { return nil }
        let writer = writer(index)
        let seconds = EngineRun.seconds {
            switch models[index] {
            case .decoder(let decoder): advance(decoder, writer, from: length, &cache)
            case .encoder: break
            case .encoderDecoder(let model): pass(model, from: length, &cache)
            }
        }
        caches[index] = (cache, length + 1)
        return seconds
    }

    private func read(_ decoder: Decoder) {
        guard case .decoder(let stack) = decoder.architecture.body else { return }
        var cache = KeyValueCache(stack, sequences: request.sequences, on: device)
        for start in stride(from: 0, to: request.prompt, by: request.chunk) {
            pass(decoder, min(request.chunk, request.prompt - start), from: start, &cache)
        }
        caches[(reads - 1) % models.count] = (cache, request.prompt)
        steps = reads - 1
    }

    /// The source, and the first token about it, with which keys and values of the source are made.
    private func read(_ model: EncoderDecoder) {
        var state = Uncached()
        let source = model.encode(
            rows(request.prompt, from: 0, vocabulary: model.architecture.vocabulary), &state, on: device)
        sources = [source]
        var cache = KeyValueCache(model.decoderStack, sequences: request.sequences, on: device)
        pass(model, from: 0, &cache)
        caches[(reads - 1) % models.count] = (cache, 1)
        steps = reads - 1
    }

    private func pass(_ decoder: Decoder, _ count: Int, from start: Int, _ cache: inout KeyValueCache) {
        let rows = rows(count, from: start, vocabulary: decoder.architecture.vocabulary)
        let hidden = decoder.hidden(rows, &cache, on: device)
        _ = decoder.logits(hidden.selecting(rows: rows.lastRows)).argmax()
    }

    private func writer(_ index: Int) -> DecoderStep? {
        if let known = writers[index] { return known }
        var made: DecoderStep?
        if case .decoder(let decoder) = models[index] {
            made = DecoderStep(decoder, rows: request.sequences, on: device)
        }
        writers[index] = .some(made)
        return made
    }

    /// One token of every sequence, in a step where the model has one, as generation has it.
    private func advance(_ decoder: Decoder, _ step: DecoderStep?, from start: Int, _ cache: inout KeyValueCache) {
        guard let step else { return pass(decoder, 1, from: start, &cache) }
        for row in 0..<request.sequences {
            let token = Int32((start + row) * 7_919 % decoder.architecture.vocabulary)
            step.set(row: row, token: token, position: start, extent: start + 1)
        }
        cache.advance(step)
        step.run(rows: request.sequences)
        for row in 0..<request.sequences { _ = step.logits(row: row).argmax() }
    }

    private func pass(_ model: EncoderDecoder, from start: Int, _ cache: inout KeyValueCache) {
        guard let source = sources.first else { return }
        let rows = rows(1, from: start, vocabulary: model.targetVocabulary)
        let hidden = model.hidden(rows, source: source, &cache, on: device)
        if model.architecture.writes { _ = model.logits(hidden).argmax() } else { _ = model.head(hidden, rows) }
    }

    /// `count` rows of every sequence, their tokens spread over the vocabulary.
    private func rows(_ count: Int, from start: Int, vocabulary: Int) -> Rows {
        var rows = Rows()
        for sequence in 0..<request.sequences {
            let tokens = (0..<count).map { Int32((start + sequence + $0) * 7_919 % vocabulary) }
            rows.append(tokens, from: start)
        }
        return rows
    }

    private static func seconds(_ work: () -> Void) -> Double {
        let duration = ContinuousClock().measure(work)
        return duration.seconds
    }
}

extension EngineRun {
    /// Typical seconds of reading and of writing one token, of several runs that take turns.
    package struct Timing: Sendable, Hashable {
        package var read: Double
        package var write: Double?
    }

    /// Lets `runs` take turns until about `seconds` have passed for each; a first round that is short is not counted.
    ///
    /// Medians: other work on the machine slows single passes, and both sides of a comparison alike.
    ///
    /// - Parameter tokens: the most that are written after a prompt; fewer of slow ones.
    package static func compare(_ runs: [EngineRun], seconds: Double, tokens: Int) -> [Timing] {
        var (reads, writes) = (runs.map { _ in [Double]() }, runs.map { _ in [Double]() })
        let enough = seconds * Double(runs.count)
        var (spent, round, written) = (0.0, 0, min(4, tokens))
        while round < 2 || (round < 64 && spent < enough) {
            for (index, run) in runs.enumerated() {
                let read = run.read()
                let steps = (0..<written).compactMap { _ in run.write() }
                spent += read + steps.reduce(0, +)
                reads[index].append(read)
                // The first step finds the caches full of the prompt.
                writes[index] += steps.dropFirst()
            }
            round += 1
            guard round == 1 else { continue }
            if spent > enough { break }
            let slowest = writes.compactMap { median($0) }.max() ?? 1
            written = min(tokens, max(4, Int(seconds / 8 / slowest)))
            (reads, writes, spent) = (runs.map { _ in [] }, runs.map { _ in [] }, 0)
        }
        return zip(reads, writes).map { Timing(read: median($0) ?? 0, write: median($1)) }
    }

    private static func median(_ values: [Double]) -> Double? {
        guard !values.isEmpty else { return nil }
        let sorted = values.sorted()
        return (sorted[sorted.count / 2] + sorted[(sorted.count - 1) / 2]) / 2
    }
}
