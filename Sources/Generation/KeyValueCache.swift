// MartletGeneration: from a prompt's token ids to the ids that follow. Knows no text, no file and no server.

public import MartletLayers
public import MartletTensors

/// The keys and values of one or more sequences in every layer: the contiguous cache.
///
/// A cached pass gives the bits of an uncached one, whatever the chunks it was fed in.
public struct KeyValueCache: AttentionState, Sendable {
    private let device: Device
    private var memories: [[KeyValueBlocks]]

    /// - Parameters:
    ///   - stack: the decoder's layers.
    ///   - sequences: how many sequences each pass will have, always in this order.
    public init(_ stack: Architecture.Stack, sequences: Int = 1, on device: Device) {
        self.device = device
        memories = stack.layers.map { layer in
            let form = layer.attention
            let empty = KeyValueBlocks(keyHeads: form.keyHeads, headWidth: form.headWidth, valueWidth: form.headWidth)
            return Array(repeating: empty, count: sequences)
        }
    }

    /// Positions that sequence `index` has.
    public func length(of index: Int = 0) -> Int { memories.first?[index].length ?? 0 }

    /// Forgets all positions of sequence `index` from `length` on.
    public mutating func truncate(_ index: Int = 0, to length: Int) {
        for layer in memories.indices { memories[layer][index].truncate(to: length) }
    }

    public mutating func attend(
        layer: Int, _ form: Architecture.Attention, query: Tensor, key: Tensor, value: Tensor, rows: Rows
    ) -> Tensor {
        precondition(
            rows.sequences.count == memories[layer].count,
            "KeyValueCache: \(rows.sequences.count) sequences in the pass, \(memories[layer].count) in the cache")
        let result = device.make(query.shape)
        for (index, sequence) in rows.sequences.enumerated() where !sequence.rows.isEmpty {
            precondition(
                sequence.start == memories[layer][index].length,
                "KeyValueCache: rows from \(sequence.start), but \(memories[layer][index].length) positions are cached")
            memories[layer][index].append(keys: key, values: value, rows: sequence.rows, on: device)
            let keys = memories[layer][index].length
            let span = form.reach.span(of: sequence, length: keys)
            query.attend(to: memories[layer][index], span, form.scoreRule(keys: keys), into: result)
        }
        return result
    }
}
