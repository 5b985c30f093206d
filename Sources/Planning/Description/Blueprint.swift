public import MartletLayers

/// What a model is made of, as far as it costs something: the planner's reading of an ``Architecture``, or of a model type
/// that Martlet cannot run and only counts.
///
/// It says less than `Architecture` (no epsilon, no activation function) and reaches further: latent attention, shared experts,
/// convolutional stems, picture patches, poolers. What would be an empty promise in a model that runs is here plain arithmetic,
/// and so does not have to widen the description of what is run.
public struct Blueprint: Sendable, Hashable {
    /// The `model_type` of the configuration.
    public var modelType: String
    public var width: Int
    public var vocabulary: Int
    /// The longest sequence the model was made for; nil when its positions set no limit.
    public var context: Int?
    /// The tables in front of the first layer.
    public var embeddings: [ParameterTensor]
    /// In the order in which they run: an encoder comes before its decoder.
    public var stacks: [Stack]
    public var head: Head
    /// The parameters as the model that would run lists them; nil for model types that only the planner knows.
    public var inventory: [ParameterTensor]?

    public init(
        modelType: String, width: Int, vocabulary: Int, context: Int?, embeddings: [ParameterTensor], stacks: [Stack],
        head: Head, inventory: [ParameterTensor]? = nil
    ) {
        (self.modelType, self.width, self.vocabulary, self.context) = (modelType, width, vocabulary, context)
        (self.embeddings, self.stacks, self.head, self.inventory) = (embeddings, stacks, head, inventory)
    }

    /// A pile of layers over the same rows.
    public struct Stack: Sendable, Hashable {
        public enum Role: String, Sendable, Hashable, Codable { case encoder, decoder }

        /// How many rows a sequence has here.
        public enum Length: Sendable, Hashable {
            /// As many as it has tokens.
            case tokens
            /// So many, whatever is asked: the patches of a picture, half a minute of sound.
            case fixed(Int)
        }

        public var role: Role
        public var length: Length
        /// Positions, stems and norms of the stack itself.
        public var own: [ParameterTensor]
        public var layers: [Layer]

        public init(_ role: Role, length: Length = .tokens, own: [ParameterTensor] = [], layers: [Layer]) {
            (self.role, self.length, self.own, self.layers) = (role, length, own, layers)
        }
    }

    public struct Layer: Sendable, Hashable {
        public var name: String
        public var attention: Attention
        public var crossAttention: Attention?
        public var feedForward: FeedForward
        /// One vector group per norm on the residual stream.
        public var norms: [Norm]
        /// The index of an earlier layer whose parameters this one uses.
        public var sharesParametersOf: Int?
        /// What does not fit the rest: bucket tables, sinks.
        public var others: [ParameterTensor]

        public init(
            name: String, attention: Attention, crossAttention: Attention? = nil, feedForward: FeedForward,
            norms: [Norm],
            sharesParametersOf: Int? = nil, others: [ParameterTensor] = []
        ) {
            (self.name, self.attention, self.crossAttention) = (name, attention, crossAttention)
            (self.feedForward, self.norms) = (feedForward, norms)
            (self.sharesParametersOf, self.others) = (sharesParametersOf, others)
        }
    }

    /// A norm by what it stores.
    public struct Norm: Sendable, Hashable {
        public enum Vectors: Int, Sendable, Hashable {
            case none = 0, weight, weightAndBias
        }
        public var name: String
        public var width: Int
        public var vectors: Vectors

        public init(_ name: String, _ width: Int, _ vectors: Vectors) {
            (self.name, self.width, self.vectors) = (name, width, vectors)
        }
    }

    public struct Head: Sendable, Hashable {
        public enum Projection: Sendable, Hashable {
            case none
            /// A matrix of its own, to the vocabulary.
            case own(bias: Architecture.Presence)
            /// The token table once more.
            case tied(bias: Architecture.Presence)
        }
        public var projection: Projection
        /// The width the projection starts from, when it is not the model's.
        public var width: Int
        /// What stands before it: BERT's transform, poolers, classifiers.
        public var before: [ParameterTensor]

        public init(_ projection: Projection, width: Int, before: [ParameterTensor] = []) {
            (self.projection, self.width, self.before) = (projection, width, before)
        }
    }
}
