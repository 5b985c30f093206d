package import MartletTensors

/// The architecture of a transformer as plain data: one value describes one model.
///
/// One value is run, trained, planned, quantized and drawn. Every axis is a closed enum whose cases exclude each
/// other, and depth-wise variation is an array, so no two settings can contradict. Nothing here is named after a model
/// family, and nothing that belongs to a run (dropout, element types, batch) appears. A new case needs a paper or two
/// families, and a fixture.
public struct Architecture: Sendable, Hashable, Codable {
    /// The vocabulary size, the number of rows of the token table.
    package var vocabulary: Int
    /// The hidden size, the width of the residual stream.
    package var width: Int
    /// The context length, the longest sequence the model was made for; nil when its positions set no limit.
    package var context: Int?
    /// The longest source of an encoder-decoder, where that is not the context: LED.
    package var sourceContext: Int?
    package var embedding: Embedding
    /// The side that reads the source, where it is of another width than the one that writes: T5Gemma 9b-2b.
    package var reader: Reader?
    package var body: Body
    package var head: Head
    /// The token behind which the decoder of an encoder-decoder reads the source once more, where it does not write:
    /// BART's classifiers.
    package var rereadsBehind: Start?

    package init(
        vocabulary: Int, width: Int, context: Int? = nil, embedding: Embedding = Embedding(), body: Body, head: Head,
        rereadsBehind: Start? = nil
    ) {
        (self.vocabulary, self.width, self.context) = (vocabulary, width, context)
        (self.embedding, self.body, self.head) = (embedding, body, head)
        self.rereadsBehind = rereadsBehind
    }

    /// The start token of a decoder that reads the source once more.
    package enum Start: Sendable, Hashable, Codable {
        case token(Int32)
        /// The last token of the source that is not this one, the padding: mBART, whose last token is a language.
        case last(unless: Int32)
    }

    /// The width of an encoder-decoder's first stack, and what its token vectors are multiplied by.
    package struct Reader: Sendable, Hashable, Codable {
        package var width: Int
        package var scale: Float
        package init(width: Int, scale: Float) { (self.width, self.scale) = (width, scale) }
    }

    /// This architecture with the width and the scale of the side that reads the source.
    package var reading: Architecture {
        guard let reader else { return self }
        var own = self
        (own.width, own.embedding.scale) = (reader.width, reader.scale)
        return own
    }

    /// The body of a model: the stacks of layers, and what they do with a text.
    package enum Body: Sendable, Hashable, Codable {
        /// GPT-2, Llama, Mistral, Mixtral, Qwen, Gemma.
        case decoder(Stack)
        /// BERT, RoBERTa, ALBERT.
        case encoder(Stack)
        /// The 2017 Transformer, Marian, T5, BART.
        case encoderDecoder(Stack, Stack)
    }

