package import MartletTensors

/// softmax(q kᵀ · scale) v with shared keys, after optional normalisation and rotation (arXiv:1706.03762, arXiv:2305.13245).
package struct AttentionLayer: Sendable {
    private let form: Architecture.Attention
    private let query, key, value, output: Linear
    private let queryNorm, keyNorm: NormLayer?

    package init(_ form: Architecture.Attention, width: Int, _ scope: Scope) {
        self.form = form
        let inputBias: Architecture.Presence = form.bias == .all || form.bias == .queryKeyValue ? .present : .absent
        let outputBias: Architecture.Presence = form.bias == .all || form.bias == .output ? .present : .absent
        query = Linear(width, form.queryWidth, bias: inputBias, scope["query"])
        key = Linear(width, form.keyWidth, bias: inputBias, scope["key"])
        value = Linear(width, form.keyWidth, bias: inputBias, scope["value"])
        output = Linear(form.queryWidth, width, bias: outputBias, scope["output"])
        queryNorm = form.queryKeyNorm.map { NormLayer($0, width: form.headWidth, scope["queryNorm"]) }
        keyNorm = form.queryKeyNorm.map { NormLayer($0, width: form.headWidth, scope["keyNorm"]) }
    }

    /// `[rows, width]` to the same shape; `rotation` is the pass's table for this layer's rotary positions.
    package func callAsFunction(
        _ x: Tensor, _ rows: Rows, layer: Int, rotation: RotationTable?, _ state: inout some AttentionState
    ) -> Tensor {
        let projected = Linear.together([query, key, value], x)
        var q = projected[0].reshaped([rows.count, form.queryHeads, form.headWidth])
        var k = projected[1].reshaped([rows.count, form.keyHeads, form.headWidth])
        let v = projected[2].reshaped([rows.count, form.keyHeads, form.headWidth])
        if let queryNorm, let keyNorm { (q, k) = (queryNorm(q), keyNorm(k)) }
        if case .rotary(let rotary) = form.positions, let rotation {
            let neighbours = rotary.pairing == .neighbours
            (q, k) = (q.rotated(by: rotation, neighbours: neighbours), k.rotated(by: rotation, neighbours: neighbours))
        }
        let attended = state.attend(layer: layer, form, query: q, key: k, value: v, rows: rows)
        return output(attended.reshaped([rows.count, form.queryWidth]))
    }
}
