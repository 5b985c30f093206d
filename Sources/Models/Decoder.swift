package import MartletLayers
package import MartletTensors

@_exported public import protocol MartletPlatform.MartletError

/// A decoder-only model: token table, input positions, blocks, final norm, projection to the vocabulary.
///
/// Knows no file, no text and no sampling. The same value serves inference, training and the inventory; what differs is
/// the `ParameterSource` it was made from and the `AttentionState` it is given.
package struct Decoder: OneStackModel {
    package let body: OneStack
    package let head: TokenHeadLayer

    /// - Throws: ``UnsupportedArchitecture`` where the description says more than this assembly runs.
    package init(_ architecture: Architecture, _ scope: Scope) throws(UnsupportedArchitecture) {
        guard case .decoder(let stack) = architecture.body, case .tokens(let head) = architecture.head else {
            throw UnsupportedArchitecture("a decoder-only model with a projection to its vocabulary is needed here")
        }
        body = OneStack(
            architecture, stack, .decoder, narrowWidth: architecture.embedding.factorised?.width, scope)
        self.head = TokenHeadLayer(head, architecture, table: body.tokens, scope["head"])
    }

    /// Hidden states to logits `[rows, vocabulary]`: of every row when training, of the last of each sequence when
    /// generating.
    package func logits(_ hidden: Tensor) -> Tensor { head(hidden) }
}

extension Architecture {
    /// True where the keys of a text's beginning change with what follows it: rotations that depend on the length.
    package var keysDependOnLength: Bool {
        guard case .decoder(let stack) = body else { return false }
        return stack.layers.contains {
            $0.attention.positions.isUnbounded || $0.attention.positions.rereadsBeyond != nil
        }
    }

    /// The length beyond which keys that a cache holds are no longer those of an uncached pass, and the text must be
    /// read anew.
    package var rereadsBeyond: Int? {
        guard case .decoder(let stack) = body else { return nil }
        return stack.layers.compactMap { $0.attention.positions.rereadsBeyond }.min()
    }
}

/// A description that may be planned but not run, and why.
public struct UnsupportedArchitecture: MartletError, Equatable {
    /// The cause: what was found, and where.
    public let cause: String
    /// The remedy, where one is known.
    public let remedy: String?

    package init(_ cause: String, remedy: String? = nil) { (self.cause, self.remedy) = (cause, remedy) }
}