    /// The input embedding: what a token becomes before the first layer.
    package struct Embedding: Sendable, Hashable, Codable {
        /// The factor by which token vectors are multiplied: √width in the 2017 Transformer and Gemma.
        package var scale: Float
        /// The number of segments, rows of the segment table: BERT's sentence A and sentence B.
        package var segments: Int
        /// The number of rows of the task table, the first of which is added everywhere: ERNIE 3.0.
        package var tasks = 0
        /// The token table's own width, where a projection leads from it to `Architecture.width`: ALBERT, ELECTRA,
        /// OPT-350M.
        package var factorised: Factorised?
        /// The decoder's vocabulary size, the rows of its own token table, where it does not share the encoder's: a
        /// translator with two vocabularies.
        package var targetVocabulary: Int?
        /// A vector per token and layer beside the token vector: Gemma 4.
        package var perLayer: PerLayer?
        /// A token that takes no position, wherever it stands: RoBERTa's padding, which has the row before the first
        /// position's.
        package var tokenWithoutPosition: Int32?

        package init(
            scale: Float = 1, segments: Int = 0, factorised: Factorised? = nil, targetVocabulary: Int? = nil,
            tokenWithoutPosition: Int32? = nil
        ) {
            (self.scale, self.segments, self.factorised) = (scale, segments, factorised)
            (self.targetVocabulary, self.tokenWithoutPosition) = (targetVocabulary, tokenWithoutPosition)
        }

        /// Per-layer embeddings: each layer adds norm(project(f(gate(x)) · v)) to x, where v = (token row · √width +
        /// norm(projection of the token vector / √model width)) / √2 is that layer's part of a wider row.
        package struct PerLayer: Sendable, Hashable, Codable {
            /// Rows of the table.
            package var vocabulary: Int
            /// Elements of each layer's part.
            package var width: Int
            package var activation: Activation
            package init(vocabulary: Int, width: Int, activation: Activation) {
                (self.vocabulary, self.width, self.activation) = (vocabulary, width, activation)
            }
        }

        /// A token table that is narrower or wider than the model (factorised embedding, arXiv:1909.11942).
        package struct Factorised: Sendable, Hashable, Codable {
            /// The order of positions, norm and projection after the token table.
            package enum Order: String, Sendable, Hashable, Codable {
                /// Positions, norm, projection: ALBERT, ELECTRA.
                case normThenProjection
                /// Projection, positions, norm: OPT.
                case projectionThenPositions
                /// Positions, projection, norm: DeBERTa v2.
                case projectionThenNorm
            }
            package var width: Int
            package var bias: Presence
            package var order: Order
            package init(width: Int, bias: Presence, order: Order = .normThenProjection) {
                (self.width, self.bias, self.order) = (width, bias, order)
            }
        }
    }

    /// A pile of layers with its input positions.
    package struct Stack: Sendable, Hashable, Codable {
        package var positions: InputPositions
        package var inputNorm: Norm?
        /// The layers, one entry each: windows, experts, bases vary here.
        package var layers: [Layer]
        package var outputNorm: Norm?
        /// The convolution over the first layer's input that is added to its output: DeBERTa v2.
        package var convolution: Convolution?
        /// Several residual streams, of which each layer computes with one: Gemma 3n.
        package var streams: Streams?

        package init(
            positions: InputPositions = .none, inputNorm: Norm? = nil, layers: [Layer], outputNorm: Norm? = nil,
            convolution: Convolution? = nil
        ) {
            (self.positions, self.inputNorm, self.layers, self.outputNorm) = (positions, inputNorm, layers, outputNorm)
            self.convolution = convolution
        }
    }

    /// A convolution, norm(y + f(convolution(x))) over `size` neighbouring rows of a sequence, of odd size.
    package struct Convolution: Sendable, Hashable, Codable {
        package var size: Int
        package var activation: Activation
        package var norm: Norm
        package init(size: Int, activation: Activation, norm: Norm) {
            (self.size, self.activation, self.norm) = (size, activation, norm)
        }
    }

    /// Alternating updates (AltUp, arXiv:2301.13310): every layer predicts all residual streams, computes with one, and
    /// corrects all by what came out. Its attention is joined by a learned augmentation of low rank (LAuReL,
    /// arXiv:2411.07501).
    package struct Streams: Sendable, Hashable, Codable {
        package var count: Int
        /// The stream that layers compute with.
        package var active: Int
        /// True where the corrected stream is multiplied by learned weights before per-layer embeddings read it.
        package var scalesCorrection: Presence
        package var augmentationRank: Int
        package init(count: Int, active: Int, scalesCorrection: Presence, augmentationRank: Int) {
            (self.count, self.active) = (count, active)
            (self.scalesCorrection, self.augmentationRank) = (scalesCorrection, augmentationRank)
        }
    }

