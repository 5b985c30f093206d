import MartletFormats
package import MartletModels
public import MartletPlanning
import MartletPlatform
public import MartletQuantization
package import MartletTensors
import MartletTokenizers

/// The options of a quantization, which brings a model to fewer bits.
public struct QuantizationOptions: Sendable, Hashable {
    /// The calibration, which says how much each column of a matrix matters for the rounding.
    public enum Calibration: Sendable, Hashable {
        /// No calibration: all columns matter alike.
        case none
        /// A text, which is read by the model; `name` is what messages call it.
        case text(String, name: String)
        /// llama.cpp's importance matrix, a GGUF file.
        case importanceMatrix(path: String)
    }

    /// The rounding of numbers to integers.
    public enum Rounding: Sendable, Hashable {
        /// Rounding with the scales of least error searched for: never worse.
        case searched
        /// Rounding as ggml's reference quantizers do it.
        case reference
    }

    /// The calibration, which weighs the columns of a matrix.
    public var calibration: Calibration
    /// The rounding of numbers to integers.
    public var rounding: Rounding
    /// The types for the tensors whose names match: `ffn_down=q6_K`, `blk.0.*=q8_0`.
    public var tensors: [String]
    /// The maximum number of tokens that are read of a text.
    public var maximumTokens: Int
    /// The context length in tokens: a calibration's text is cut into pieces of it.
    public var context: Int
    /// The window length in tokens in which a report's text is read; nil for the model's context, at most 1,024.
    public var window: Int?

    /// Options for a quantization; the defaults search for scales and calibrate on nothing.
    public init(
        calibration: Calibration = .none, rounding: Rounding = .searched, tensors: [String] = [],
        maximumTokens: Int = 16_384, context: Int = 512, window: Int? = nil
    ) {
        (self.calibration, self.rounding, self.tensors) = (calibration, rounding, tensors)
        (self.maximumTokens, self.context, self.window) = (maximumTokens, context, window)
    }
}

/// A model to be written in fewer bits, calibrated once for any number of types.
///
/// ```swift
/// let quantization = try ModelQuantization(path: "path/to/model")
/// try quantization.write(.q4_K_M, to: "model.gguf")
/// ```
public struct ModelQuantization: Sendable {
    private let file: ModelFile
    private let options: QuantizationOptions
    private let overrides: [TensorOverride]
    private let importance: Importance?
    private let device: Device
    /// A closure that is told how far long work is, in words.
    package var progress: @Sendable (String) -> Void = { _ in }
    /// A closure that is told what a written file lacks, one sentence each.
    package var note: @Sendable (String) -> Void = { _ in }

    /// Opens the model `path` (or `org/name` in the hub cache) and calibrates.
    ///
    /// - Throws: what opening throws, ``QuantizationError`` for options that cannot be meant.
    public init(path: String, _ options: QuantizationOptions = QuantizationOptions(), threads: Int? = nil) throws {
        try self.init(ModelFile(path: ModelLocation.path(of: path)), options, on: Device(threads: threads))
    }

    /// The model of an opened file.
    package init(_ file: ModelFile, _ options: QuantizationOptions, on device: Device) throws {
        (self.file, self.options, self.device) = (file, options, device)
        overrides = try options.tensors.map { text in try TensorOverride(text) }
        let unmatched = overrides.isEmpty ? [] : try Quantizer.unmatched(overrides, in: file, on: device)
        guard unmatched.isEmpty else {
            throw QuantizationError(
                "no tensor is called \(unmatched.joined(separator: " or ")); names are those of the GGUF, as blk.0.ffn_down.weight"
            )
        }
        switch options.calibration {
        case .none: importance = nil
        case .importanceMatrix(let path):
            importance = try Importance(
                contentsOf: path, for: Quantizer(file, .f32, on: device).weights())
        case .text(let text, let name):
            let windows = try ModelQuantization.windows(text, name, file, options)
            importance = try Importance(of: file, on: windows, device: device)
        }
    }

    /// Writes the GGUF file `path` in the types of `type`.
    ///
    /// - Throws: ``QuantizationError`` for a type that cannot be written, ``FormatError``, ``FileError``.
    public func write(_ type: FileType, to path: String) throws { _ = try write(type, to: path, measuring: false) }

    /// Writes what the calibration found as llama.cpp's importance matrix; nothing without a calibration.
    ///
    /// - Parameter dataset: what the file calls the text.
    public func writeImportance(to path: String, dataset: String) throws {
        try importance?.write(to: path, for: Quantizer(file, .f32, on: device).weights(), dataset: dataset)
    }

