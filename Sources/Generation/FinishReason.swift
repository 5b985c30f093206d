/// The reason why a generation ended.
public enum FinishReason: String, Sendable, Hashable, Codable {
    /// A stop token or stop text.
    case stop
    /// The length: as many tokens as were asked for, or the end of the model's context.
    case length
}