    /// One layer: attention and feed-forward, with the norms and residual connections around them.
    package struct Layer: Sendable, Hashable, Codable {
        package var norm: Norm
        package var arrangement: Arrangement
        package var attention: Attention
        package var crossAttention: Attention?
        package var feedForward: FeedForward
        /// The index of an earlier layer whose parameters this one uses: ALBERT.
        package var sharesParametersOf: Int?
        /// The norm behind sublayers, where its epsilon is not that of the norm before them.
        package var normAfter: Norm?
        /// True where the layer's output is multiplied by a stored number: Gemma 4.
        package var outputScale = Presence.absent
        /// The sparsity of a gated feed-forward: gates count by what they exceed their row's mean plus so many standard
        /// deviations, the others not at all (Gemma 3n); nil where all count.
        package var gateDeviations: Float?

        package init(
            norm: Norm, arrangement: Arrangement, attention: Attention, crossAttention: Attention? = nil,
            feedForward: FeedForward, sharesParametersOf: Int? = nil
        ) {
            (self.norm, self.arrangement, self.attention) = (norm, arrangement, attention)
            (self.crossAttention, self.feedForward) = (crossAttention, feedForward)
            self.sharesParametersOf = sharesParametersOf
        }
    }

    /// The arrangement of residual connections and norms around the sublayers of a layer.
    package enum Arrangement: Sendable, Hashable, Codable {
        /// Pre-norm, x + f(norm(x)), one sublayer after the other: GPT-2, Llama, T5.
        case before
        /// Post-norm, norm(x + f(x)): 2017, BERT, BART.
        case after
        /// Post-norm, attention with a second sum and norm, norm₂(x + norm(x + attention(x))): Jina's second BERT.
        case afterTwice
        /// x + attention(x), then x + feedForward(norm(x)): ModernBERT's first layer, whose input is normed already.
        case beforeFeedForward
        /// Norms on both sides, x + norm(f(norm(x))): Gemma 2 and 3.
        case both
        /// A norm after each sublayer, x + norm(f(x)): OLMo 2 (arXiv:2501.00656), EXAONE 4.
        case afterSublayer
        /// n + f(n) with n = norm(x): BLOOM with `apply_residual_connection_post_layernorm`.
        case normedResidual
        /// Parallel sublayers, x + attention(norm(x)) + feedForward(norm(x)) with one norm: GPT-J, Phi, Falcon-7B.
        case parallelShared
        /// Parallel sublayers, x + attention(norm(x)) + feedForward(norm(x)) with a norm for each: GPT-NeoX,
        /// Falcon-40B.
        case parallelSeparate
    }

    /// The feed-forward of a layer (MLP); f is the activation.
    package enum FeedForward: Sendable, Hashable, Codable {
        /// A plain feed-forward (MLP), down(f(up(x))).
        case plain(hidden: Int, Activation, bias: Presence)
        /// down(f(gate(x)) · up(x)).
        case gated(hidden: Int, Activation, bias: GatedBias)
        /// down(f(up(x))) where f is xIELU, whose two slopes each layer learns: Apertus (arXiv:2411.13010).
        case expandedIntegral(hidden: Int)
        case experts(Experts)
    }

    /// The projections of a gated feed-forward that add a bias.
    package enum GatedBias: String, Sendable, Hashable, Codable {
        case absent, present
        /// The last one alone: GTE.
        case down

        package init(_ presence: Presence) { self = presence == .present ? .present : .absent }

        /// True where gate and up have one.
        package var ofInputs: Presence { self == .present ? .present : .absent }
        /// True where down has one.
        package var ofOutput: Presence { self == .absent ? .absent : .present }
    }

    /// The normalization of a row x, with its epsilon.
    package enum Norm: Sendable, Hashable, Codable {
        /// Layer norm, (x − mean) / √(variance + epsilon) · weight + bias.
        case layer(epsilon: Float)
        /// Layer norm without bias, (x − mean) / √(variance + epsilon) · weight: Cohere, MPT.
        case layerWithoutBias(epsilon: Float)
        /// Layer norm without weights, (x − mean) / √(variance + epsilon), nothing learned: OLMo (arXiv:2402.00838),
        /// OPT without `layer_norm_elementwise_affine`.
        case unweighted(epsilon: Float)
        /// RMS norm, x / √(mean(x²) + epsilon) · (weight + weightOffset); Gemma stores weight − 1.
        case rms(epsilon: Float, weightOffset: Float = 0)
        /// RMS norm without weights, x / √(mean(x²) + epsilon), nothing learned: the queries and keys of Llama 4.
        case unweightedRMS(epsilon: Float)

        package var epsilon: Float {
            switch self {
            case .layer(let epsilon), .layerWithoutBias(let epsilon), .unweighted(let epsilon), .rms(let epsilon, _),
                .unweightedRMS(let epsilon):
                epsilon
            }
        }
    }

