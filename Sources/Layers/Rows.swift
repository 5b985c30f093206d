/// The rows of one forward pass: tokens of all sequences laid end to end, never padded.
///
/// Only attention knows where one sequence stops and the next begins; everything else is row-wise.
package struct Rows: Sendable {
    /// One sequence's share of the pass.
    package struct Sequence: Sendable {
        /// The sequence's rows in the pass.
        package let rows: Range<Int>
        /// The position of its first row: what came before is in the attention state.
        package let start: Int
        /// The extent of the sequence, in positions, as far as it is known: at least the end of these rows. A prompt
        /// that is fed in chunks says its whole length, so that positions which depend on it come out as in one piece.
        package let extent: Int
        /// The positions that see all and are seen by all (Longformer), ascending; the model's own choice when nil.
        package let globals: [Int]?
        /// The sequence of the KV cache that these rows continue.
        package let id: SequenceID

        package init(rows: Range<Int>, start: Int, extent: Int, globals: [Int]? = nil, id: SequenceID = 0) {
            (self.rows, self.start, self.extent, self.globals) = (rows, start, extent, globals)
            self.id = id
        }
    }

    package private(set) var tokens: [Int32] = []
    package private(set) var positions: [Int32] = []
    /// The extent of its sequence for each row.
    package private(set) var extents: [Int32] = []
    /// The segment of each row, sentence A or B (BERT).
    package private(set) var segments: [Int32] = []
    package private(set) var sequences: [Sequence] = []
    /// The additions of a training pass; none when nil.
    package var training: TrainingPass?
    /// The visitor that is told of each layer that this pass comes to and leaves.
    package var visitor: (any LayerVisitor)?

    package init() {}

    /// The rows of one sequence from its first position.
    package init(_ tokens: [Int32]) { append(tokens) }

    /// Adds a sequence's next rows.
    ///
    /// - Parameters:
    ///   - start: the positions that came before.
    ///   - extent: how far the sequence is known to reach; the end of these rows when nil.
    ///   - segments: one number per token; zeros when nil.
    ///   - globals: positions that see all and are seen by all, for models that have such.
    ///   - id: the sequence of the KV cache; the first one, second one … of the pass when nil.
    package mutating func append(
        _ tokens: [Int32], from start: Int = 0, extent: Int? = nil, segments: [Int32]? = nil, globals: [Int]? = nil,
        id: SequenceID? = nil
    ) {
        precondition(segments.map { $0.count == tokens.count } ?? true, "Rows: \(tokens.count) tokens, other segments")
        let first = self.tokens.count
        let sequence = Sequence(
            rows: first..<first + tokens.count, start: start, extent: max(extent ?? 0, start + tokens.count),
            globals: globals.map { Set($0).sorted() }, id: id ?? SequenceID(sequences.count))
        sequences.append(sequence)
        self.tokens += tokens
        positions += (0..<tokens.count).map { Int32(start + $0) }
        extents += Array(repeating: Int32(sequence.extent), count: tokens.count)
        self.segments += segments ?? Array(repeating: 0, count: tokens.count)
    }

    package var count: Int { tokens.count }

    /// The rows of all sequences, also where only a part of them is here.
    package var total: Int { sequences.last?.rows.upperBound ?? 0 }

    /// Some of these rows, where ranks divide them: sequences stay as they are, for attention sees all rows.
    package func part(_ range: Range<Int>) -> Rows {
        var part = self
        part.tokens = Array(tokens[range])
        part.positions = Array(positions[range])
        part.extents = Array(extents[range])
        part.segments = Array(segments[range])
        part.training?.firstRow = range.lowerBound
        return part
    }

    /// The last row of each sequence.
    package var lastRows: [Int] { sequences.map { $0.rows.upperBound - 1 } }
}
