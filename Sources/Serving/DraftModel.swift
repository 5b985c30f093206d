import MartletGeneration
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTensors

/// The draft model of speculative decoding: a smaller model that guesses the tokens of a larger one, with keys and
/// values of its own.
///
/// It draws by the sampler of the sequence, at the same positions of the same random sequence, and so guesses a sampled
/// token as well as a greedy one: where both models have the same probabilities, every guess is right. What is written
/// never depends on it, for a guess only stays where the larger model draws the same token.
final class DraftModel {
    /// A sequence of which tokens are to be guessed.
    struct Wish {
        let id: Int
        /// The whole text so far.
        let tokens: [Int32]
        let count: Int
        var sampler: Sampler
        let extent: Int
        var guessed: [Int32] = []
    }

    /// The number of rows that are read in one pass before a step, of texts that this model does not know yet.
    private static let most = 256

    private let steps: StepEngine
    private let context: Int
    private var cache: KeyValueCache
    private var known: Set<Int> = []
    private var rows: [StepRow] = []
    /// The size in bytes that the blocks of texts which are read next will take.
    private var promised = 0

    /// - Parameter limit: bytes of keys and values at most.
    init(_ decoder: Decoder, cache type: ElementType, limit: Int, on device: Device) throws(GenerationError) {
        steps = try StepEngine(decoder, cache: type, on: device)
        context = decoder.architecture.context ?? .max
        cache = steps.cache(pool: BlockPool(limit: limit))
    }

    var heldBytes: Int { cache.pool.heldBytes }
    /// The number of sequences of which something is remembered.
    var sequences: Int { known.count }

    func forget(_ id: Int) {
        if known.remove(id) != nil { cache.remove(SequenceID(id)) }
    }

    /// Guesses for all at once, one pass for each further token. Of a text that is much longer than what is known of
    /// it, a part is read and nothing guessed.
    ///
    /// - Returns: the wishes of which tokens were guessed, and what a pass with one row for each took, if there was
    ///   one.
    func guess(_ wishes: [Wish]) -> (wishes: [Wish], passSeconds: Double?) {
        rows.removeAll(keepingCapacity: true)
        promised = 0
        var writers: [Wish] = []
        for wish in wishes where read(wish, beside: wishes) { writers.append(wish) }
        guard !rows.isEmpty else { return ([], nil) }
        // A first pass that reads more than what was written last says nothing of the others.
        let isTypical = rows.count <= 2 * writers.count
        var began = ContinuousClock.now
        var logits = steps.logits(rows, &cache)
        if !isTypical { began = .now }
        var (passes, done) = (isTypical ? 1 : 0, [Wish]())
        while let known = logits, !writers.isEmpty {
            for index in writers.indices { writers[index].draw(known, row: index) }
            done += writers.filter { $0.guessed.count >= $0.count }
            writers.removeAll { $0.guessed.count >= $0.count }
            guard !writers.isEmpty else { break }
            rows.removeAll(keepingCapacity: true)
            for writer in writers { rows.append(writer.lastRow) }
            logits = steps.logits(rows, &cache)
            passes += 1
        }
        return (done, passes > 0 ? (ContinuousClock.now - began).seconds / Double(passes) : nil)
    }

    /// Adds the rows of what is not known of a text.
    ///
    /// - Returns: whether all of it will be known, so that its next token can be guessed.
    private func read(_ wish: Wish, beside wishes: [Wish]) -> Bool {
        let id = SequenceID(wish.id)
        guard wish.count > 0, wish.tokens.count + wish.count <= context else { return false }
        if known.insert(wish.id).inserted { cache.add(id) }
        // Behind the tokens that were accepted stand those that were not.
        if cache.length(of: id) >= wish.tokens.count { cache.truncate(id, to: wish.tokens.count - 1) }
        let start = cache.length(of: id)
        let count = min(wish.tokens.count - start, DraftModel.most - rows.count)
        let isWhole = start + count == wish.tokens.count
        guard count > 0, makeRoom(id, for: count + wish.count, beside: wishes) else { return false }
        for position in start..<start + count {
            rows.append(
                StepRow(
                    token: wish.tokens[position], position: position, extent: wish.extent, sequence: id,
                    isWanted: isWhole && position + 1 == start + count))
        }
        return isWhole
    }

    /// Returns whether the pool has blocks for so many more positions, after others have been forgotten if they must.
    private func makeRoom(_ id: SequenceID, for count: Int, beside wishes: [Wish]) -> Bool {
        func fits() -> Bool {
            cache.pool.usedBytes + promised + cache.bytesNeeded(id, for: count) <= cache.pool.limit ?? .max
        }
        if !fits() {
            for other in known where !wishes.contains(where: { $0.id == other }) { forget(other) }
        }
        guard fits() else { return false }
        promised += cache.bytesNeeded(id, for: count)
        return true
    }
}

extension DraftModel.Wish {
    fileprivate mutating func draw(_ logits: Tensor, row: Int) {
        let token = sampler.next(logits, row: row, position: tokens.count + guessed.count)
        guessed.append(token)
        sampler.append(token)
    }

    /// The row of the last token that was guessed.
    fileprivate var lastRow: StepRow {
        StepRow(
            token: guessed.last ?? tokens.last ?? 0, position: tokens.count + guessed.count - 1, extent: extent,
            sequence: SequenceID(id))
    }
}