    /// The attention mask: which keys a query at position p sees.
    package enum Reach: Sendable, Hashable, Codable {
        case all
        /// Causal attention, 0 ... p.
        case past
        /// Sliding-window attention, p − size + 1 ... p: Mistral, Gemma 2.
        case window(Int)
        /// Chunked attention, the keys of the query's own chunk up to itself, p − p mod size ... p: Llama 4.
        case chunk(Int)
        /// Local attention to both sides, p − size ... p + size.
        case around(Int)
        /// Local attention with global positions: p − size ... p + size, and some global positions, the first `first`
        /// unless a pass names others, that see all and are seen by all, through projections of their own: Longformer
        /// (arXiv:2004.05150).
        case aroundAndGlobal(Int, first: Int)
        /// Local attention beside sums of blocks: p − size ... p + size, and the sum of every `block` rows: LongT5's
        /// transient-global attention (arXiv:2112.07916).
        case aroundAndSums(Int, block: Int)
    }

    /// Absolute position embeddings, added to the token vectors.
    package enum InputPositions: Sendable, Hashable, Codable {
        case none
        case learned(Int, offset: Int = 0)  // offset 2 in RoBERTa, BART and OPT
        case sinusoidal(Sinusoid)
    }

    /// Fixed sine and cosine positions: angle(p, i) = (p + start) · base^(−i / denominator).
    package struct Sinusoid: Sendable, Hashable, Codable {
        /// The order of sines and cosines in a row.
        package enum Order: String, Sendable, Hashable, Codable {
            /// [sin … | cos …]: tensor2tensor, Marian.
            case halves
            /// sin, cos, sin, cos, …: the paper.
            case neighbours
        }
        package var order: Order
        package var start: Int
        /// The divisor of i, which runs from 0 to width/2: width/2 in the paper, width/2 − 1 in tensor2tensor.
        package var denominator: Float
        package var base: Float

        package init(order: Order, start: Int = 0, denominator: Float, base: Float = 10_000) {
            (self.order, self.start, self.denominator, self.base) = (order, start, denominator, base)
        }
    }

    /// The position encoding of attention scores: rotary, ALiBi, relative biases.
    package enum ScorePositions: Sendable, Hashable, Codable {
        case none
        case rotary(Rotary)
        /// A slope per head times the distance (arXiv:2108.12409).
        case linearBias(LinearBias)
        /// A learned number per head and bucket of the distance, one table per stack: T5.
        case buckets(Int, farthest: Int)
        /// A learned number per head and bucket of the distance, one table for each layer: umT5 (arXiv:2304.09151).
        case layerBuckets(Int, farthest: Int)
        /// Products of content with positions, one table of relative positions per stack: DeBERTa (arXiv:2006.03654).
        case disentangled(Disentangled)

        /// The length of text beyond which all of its positions turn otherwise, also those whose keys were computed
        /// before.
        package var rereadsBeyond: Int? {
            if case .rotary(let rotary) = self, case .long(_, _, let trained, _) = rotary.scaling {
                trained
            } else {
                nil
            }
        }

        /// True where these positions grow with the text, so that the length the model was trained on is no limit.
        package var isUnbounded: Bool {
            if case .rotary(let rotary) = self, case .dynamic = rotary.scaling { true } else { false }
        }
    }

    /// The form of ALiBi: when a slope's product with the distance is added to the scores, and how exact it is.
    package enum LinearBias: String, Sendable, Hashable, Codable {
        /// Addition after the scores are scaled: the paper, BLOOM.
        case afterScaling
        /// Addition before the scores are scaled, with slope and product rounded to bf16: Falcon-RW.
        case beforeScaling
        /// − slope · distance on both sides of a query: Jina's BERT.
        case bothWays
    }

    /// The presence of an optional part, such as a bias.
    package enum Presence: String, Sendable, Hashable, Codable { case absent, present }

    package typealias Activation = MartletTensors.Activation
}
