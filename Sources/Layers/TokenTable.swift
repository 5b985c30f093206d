package import MartletTensors

/// A token embedding table, a learned vector per token: `[count, width]`.
package struct TokenTable: Sendable {
    package let weight: Parameter

    package init(_ count: Int, _ width: Int, _ role: ParameterRole, _ scope: Scope) {
        weight = scope.table("weight", [count, width], role)
    }

    /// The vectors of `ids`, times `scale`: `[ids, width]`.
    package func callAsFunction(_ ids: [Int32], scale: Float = 1, on device: Device) -> Tensor {
        weight.divided?.lookup(ids, scale: scale, on: device)
            ?? weight.tensor.lookup(ids, scale: scale, on: device)
    }
}
