/// A reader of bytes from outside, and what is done with them when they are accepted. Errors are what it is for; traps,
/// hangs and memory are not.
struct Parser {
    let name: String
    let read: ([UInt8]) throws -> Void

    /// All parsers.
    ///
    /// - Parameter scratch: a folder for the files of those that read files.
    static func all(scratch: String) -> [Parser] { texts + tokenizers + files(scratch) }

    /// Texts that tokenizers are asked to encode.
    static let lines = [
        "", "a", "Ada walked to London and Paris.", "Zürich: café naïve 東京 🦜\n\t x", "aaaaaaaaaaaaaaab",
    ]
}
