import MartletTensors

/// The keys and values of a pass's rows that later layers attend to once more (cross-layer KV sharing, as in Gemma 4).
package struct SharedKeyValues: Sendable {
    private let readAgain: Set<Int>
    private var kept: [Int: (key: Tensor, value: Tensor)] = [:]

    package init(_ layers: [Architecture.Layer]) {
        readAgain = Set(
            layers.compactMap { if case .layer(let index) = $0.attention.keyValues { index } else { nil } })
    }

    /// True where any layer has no keys and values of its own.
    package var isUsed: Bool { !readAgain.isEmpty }

    /// Keeps the keys `[rows, keyHeads, headWidth]` and values of layer `layer`, where another reads them again.
    mutating func keep(_ key: Tensor, _ value: Tensor, of layer: Int) {
        if readAgain.contains(layer) { kept[layer] = (key, value) }
    }

    /// The keys and values that layer `layer` had in this pass.
    func keyValues(of layer: Int) -> (key: Tensor, value: Tensor) {
        guard let known = kept[layer] else {
            preconditionFailure("SharedKeyValues: layer \(layer) has kept no keys and values")
        }
        return known
    }
}
