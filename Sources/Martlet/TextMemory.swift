import MartletGeneration
import Synchronization

/// What a model keeps of a text that it read or wrote: a later text that begins alike needs not be read from its beginning.
///
/// The bits of what is generated do not depend on it.
public final class TextMemory: Sendable {
    private let kept = Mutex<TokenGenerator.Memory?>(nil)

    /// A memory that holds nothing yet.
    public init() {}

    /// Takes what is kept, so that nobody else changes it meanwhile.
    func take() -> TokenGenerator.Memory? {
        kept.withLock { kept in
            defer { kept = nil }
            return kept
        }
    }

    func put(_ memory: TokenGenerator.Memory) { kept.withLock { $0 = memory } }
}
