package import MartletLayers

/// The blueprint of a model, as far as it costs something: for model types that run, the parameters of the model itself
/// with the forms of its attentions; for the others a description of their own.
///
/// It says less than ``Architecture`` (no epsilon, no activation function) and reaches further: latent attention,
/// convolutional stems, picture patches. What would be an empty promise in a model that runs is here plain arithmetic.
package struct Blueprint: Sendable, Hashable {
    /// The `model_type` of the configuration.
    package var modelType: String
    package var width: Int
    package var vocabulary: Int
    /// The context length, the longest sequence the model was made for; nil when its positions set no limit.
    package var context: Int?
    /// The tables in front of the stacks.
    package var embeddings: [ParameterTensor]
    /// The stacks in the order in which they run: an encoder comes before its decoder.
    package var stacks: [Stack]
    package var head: Head
    /// The architecture that Martlet would run; nil for model types that only the planner knows.
    package var architecture: Architecture?

    package init(
        modelType: String, width: Int, vocabulary: Int, context: Int?, embeddings: [ParameterTensor], stacks: [Stack],
        head: Head
    ) {
        (self.modelType, self.width, self.vocabulary, self.context) = (modelType, width, vocabulary, context)
        (self.embeddings, self.stacks, self.head) = (embeddings, stacks, head)
    }

    /// Every parameter of the model once, in the order in which a token meets them.
    package var tensors: [ParameterTensor] { embeddings + stacks.flatMap(\.tensors) + head.tensors }

    /// A pile of layers over the same rows.
    package struct Stack: Sendable, Hashable {
        package typealias Role = ParameterPlace.Stack

        /// The number of rows that a sequence has here.
        package enum Length: Sendable, Hashable {
            /// The sequence's tokens, one row each.
            case tokens
            /// A fixed number of rows, whatever is asked: the patches of a picture, half a minute of sound.
            case fixed(Int)
        }

        package var role: Role
        package var length: Length
        /// The hidden size, the width of the residual stream.
        package var width: Int
        /// Positions, stems and norms of the stack itself.
        package var own: [ParameterTensor]
        package var layers: [Layer]

        package init(
            _ role: Role, length: Length = .tokens, width: Int, own: [ParameterTensor] = [], layers: [Layer]
        ) {
            (self.role, self.length, self.width, self.own, self.layers) = (role, length, width, own, layers)
        }

        /// The parameters of the stack; layers that share another's have none of their own.
        var tensors: [ParameterTensor] {
            own + layers.filter { $0.sharesParametersOf == nil }.flatMap(\.named)
        }
    }

    /// A layer of a stack, as it is counted.
    package struct Layer: Sendable, Hashable {
        /// The name of the layer, "decoder.3".
        package var name: String
        package var attention: Attention
        package var crossAttention: Attention?
        package var feedForward: FeedForward
        /// The number of norms over the residual stream.
        package var norms: Int
        /// The parameters by their names within the layer, so that layers which are alike have equal ones.
        package var tensors: [ParameterTensor]
        /// The index of an earlier layer whose parameters this one uses.
        package var sharesParametersOf: Int?

        package init(
            name: String, attention: Attention, crossAttention: Attention? = nil, feedForward: FeedForward,
            norms: Int, tensors: [ParameterTensor], sharesParametersOf: Int? = nil
        ) {
            (self.name, self.attention, self.crossAttention) = (name, attention, crossAttention)
            (self.feedForward, self.norms, self.tensors) = (feedForward, norms, tensors)
            self.sharesParametersOf = sharesParametersOf
        }

        /// The parameters by their names in the model.
        var named: [ParameterTensor] {
            let number = name.split(separator: ".").last.flatMap { Int($0) }
            return tensors.map { ParameterTensor("\(name).\($0.name)", $0.shape, $0.role, $0.use, layer: number) }
        }
    }

    /// The attention of a layer by what it computes and keeps.
    package struct Attention: Sendable, Hashable {
        package var queryHeads: Int
        package var keyHeads: Int
        /// The width of a head, the elements that take part in a score.
        package var headWidth: Int
        /// The width of a head's value, in elements.
        package var valueWidth: Int
        package var reach: Architecture.Reach
        package var latent: Latent?
        /// True where it has keys and values of its own in a KV cache, not those of an earlier layer.
        package var keepsKeyValues = true

        package init(
            queryHeads: Int, keyHeads: Int, headWidth: Int, valueWidth: Int? = nil, reach: Architecture.Reach,
            latent: Latent? = nil
        ) {
            (self.queryHeads, self.keyHeads, self.headWidth) = (queryHeads, keyHeads, headWidth)
            (self.valueWidth, self.reach, self.latent) = (valueWidth ?? headWidth, reach, latent)
        }

        init(_ form: Architecture.Attention) {
            self.init(
                queryHeads: form.queryHeads, keyHeads: form.keyHeads, headWidth: form.headWidth,
                valueWidth: form.valueWidth, reach: form.reach,
                latent: form.latent.map {
                    .init(queryRank: $0.query, keyValueRank: $0.keyValue, rotaryWidth: $0.rotated)
                })
            keepsKeyValues = form.keepsKeyValues
        }

        /// The widths of the projections, in elements of a row: heads times the width of one.
        package var queryWidth: Int { queryHeads * headWidth }
        package var keyWidth: Int { keyHeads * headWidth }
        package var valuesWidth: Int { keyHeads * valueWidth }
        package var outputWidth: Int { queryHeads * valueWidth }

        /// Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434): keys and values pass through a vector of
        /// `keyValueRank` elements, beside which `rotaryWidth` elements of the key go unshared between heads.
        package struct Latent: Sendable, Hashable {
            /// The elements of the vector that queries pass through; nil: they are projected at once.
            package var queryRank: Int?
            package var keyValueRank: Int
            package var rotaryWidth: Int

            package init(queryRank: Int?, keyValueRank: Int, rotaryWidth: Int) {
                (self.queryRank, self.keyValueRank, self.rotaryWidth) = (queryRank, keyValueRank, rotaryWidth)
            }
        }
    }

    /// The feed-forward of a layer by the elements between its products.
    package enum FeedForward: Sendable, Hashable {
        /// A plain feed-forward (MLP), down(f(up(x))).
        case plain(hidden: Int)
        /// A gated feed-forward (GLU), down(f(gate(x)) · up(x)).
        case gated(hidden: Int)
        /// Gated feed-forwards behind a router, and one of `sharedHidden` elements that every row passes; 0 where there
        /// is none.
        case experts(count: Int, active: Int, hidden: Int, sharedHidden: Int)

        init(_ form: Architecture.FeedForward) {
            switch form {
            case .plain(let hidden, _, _), .expandedIntegral(let hidden): self = .plain(hidden: hidden)
            case .gated(let hidden, _, _): self = .gated(hidden: hidden)
            case .experts(let experts):
                self = .experts(
                    count: experts.count, active: experts.active, hidden: experts.hidden,
                    sharedHidden: experts.shared?.hidden ?? 0)
            }
        }
    }

    /// The head of a model, which reads its last hidden states.
    package struct Head: Sendable, Hashable {
        /// The matrix of the projection to the vocabulary.
        package enum Projection: Sendable, Hashable {
            case none, own
            /// The token table once more.
            case tied
        }
        package var projection: Projection
        /// The width that the projection to the vocabulary starts from.
        package var width: Int
        package var tensors: [ParameterTensor]

        package init(_ projection: Projection, width: Int, tensors: [ParameterTensor] = []) {
            (self.projection, self.width, self.tensors) = (projection, width, tensors)
        }
    }
}
