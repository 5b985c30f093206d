package import MartletLayers

/// The examples of one pass, laid end to end.
package struct Batch: Sendable {
    /// The rows that are read by the decoder, or by the encoder of the models that have one.
    package private(set) var rows = Rows()
    /// The rows that are read by the decoder of an encoder-decoder.
    package private(set) var decoderRows: Rows?
    /// The targets, one per row that makes logits: the token to predict, or ``Example/ignored``.
    package private(set) var targets: [Int32] = []
    /// The labels, one per example that has one.
    package private(set) var labels: [Label] = []
    /// The teacher's logits of all examples, one after the other; none without a teacher.
    package private(set) var teacher: [Float] = []
    /// The number of texts of an example, each a sequence of the rows.
    package private(set) var textsPerExample = 1
    /// The number of rows that have a target, and of examples that have a label: what the mean of the loss is over.
    package private(set) var targetCount = 0
    /// The number of examples.
    package private(set) var examples = 0

    package init() {}

    /// The batches of several passes joined as if one read them: texts and their labels, in this order.
    package init(joining batches: [Batch]) {
        for batch in batches {
            for sequence in batch.rows.sequences {
                rows.append(
                    Array(batch.rows.tokens[sequence.rows]), segments: Array(batch.rows.segments[sequence.rows]),
                    globals: sequence.globals)
            }
            targets += batch.targets
            labels += batch.labels
            teacher += batch.teacher
            textsPerExample = batch.textsPerExample
            targetCount += batch.targetCount
            examples += batch.examples
        }
    }

    /// - Parameter globals: the positions that see all and are seen by all, for models that have such; nil leaves them
    ///   to the model.
    package mutating func append(_ example: Example, globals: [Int]? = nil) {
        rows.append(example.tokens, segments: example.segments, globals: globals)
        for other in example.others { rows.append(other) }
        textsPerExample = 1 + example.others.count
        teacher += example.teacher
        if let label = example.label {
            labels.append(label)
            targetCount += 1
        }
        if let tokens = example.decoderTokens {
            var decoder = decoderRows ?? Rows()
            decoder.append(tokens)
            decoderRows = decoder
        }
        targets += example.targets
        if example.label == nil { targetCount += example.targets.reduce(0) { $0 + ($1 == Example.ignored ? 0 : 1) } }
        examples += 1
    }

    /// The examples of plain texts, taken apart again.
    var parts: [Example] {
        rows.sequences.indices.map { index in
            let tokens = Array(rows.tokens[rows.sequences[index].rows])
            guard let decoder = decoderRows else {
                return Example(tokens: tokens, targets: Array(targets[rows.sequences[index].rows]))
            }
            let range = decoder.sequences[index].rows
            return Example(
                tokens: tokens, decoderTokens: Array(decoder.tokens[range]), targets: Array(targets[range]))
        }
    }

    /// Returns whether another example fits within `rows` on either side.
    func hasRoom(for example: Example, rows limit: Int) -> Bool {
        rows.count + example.rows <= limit
            && (decoderRows?.count ?? 0) + (example.decoderTokens?.count ?? 0) <= limit
    }

    /// The number of tokens read, on both sides.
    package var tokens: Int { rows.count + (decoderRows?.count ?? 0) }
}
