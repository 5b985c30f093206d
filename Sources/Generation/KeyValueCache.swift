// MartletGeneration: from a prompt's token ids to the ids that follow. Knows no text, no file and no server.

public import MartletLayers
package import MartletModels
public import MartletTensors

/// The keys and values of one or more sequences in every layer: the contiguous cache.
///
/// A cached pass gives the bits of an uncached one, whatever the chunks it was fed in.
public struct KeyValueCache: AttentionState, Sendable {
    private let device: Device
    /// What keys and values are kept as.
    public let type: ElementType
    private var memories: [[KeyValueBlocks]]
    /// Of cross-attention, for each layer and sequence; empty before the first pass.
    private var sources: [[KeyValueBlocks]]

    /// - Parameters:
    ///   - stack: the decoder's layers.
    ///   - sequences: how many sequences each pass will have, always in this order.
    ///   - type: what keys and values are kept as: f32, f16, bf16, or q8_0, for which all heads must be multiples of 32 wide.
    public init(_ stack: Architecture.Stack, sequences: Int = 1, type: ElementType = .f32, on device: Device) {
        (self.device, self.type) = (device, type)
        memories = stack.layers.map { layer in
            let form = layer.attention
            let empty = KeyValueBlocks(
                keyHeads: form.keyHeads, headWidth: form.headWidth, valueWidth: form.headWidth, type: type)
            return Array(repeating: empty, count: sequences)
        }
        sources = stack.layers.map { _ in [] }
    }

    /// Makes sequence i continue what sequence `parents[i]` remembers; a parent may have several heirs, or none.
    public mutating func select(_ parents: [Int]) {
        for layer in memories.indices {
            for parent in Set(parents) { memories[layer][parent].share() }
            memories[layer] = parents.map { memories[layer][$0] }
            if !sources[layer].isEmpty { sources[layer] = parents.map { sources[layer][$0] } }
        }
    }

    /// Positions that sequence `index` has.
    public func length(of index: Int = 0) -> Int { memories.first?[index].length ?? 0 }

    /// Forgets all positions of sequence `index` from `length` on.
    public mutating func truncate(_ index: Int = 0, to length: Int) {
        for layer in memories.indices { memories[layer][index].truncate(to: length) }
    }

    /// Makes room for one more position in each sequence, and tells `step`, which is about to write it.
    package mutating func advance(_ step: DecoderStep) {
        for layer in memories.indices {
            for index in memories[layer].indices {
                memories[layer][index].extend(on: device)
                step.setMemory(layer: layer, row: index, memories[layer][index])
            }
        }
    }

    public mutating func attend(
        layer: Int, _ form: Architecture.Attention, _ inputs: AttentionInputs, rows: Rows
    ) -> Tensor {
        checkCount(rows, layer)
        precondition(inputs.global == nil, "KeyValueCache: a text with global positions is read in one pass, uncached")
        let result = device.make(inputs.query.shape)
        var parts: [AttentionPass] = []
        for (index, sequence) in rows.sequences.enumerated() where !sequence.rows.isEmpty {
            precondition(
                sequence.start == memories[layer][index].length,
                "KeyValueCache: rows from \(sequence.start), but \(memories[layer][index].length) positions are cached")
            memories[layer][index].append(keys: inputs.key, values: inputs.value, rows: sequence.rows, on: device)
            let keys = memories[layer][index].length
            let span = form.reach.span(of: sequence, length: keys)
            let rule = form.scoreRule(keys: keys, inputs.bias, sequence: index)
            parts.append(AttentionPass(memory: memories[layer][index], span: span, rule: rule))
        }
        inputs.query.attend(parts, into: result)
        return result
    }

    public mutating func attendAcross(
        layer: Int, _ form: Architecture.Attention, query: Tensor, rows: Rows, source: Source,
        project: (Tensor) -> (keys: Tensor, values: Tensor)
    ) -> Tensor {
        checkCount(rows, layer)
        if sources[layer].isEmpty {
            let (keys, values) = project(source.hidden)
            sources[layer] = KeyValueBlocks.filled(keys: keys, values: values, rows: source.ranges, on: device)
        }
        let result = device.make(query.shape)
        let rule = form.scoreRule(keys: 0)
        let parts = rows.sequences.indices.filter { !rows.sequences[$0].rows.isEmpty }.map { index in
            let source = sources[layer][index]
            let span = Architecture.Reach.all.span(of: rows.sequences[index], length: source.length)
            return AttentionPass(memory: source, span: span, rule: rule)
        }
        query.attend(parts, into: result)
        return result
    }

    private func checkCount(_ rows: Rows, _ layer: Int) {
        precondition(
            rows.sequences.count == memories[layer].count,
            "KeyValueCache: \(rows.sequences.count) sequences in the pass, \(memories[layer].count) in the cache")
    }
}
