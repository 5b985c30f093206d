public import MartletLayers

extension Blueprint {
    /// The attention of a layer by its matrices and what it keeps.
    public struct Attention: Sendable, Hashable {
        public var queryHeads: Int
        public var keyHeads: Int
        /// Elements of a head that take part in a score.
        public var headWidth: Int
        /// Elements of a head's value.
        public var valueWidth: Int
        public var reach: Architecture.Reach
        public var biases: Biases
        public var projections: Projections
        /// Norms over queries and keys.
        public var norms: [Norm]
        /// Matrices that only this kind of attention has: DeBERTa's positions.
        public var others: [ParameterTensor]

        public init(
            queryHeads: Int, keyHeads: Int, headWidth: Int, valueWidth: Int? = nil, reach: Architecture.Reach,
            biases: Biases = .none, projections: Projections = .separate, norms: [Norm] = [],
            others: [ParameterTensor] = []
        ) {
            (self.queryHeads, self.keyHeads, self.headWidth) = (queryHeads, keyHeads, headWidth)
            (self.valueWidth, self.reach, self.biases) = (valueWidth ?? headWidth, reach, biases)
            (self.projections, self.norms, self.others) = (projections, norms, others)
        }

        public var queryWidth: Int { queryHeads * headWidth }
        public var keyWidth: Int { keyHeads * headWidth }
        public var valuesWidth: Int { keyHeads * valueWidth }
        public var outputWidth: Int { queryHeads * valueWidth }

        /// Which of the four projections add a vector.
        public struct Biases: OptionSet, Sendable, Hashable {
            public let rawValue: Int
            public init(rawValue: Int) { self.rawValue = rawValue }
            public static let query = Biases(rawValue: 1)
            public static let key = Biases(rawValue: 2)
            public static let value = Biases(rawValue: 4)
            public static let output = Biases(rawValue: 8)
            public static let none: Biases = []
            public static let all: Biases = [.query, .key, .value, .output]
            public static let queryKeyValue: Biases = [.query, .key, .value]
        }

        /// How queries, keys and values are made.
        public enum Projections: Sendable, Hashable {
            case separate
            /// One matrix for all three.
            case fused
            /// Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434): keys and values pass through a vector of
            /// `keyValueRank` elements, beside which `rotaryWidth` elements of the key go unshared between heads.
            case latent(queryRank: Int?, keyValueRank: Int, rotaryWidth: Int)
        }
    }

    /// The feed-forward of a layer by its matrices.
    public enum FeedForward: Sendable, Hashable {
        /// down(f(up(x))).
        case plain(hidden: Int, bias: Architecture.Presence)
        /// down(f(gate(x)) · up(x)); `fused`: gate and up are one matrix.
        case gated(hidden: Int, bias: Architecture.Presence, fused: Architecture.Presence)
        case experts(Experts)

        /// A router over gated feed-forwards, and one that every row passes besides.
        public struct Experts: Sendable, Hashable {
            public var count: Int
            public var active: Int
            public var hidden: Int
            /// The hidden width of the expert that every row passes; 0 when there is none.
            public var sharedHidden: Int
            /// Biases of the router and of the experts: gpt-oss.
            public var bias: Architecture.Presence
            /// A matrix of one row that scales the shared expert: Qwen2-MoE.
            public var sharedGate: Architecture.Presence

            public init(
                count: Int, active: Int, hidden: Int, sharedHidden: Int = 0, bias: Architecture.Presence = .absent,
                sharedGate: Architecture.Presence = .absent
            ) {
                (self.count, self.active, self.hidden) = (count, active, hidden)
                (self.sharedHidden, self.bias, self.sharedGate) = (sharedHidden, bias, sharedGate)
            }
        }
    }
}
