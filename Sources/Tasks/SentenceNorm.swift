import MartletFormats
import MartletJSON
import MartletTensors

/// A layer norm over a text's vector: sentence-transformers' `LayerNorm`.
package struct SentenceNorm: Sendable {
    private let weight: [Float]
    private let bias: [Float]
    private let path: String

    init(directory: String) throws {
        path = directory
        let tensors = try Safetensors(directory: directory).tensors
        func numbers(_ name: String) throws -> [Float] {
            let tensor = try tensors.tensor(name)
            return tensor.type == .f32 ? tensor.values : tensor.decoded(on: Device(threads: 1)).values
        }
        (weight, bias) = (try numbers("norm.weight"), try numbers("norm.bias"))
    }

    func callAsFunction(_ x: [Float]) throws -> [Float] {
        guard x.count == weight.count, bias.count == weight.count else {
            throw TaskError("\(path): vectors have \(x.count) elements, but the norm has \(weight.count)")
        }
        let mean = x.reduce(0.0) { $0 + Double($1) } / Double(x.count)
        let variance = x.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / Double(x.count)
        let scale = 1 / (variance + 1e-5).squareRoot()
        return x.indices.map { Float((Double(x[$0]) - mean) * scale) * weight[$0] + bias[$0] }
    }
}
