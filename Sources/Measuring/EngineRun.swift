internal import MartletGeneration
internal import MartletLayers
package import MartletModels
import MartletPlatform
package import MartletTensors

/// A model at work as the verbs have it work, pass by pass, each of them timed.
///
/// Several models of one form may take turns, so that the weights of a small one come from memory as those of a large
/// one do.
package final class EngineRun {
    /// The request of a run: what is read and written.
    package struct Request: Sendable, Hashable {
        /// The number of tokens of each sequence that are read: the prompt, or what an encoder gets.
        package var prompt: Int
        /// The number of sequences at once.
        package var sequences: Int
        /// The chunk size of prefill, the rows of one pass while a prompt is read.
        package var chunk = 512

        package init(prompt: Int, sequences: Int = 1) { (self.prompt, self.sequences) = (prompt, sequences) }
    }

    /// The most tokens that are written after what was read.
    private static let mostWritten = 128

    private let models: [Model]
    private let request: Request
    private let device: Device
    private var reads = 0
    private var steps = 0
    /// The KV cache of each model's sequences, and how far they reach. A model that has not read goes on with a copy of
    /// what another remembers: nobody looks at the numbers.
    private var caches: [Int: (cache: KeyValueCache, length: Int)] = [:]
    private var engines: [Int: StepEngine] = [:]

    /// - Precondition: `models` has at least one, and all are alike.
    package init(_ models: [Model], _ request: Request, on device: Device) {
        precondition(!models.isEmpty, "EngineRun: no model")
        (self.models, self.request, self.device) = (models, request, device)
    }

    /// The time in seconds in which the next model reads everything once: a decoder with the logits that follow, an
    /// encoder with its head. A decoder reads one sequence, and takes as long for each of the others, whose caches are
    /// filled with zeros.
    package func read() -> Double {
        let model = models[reads % models.count]
        reads += 1
        caches = [:]
        let seconds = EngineRun.seconds {
            switch model {
            case .decoder(let decoder): read(decoder)
            case .encoder(let encoder):
                var state = Uncached()
                let rows = rows(request.prompt, from: 0, vocabulary: encoder.architecture.vocabulary)
                _ = encoder.head(encoder.hidden(rows, &state, on: device), rows)
            case .encoderDecoder(let model): read(model)
            }
        }
        guard case .decoder = model else { return seconds }
        addSequences((reads - 1) % models.count)
        return seconds * Double(request.sequences)
    }

    /// Adds the sequences that were not read, with zeros for keys and values, of a run of model `index`.
    private func addSequences(_ index: Int) {
        guard let (read, length) = caches[index] else { return }
        var cache = read
        caches[index] = nil
        let blocks = BlockLayout.blocks(for: length + EngineRun.mostWritten)
        for sequence in 1..<max(1, request.sequences) {
            cache.add(SequenceID(sequence))
            for (table, layout) in cache.layout.tables.enumerated() {
                for number in 0..<blocks {
                    guard let block = cache.pool.take(bytes: layout.bytes) else { continue }
                    block.clear()
                    cache.lend(block, to: SequenceID(sequence), table: table, at: number)
                }
            }
            cache.resume(SequenceID(sequence), at: length)
        }
        caches[index] = (cache, length)
    }

    /// The time in seconds of one more token for every sequence; nil for an encoder.
    package func write() -> Double? {
        let index = steps % models.count
        steps += 1
        guard case (var cache, let length)? = caches[index] ?? caches.first?.value else { return nil }
        let engine = engine(index)
        let seconds = EngineRun.seconds { advance(1, from: length, engine, &cache) }
        caches[index] = (cache, length + 1)
        return seconds
    }

    private func read(_ decoder: Decoder) {
        let index = (reads - 1) % models.count
        guard let engine = engine(index) else { return }
        var cache = engine.cache(sequences: 1)
        for start in stride(from: 0, to: request.prompt, by: request.chunk) {
            advance(min(request.chunk, request.prompt - start), of: 1, from: start, engine, &cache)
        }
        caches[index] = (cache, request.prompt)
        steps = reads - 1
    }

    /// The source, and the first token about it.
    private func read(_ model: EncoderDecoder) {
        let index = (reads - 1) % models.count
        var state = Uncached()
        let rows = rows(request.prompt, from: 0, vocabulary: model.architecture.vocabulary)
        let source = model.encode(rows, &state, on: device)
        guard model.architecture.writes, let engine = engine(index) else {
            let first = self.rows(1, from: 0, vocabulary: model.targetVocabulary)
            _ = model.head(model.hidden(first, source: source, &state, on: device), first)
            return
        }
        var cache = engine.cache(sequences: request.sequences)
        engine.attach(source, to: (0..<request.sequences).map { SequenceID($0) }, &cache)
        advance(1, from: 0, engine, &cache)
        caches[index] = (cache, 1)
        steps = reads - 1
    }

    /// Made once for each model; nil for an encoder.
    private func engine(_ index: Int) -> StepEngine? {
        if let known = engines[index] { return known }
        switch models[index] {
        case .decoder(let decoder): engines[index] = try? StepEngine(decoder, on: device)
        case .encoder: break
        case .encoderDecoder(let model): engines[index] = StepEngine(model, on: device)
        }
        return engines[index]
    }

    /// `count` tokens of each of so many sequences, all of them when nil, and the choice of what follows each last one,
    /// as generation has it.
    private func advance(
        _ count: Int, of sequences: Int? = nil, from start: Int, _ engine: StepEngine?, _ cache: inout KeyValueCache
    ) {
        guard let engine else { return }
        let sequences = sequences ?? request.sequences
        let rows = (0..<sequences).flatMap { sequence in
            (start..<start + count).map { position in
                StepRow(
                    token: Int32((position + sequence) * 7_919 % engine.vocabulary), position: position,
                    sequence: SequenceID(sequence), isWanted: position + 1 == start + count)
            }
        }
        guard let logits = engine.logits(rows, &cache) else { return }
        for row in 0..<sequences { _ = logits.rows(row..<row + 1).argmax() }
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
        var (began, round, written) = (ContinuousClock.now, 0, min(4, tokens))
        var spent: Double { (ContinuousClock.now - began).seconds }
        while round < 2 || (round < 64 && spent < enough) {
            for (index, run) in runs.enumerated() {
                let read = run.read()
                let steps = (0..<written).compactMap { _ in run.write() }
                reads[index].append(read)
                // The first step finds the caches full of the prompt.
                writes[index] += steps.dropFirst()
            }
            round += 1
            guard round == 1 else { continue }
            if spent > enough { break }
            let slowest = writes.filter { !$0.isEmpty }.map(\.median).max() ?? 1
            written = min(tokens, max(4, Int(seconds / 8 / slowest)))
            (reads, writes, began) = (runs.map { _ in [] }, runs.map { _ in [] }, .now)
        }
        return zip(reads, writes).map { Timing(read: $0.isEmpty ? 0 : $0.median, write: $1.isEmpty ? nil : $1.median) }
    }
}
