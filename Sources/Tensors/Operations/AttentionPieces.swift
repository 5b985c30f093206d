import CMartletKernels

extension Tensor {
    /// Attention of the rows of one sequence over several ranges of keys at once: one softmax over all that they see.
    ///
    /// Every piece is reduced in segments at absolute boundaries, and segments are merged in the order of the pieces,
    /// so the bits depend on neither threads nor neighbours. The cost grows with what is seen, not with rows times
    /// keys.
    ///
    /// - Parameters:
    ///   - self: `[rows, queryHeads, headWidth]`; `result` `[rows, queryHeads, valueWidth]`.
    ///   - pieces: keys and values, and which of them each row sees; all for the same rows, none seen twice by a row.
    package func attend(
        to pieces: [(keyValues: KeyValueView, span: AttentionSpan)], _ rule: ScoreRule, into result: Tensor
    ) {
        attend(to: pieces.map { ($0.keyValues, $0.span, rule) }, into: result)
    }

    /// Attention over several ranges of keys at once, where the scores of each have a rule, and a bias, of their own.
    package func attend(
        to pieces: [(keyValues: KeyValueView, span: AttentionSpan, rule: ScoreRule)], into result: Tensor
    ) {
        let device = device(for: "attend")
        let works = pieces.map {
            AttentionWork(query: self, $0.keyValues, $0.span, $0.rule, result: result, on: device)
        }
        guard let rows = pieces.first?.span.rows.count, let keyHeads = pieces.first?.keyValues.keyHeads else { return }
        precondition(
            pieces.allSatisfy { $0.span.rows == pieces[0].span.rows && $0.keyValues.keyHeads == keyHeads },
            "attend: pieces of different rows or heads")
        // Neighbouring rows see nearly the same segments.
        let tile = 64
        let tiles = (rows + tile - 1) / tile
        device.parallel(keyHeads * tiles, cost: tile * Int(MARTLET_SEGMENT) * works[0].rowCost) { range in
            for item in range {
                let first = item % tiles * tile
                let rows = first..<min(rows, first + tile)
                let work = AttentionPieces(works: works, spans: pieces.map(\.span), keyHead: item / tiles, rows: rows)
                unsafe work.run(on: device)
            }
        }
    }
}

/// The attention of one key head and a tile of rows to all pieces.
struct AttentionPieces {
    let works: [AttentionWork]
    let spans: [AttentionSpan]
    let keyHead: Int
    let rows: Range<Int>

    /// - Parameter logTotals: where log Σ e^score of each row and head goes, where it is wanted.
    func run(on device: Device, logTotals: UnsafeMutablePointer<Float>? = nil) {
        var whole = unsafe works[0].part(keyHead: keyHead, rows: rows)
        let floats = unsafe martlet_attend_partial_floats(&whole)
        let segments = spans.map(segments)
        let partials = device.scratch(bytes: max(1, segments.reduce(0) { $0 + $1.count }) * floats * 4)
        let scratch = device.scratch(bytes: unsafe martlet_attend_scratch(&whole) * 4)
        var done = 0
        for (work, segments) in zip(works, segments) {
            for segment in segments {
                var part = unsafe work.part(keyHead: keyHead, rows: rows)
                unsafe martlet_attend_segment(
                    &part, segment, partials.mutablePointer.assumingMemoryBound(to: Float.self) + done * floats,
                    scratch.mutablePointer.assumingMemoryBound(to: Float.self))
                done += 1
            }
        }
        let sums = unsafe partials.pointer.assumingMemoryBound(to: Float.self)
        unsafe martlet_attend_merge(&whole, sums, done)
        if let logTotals = unsafe logTotals { unsafe martlet_attend_log_totals(&whole, sums, done, logTotals) }
    }

    /// The segments that any of the rows sees.
    private func segments(_ span: AttentionSpan) -> Range<Int> {
        let seen = rows.filter { span.lower[$0] < span.upper[$0] }
        guard let lower = seen.map({ span.lower[$0] }).min(), let upper = seen.map({ span.upper[$0] }).max() else {
            return 0..<0
        }
        let size = Int(MARTLET_SEGMENT)
        return Int(lower) / size..<(Int(upper) + size - 1) / size
    }
}
