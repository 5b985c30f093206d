extension Architecture {
    /// Rotary positions (arXiv:2104.09864): pairs of a head's elements are turned by position · frequency.
    public struct Rotary: Sendable, Hashable, Codable {
        /// The rotated part of each head. An odd width turns one element more, while exponents still divide by the odd number.
        public var width: Int
        /// frequency(i) = base^(−2i / width).
        public var base: Float
        public var pairing: Pairing
        public var scaling: Scaling

        public init(width: Int, base: Float, pairing: Pairing = .halves, scaling: Scaling = .none) {
            (self.width, self.base, self.pairing, self.scaling) = (width, base, pairing, scaling)
        }

        /// How many pairs of a head's elements are turned.
        public var pairs: Int { (width + 1) / 2 }

        public enum Pairing: String, Sendable, Hashable, Codable {
            /// (i, i + width/2): Hugging Face's layout.
            case halves
            /// (2i, 2i + 1): the paper, GPT-J.
            case neighbours
        }

        /// How frequencies are stretched beyond the length the model was trained on.
        public enum Scaling: Sendable, Hashable, Codable {
            case none
            /// Positions are divided by the factor (arXiv:2306.15595).
            case linear(Float)
            /// The base grows with the sequence once it is longer than `trained` ("NTK-aware", dynamic).
            case dynamic(Float, trained: Int)
            /// Llama 3.1: low frequencies divided by the factor, high ones kept, a ramp between.
            case llama3(factor: Float, low: Float, high: Float, trained: Int)
            case yarn(Yarn)
            /// Frequencies divided one by one: GGUF's `rope_freqs`.
            case divided(by: [Float])
            /// Phi-3: divisors for short and for long sequences (arXiv:2402.13753); cosines and sines times `attention`.
            case long(short: [Float], long: [Float], trained: Int, attention: Float)
        }

        /// YaRN (arXiv:2309.00071): a ramp between interpolated and kept frequencies; cosines and sines times `attention`.
        public struct Yarn: Sendable, Hashable, Codable {
            public var factor: Float
            public var fast: Float
            public var slow: Float
            public var trained: Int
            public var attention: Float
            /// Whether the ramp's ends are rounded to whole dimensions.
            public var ends: Ends

            public enum Ends: String, Sendable, Hashable, Codable { case rounded, exact }

            public init(factor: Float, fast: Float, slow: Float, trained: Int, attention: Float, ends: Ends) {
                (self.factor, self.fast, self.slow, self.trained) = (factor, fast, slow, trained)
                (self.attention, self.ends) = (attention, ends)
            }
        }
    }
}
