extension Architecture {
    /// Rotary positions (arXiv:2104.09864): pairs of a head's elements are rotated by position · frequency.
    package struct Rotary: Sendable, Hashable, Codable {
        /// The rotated part of each head. An odd width rotates one element more, while exponents still divide by the
        /// odd number.
        package var width: Int
        /// The base of the frequencies, frequency(i) = base^(−2i / width).
        package var base: Float
        package var pairing: Pairing
        package var scaling: Scaling

        package init(width: Int, base: Float, pairing: Pairing = .halves, scaling: Scaling = .none) {
            (self.width, self.base, self.pairing, self.scaling) = (width, base, pairing, scaling)
        }

        /// The number of pairs of a head's elements that are rotated.
        package var pairs: Int { (width + 1) / 2 }

        /// The pairs of a head's elements that are rotated together.
        package enum Pairing: String, Sendable, Hashable, Codable {
            /// Halves of a head, (i, i + width/2): Hugging Face's layout.
            case halves
            /// Neighbouring elements, (2i, 2i + 1): the paper, GPT-J.
            case neighbours
        }

        /// The RoPE scaling, by which frequencies are stretched beyond the length the model was trained on.
        package enum Scaling: Sendable, Hashable, Codable {
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
            /// NTK-aware for a fixed factor (kexue.fm/archives/9706): the base grows by it, and frequencies shrink by
            /// factor^(2/width); or, with an exponent b, frequency i shrinks by exp(ln factor · (2 (i + 1) / width)^b).
            case ntk(Float, mixed: Float?)
            /// Only the first `turned` pairs are rotated, by frequencies divided by `factor`; the others stay: Gemma 4.
            case proportional(turned: Int, factor: Float)
            /// Phi-3: divisors for short and for long sequences (arXiv:2402.13753); cosines and sines times
            /// `attention`.
            case long(short: [Float], long: [Float], trained: Int, attention: Float)
        }

        /// YaRN (arXiv:2309.00071): a ramp between interpolated and kept frequencies; cosines and sines times
        /// `attention`.
        package struct Yarn: Sendable, Hashable, Codable {
            /// The factor by which positions are interpolated.
            package var factor: Float
            /// The ends of the ramp, β fast and β slow: rotations within the trained length above which a frequency is
            /// kept, and below which it is interpolated.
            package var fast, slow: Float
            /// The context length that the model was trained on.
            package var trained: Int
            /// The attention factor, by which cosines and sines are multiplied.
            package var attention: Float
            package var ends: Ends

            /// The rounding of the ramp's ends to whole dimensions.
            package enum Ends: String, Sendable, Hashable, Codable { case rounded, exact }

            package init(factor: Float, fast: Float, slow: Float, trained: Int, attention: Float, ends: Ends) {
                (self.factor, self.fast, self.slow, self.trained) = (factor, fast, slow, trained)
                (self.attention, self.ends) = (attention, ends)
            }
        }
    }
}
