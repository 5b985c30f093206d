import CShippedModel
public import MartletPlatform

/// The small models inside the library, as files that lie in no folder: anonymous memory that a path leads to, so that
/// whatever reads models from files reads these too, even where nothing can be written.
public enum EmbeddedModel {
    /// The work of a model inside the library.
    public enum Kind: Sendable, Hashable {
        /// A decoder that continues texts.
        case writing
        /// An encoder that turns texts into vectors.
        case sentences
    }

    /// The model's name in messages.
    public static let name = "the model that ships with Martlet"

    /// The path of the model of a kind, a GGUF file, for this process.
    ///
    /// - Throws: ``FileError`` when the system gives no such memory.
    public static func path(_ kind: Kind = .writing) throws(FileError) -> String {
        let descriptor = kind == .writing ? martlet_shipped_model_open() : martlet_shipped_encoder_open()
        guard descriptor >= 0 else { throw FileError(path: name, operation: "unpack", code: errno) }
        return "\(folder)\(descriptor)"
    }

    private static let folder = "/proc/self/fd/"

    /// The text with the model's name in place of the path that leads to it.
    package static func named(_ text: String) -> String {
        var result = ""
        var rest = text[...]
        while let place = rest.firstRange(of: folder) {
            result += rest[..<place.lowerBound] + name
            rest = rest[place.upperBound...].drop(while: \.isNumber)
        }
        return result + rest
    }
}
