import MartletFormats
import MartletJSON
import MartletModels
import MartletPlatform
import MartletTensors

/// A dense layer, f(W x + b), perhaps plus x or a projection of it: sentence-transformers' `Dense`.
package struct SentenceDense: Sendable {
    private let weight: [Float]
    private let bias: [Float]?
    private let residual: Residual
    private let activation: Activation
    private let inputs: Int
    private let path: String

    /// The residual connection around the layer.
    private enum Residual { case none, same, projected([Float]) }

    /// The activation, by the name of its class in PyTorch.
    private enum Activation: String {
        case identity = "Identity", tanh = "Tanh", relu = "ReLU", gelu = "GELU", sigmoid = "Sigmoid", silu = "SiLU"
    }

    /// A plain matrix `[outputs, inputs]`, as GGUF keeps EmbeddingGemma's.
    init(_ matrix: Tensor, path: String) throws {
        guard matrix.shape.rank == 2, matrix.shape[1] > 0 else {
            throw TaskError("\(path): a projection of vectors is \(matrix.shape), not a matrix")
        }
        (self.path, inputs, activation, bias, residual) = (path, matrix.shape[1], .identity, nil, .none)
        weight = matrix.type == .f32 ? matrix.values : matrix.decoded(on: Device(threads: 1)).values
    }

    init(directory: String) throws {
        path = directory
        let file = directory + "/config.json"
        let config = ConfigReader(try JSON(contentsOf: file, as: .python).objectValue ?? JSONObject(), path: file)
        inputs = config.integer("in_features")
        let outputs = config.integer("out_features")
        let name = config.string("activation_function", default: "torch.nn.modules.activation.Tanh")
        let (hasBias, isResidual) = (config.bool("bias", default: true), config.bool("use_residual", default: false))
        let source = config.string("module_input_name", default: "sentence_embedding")
        if source != "sentence_embedding" {
            config.reject("module_input_name is \(source); only whole texts are projected")
        }
        let known = Activation(rawValue: name.split(separator: ".").last.map(String.init) ?? "")
        if known == nil { config.reject("activation_function is \(name), which is not known here") }
        try config.finish(reference: JSONObject())
        activation = known ?? .identity
        let tensors = try Safetensors(directory: directory).tensors
        func numbers(_ name: String, _ extents: [Int]) throws -> [Float] {
            let tensor = try tensors.tensor(name)
            guard tensor.shape.array == extents else {
                throw TaskError("\(directory): \(name) is \(tensor.shape), but the configuration asks for \(extents)")
            }
            return tensor.type == .f32 ? tensor.values : tensor.decoded(on: Device(threads: 1)).values
        }
        weight = try numbers("linear.weight", [outputs, inputs])
        bias = hasBias ? try numbers("linear.bias", [outputs]) : nil
        if isResidual {
            residual = inputs == outputs ? .same : .projected(try numbers("residual.weight", [outputs, inputs]))
        } else {
            residual = .none
        }
    }

    func callAsFunction(_ x: [Float]) throws -> [Float] {
        guard x.count == inputs else {
            throw TaskError("\(path): vectors have \(x.count) elements, but \(inputs) are projected")
        }
        var y = product(weight, x)
        if let bias { for i in y.indices { y[i] += bias[i] } }
        y = y.map(activated)
        switch residual {
        case .none: return y
        case .same: return zip(y, x).map { $0 + $1 }
        case .projected(let matrix): return zip(y, product(matrix, x)).map { $0 + $1 }
        }
    }

    private func product(_ matrix: [Float], _ x: [Float]) -> [Float] {
        (0..<matrix.count / inputs).map { row in
            var sum = 0.0
            for i in 0..<inputs { sum += Double(matrix[row * inputs + i]) * Double(x[i]) }
            return Float(sum)
        }
    }

    private func activated(_ x: Float) -> Float {
        let value = Double(x)
        return switch activation {
        case .identity: x
        case .tanh: Float(tanh(value))
        case .relu: max(0, x)
        case .gelu: Float(0.5 * value * (1 + erf(value / 2.0.squareRoot())))
        case .sigmoid: Float(1 / (1 + exp(-value)))
        case .silu: Float(value / (1 + exp(-value)))
        }
    }
}
