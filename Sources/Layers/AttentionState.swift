package import MartletTensors

/// The attention state, through which queries reach keys: in the pass itself (training, encoders), through one
/// contiguous cache, or through paged blocks.
package protocol AttentionState {
    /// Self-attention, softmax(q kᵀ · scale) v, after the new keys and values have been added to what each sequence
    /// remembers.
    ///
    /// - Returns: `[rows, queryHeads, valueWidth]`.
    mutating func attend(layer: Int, _ form: Architecture.Attention, _ inputs: AttentionInputs, rows: Rows) -> Tensor

    /// Cross-attention: softmax(q kᵀ · scale) v over the rows of each sequence's source.
    ///
    /// - Parameters:
    ///   - query: `[rows, queryHeads, headWidth]`.
    ///   - project: from the source's rows `[sourceRows, width]` to their keys and values `[sourceRows, keyHeads,
    ///     headWidth]`; a state that remembers asks once per source.
    mutating func attendAcross(
        layer: Int, _ form: Architecture.Attention, query: Tensor, rows: Rows, source: Source,
        project: (Tensor) -> (keys: Tensor, values: Tensor)
    ) -> Tensor
}