    /// A report on what each of `types` costs and loses: bytes, error of every tensor and, on a text, perplexity and
    /// divergence from the model as it is.
    ///
    /// - Parameters:
    ///   - text: the text to compare on, and what messages call it; nil compares the tensors alone.
    ///   - path: the GGUF file to write, for one type.
    public func report(
        _ types: [FileType], on text: (text: String, name: String)? = nil, writing path: String? = nil
    ) throws -> QuantizationReport {
        var report = QuantizationReport()
        let sample = try text.map { try ModelQuantization.scoredWindows($0.text, $0.name, file, options) } ?? []
        // Never read when there is nothing to compare on.
        let reference = sample.isEmpty ? nil : try file.decoder(on: device)
        let tokens = sample.reduce(0) { $0 + $1.tokens.count - $1.first }
        for type in types {
            let (decoder, errors) = try quantized(type, writing: path, needsDecoder: reference != nil)
            let divergence = reference.flatMap { reference in
                decoder.map {
                    Divergence(of: $0, from: reference, on: sample, device: device) { done in
                        progress("\(type.rawValue): \(done) of \(tokens) tokens compared")
                    }
                }
            }
            report.formats.append(.init(type, errors, divergence))
        }
        return report
    }

    /// The model as it is in `type`, from the file `path` where one is written, and what each tensor lost.
    private func quantized(
        _ type: FileType, writing path: String?, needsDecoder: Bool
    ) throws -> (Decoder?, [TensorError]) {
        guard let path else { return try quantizer(type).decoder() }
        let errors = try write(type, to: path, measuring: true)
        return (needsDecoder ? try ModelFile(path: path).decoder(on: device) : nil, errors)
    }

    private func quantizer(_ type: FileType) throws -> Quantizer {
        try Quantizer(
            file, type, overrides: overrides, importance: importance,
            rounding: options.rounding == .reference ? .reference : .searched, on: device
        ).reporting { [progress] in progress("\(type.rawValue): \(Int($0 * 100)) % rounded") }
    }

    private func write(_ type: FileType, to path: String, measuring: Bool) throws -> [TensorError] {
        let name = file.path.split(separator: "/").last.map(String.init) ?? file.path
        return try quantizer(type).write(to: path, name: name, text: metadata(), measuring: measuring)
    }

    /// The tokens of a text, in pieces that the model can read.
    private static func windows(
        _ text: String, _ name: String, _ file: ModelFile, _ options: QuantizationOptions
    ) throws -> [[Int32]] {
        let tokenizer = try ModelText.tokenizer(of: file)
        let ids = try tokenizer.encode(text, addSpecialTokens: false)
        let empty = try tokenizer.encode("")
        let beginning = empty.first.map { $0 == tokenizer.specialTokens.beginning ? [$0] : [] } ?? []
        try check(ids, name, file)
        let size = min(options.context, file.architecture.context ?? options.context)
        let windows = Divergence.windows(
            Array(ids.prefix(options.maximumTokens)), size: size, beginning: beginning)
        guard !windows.isEmpty else { throw ModelError("\(name): the text is too short: it has \(ids.count) tokens") }
        return windows
    }

    /// The tokens of a text in the windows in which `martlet evaluate` measures perplexity.
    private static func scoredWindows(
        _ text: String, _ name: String, _ file: ModelFile, _ options: QuantizationOptions
    ) throws -> [TextWindows.Window] {
        let ids = try ModelText.tokenizer(of: file).encode(text)
        try check(ids, name, file)
        let windows = TextWindows(context: file.architecture.context, window: options.window)(
            Array(ids.prefix(options.maximumTokens)))
        guard !windows.isEmpty else { throw ModelError("\(name): the text is too short: it has \(ids.count) tokens") }
        return windows
    }

    private static func check(_ ids: [Int32], _ name: String, _ file: ModelFile) throws(ModelError) {
        if let wrong = ids.first(where: { $0 < 0 || $0 >= file.architecture.vocabulary }) {
            throw ModelError(
                "\(name): token \(wrong) is not in the model's vocabulary of \(file.architecture.vocabulary)")
        }
    }

    /// The metadata of a GGUF beside the model's settings: its tokenizer, and where it comes from.
    private func metadata() throws -> GGUFMetadata {
        var caveats: [String] = []
        var metadata = try TokenizerConversion.metadata(of: file, caveats: &caveats)
        for caveat in caveats { note(caveat) }
        guard case .gguf(let gguf) = file.container else { return metadata }
        let others = [
            "general.architecture", "general.alignment", "general.file_type", "general.quantization_version",
        ]
        for (key, value) in gguf.metadata.entries
        where key.utf8.starts(with: "general.".utf8) && !others.contains(key) {
            metadata[key] = value
        }
        return metadata
    }
}
