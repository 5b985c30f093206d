import MartletConstraints
import MartletFormats
import MartletGeneration
import MartletJSON
import MartletModels
public import MartletPlatform
import MartletQuantization
import MartletTasks
import MartletTemplates
import MartletTokenizers

#if canImport(FoundationEssentials)
    public import protocol FoundationEssentials.LocalizedError
#else
    public import protocol Foundation.LocalizedError
#endif

// Foundation's words for the errors of this package. They stand here because only this product needs Foundation anyway.
extension MartletError where Self: LocalizedError {
    /// The whole error in one line.
    public var errorDescription: String? { description }
    /// The cause.
    public var failureReason: String? { cause }
    /// The remedy.
    public var recoverySuggestion: String? { remedy }
}

extension CheckpointError: LocalizedError {}
extension ConfigError: LocalizedError {}
extension ConstraintError: LocalizedError {}
extension FileError: LocalizedError {}
extension FormatError: LocalizedError {}
extension GenerationError: LocalizedError {}
extension JSONError: LocalizedError {}
extension LoadError: LocalizedError {}
extension ModelError: LocalizedError {}
extension QuantizationError: LocalizedError {}
extension TaskError: LocalizedError {}
extension TemplateError: LocalizedError {}
extension TokenizerError: LocalizedError {}
extension TrainingError: LocalizedError {}
extension UnsupportedArchitecture: LocalizedError {}
