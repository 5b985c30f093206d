extension Architecture {
    /// The head of a model, which reads its last hidden states.
    package enum Head: Sendable, Hashable, Codable {
        case none
        /// A projection to the vocabulary: the next token of a decoder, the masked one of an encoder.
        case tokens(TokenHead)
        /// A vector for the whole sequence, from its first row: BERT's pooler.
        case pooled(Transform)
        /// Next-sentence prediction, whether the second sentence follows the first, from the pooled row: BERT; ALBERT
        /// asks for their order.
        case nextSentence(Transform)
        /// BERT's two pre-training heads together: masked tokens and next sentence.
        case pretraining(TokenHead, Transform)
        /// Classes of the whole sequence, or one number (regression), from one of its rows. On a decoder the projection
        /// has no bias.
        case sequence(Transform?, labels: Int, from: SequenceRow = .first)
        /// Classes of each row; a single one is ELECTRA's "was replaced".
        case rows(Transform?, labels: Int)
        /// The span of an answer (extractive question answering), its start and end: two numbers for each row.
        case answers(Transform? = nil)
    }

    /// The row that stands for a whole sequence.
    package enum SequenceRow: Sendable, Hashable, Codable {
        case first
        /// The last one, or the last whose token is not this: the padding, which may also end a text.
        case last(unless: Int32?)
        /// The last one whose token is this: T5's and BART's end of text.
        case lastOf(Int32)
        /// Mean pooling, the mean of all rows in place of one: sentence-transformers.
        case mean
        /// All rows: each is labelled, and the labels' logits are averaged: EuroBERT's "late" pooling.
        case meanOfLabels
    }

    /// The projection from hidden states to logits over the vocabulary (the language-model head).
    package struct TokenHead: Sendable, Hashable, Codable {
        /// The weights of the output projection: its own, or the token table itself (tied embeddings).
        package enum Weights: String, Sendable, Hashable, Codable { case own, tied }
        /// The bias of the logits.
        package enum Bias: String, Sendable, Hashable, Codable {
            case absent, present
            /// Numbers that the checkpoint holds and that are not learned: BART's `final_logits_bias`.
            case constant
        }
        /// The dense layer before the projection: BERT.
        package var transform: Transform?
        package var weights: Weights
        package var bias: Bias
        /// The factor by which logits are multiplied: width^-½ in T5 with a tied table.
        package var scale: Float
        /// The cap of the logits l, which become cap · tanh(l / cap): Gemma 2.
        package var cap: Float?

        package init(
            weights: Weights, bias: Bias = .absent, scale: Float = 1, cap: Float? = nil, transform: Transform? = nil
        ) {
            (self.weights, self.bias, self.scale, self.cap) = (weights, bias, scale, cap)
            self.transform = transform
        }
    }

    /// The transform of a head, norm(f(W x + b)): a dense layer between hidden states and a head's projection.
    package struct Transform: Sendable, Hashable, Codable {
        package var width: Int
        package var activation: Activation
        package var norm: Norm?
        package var bias: Presence

        package init(width: Int, activation: Activation, norm: Norm? = nil, bias: Presence = .present) {
            (self.width, self.activation, self.norm, self.bias) = (width, activation, norm, bias)
        }
    }

    /// Disentangled attention: to content · content it adds products with projections of relative positions, each of
    /// them scaled as the scores are. Distances beyond half of `buckets` share buckets that widen logarithmically up to
    /// `farthest`; without `buckets` they are cut off at `farthest`.
    package struct Disentangled: Sendable, Hashable, Codable {
        /// The terms that are added to the scores: content to position, position to content, or both.
        package enum Terms: String, Sendable, Hashable, Codable { case contentToPosition, positionToContent, both }
        /// The projections of positions: shared with those of content, or matrices of their own.
        package enum Projections: String, Sendable, Hashable, Codable { case shared, own }
        package var buckets: Int?
        package var farthest: Int
        package var terms: Terms
        package var projections: Projections
        /// The norm of the table of positions.
        package var norm: Norm?

        package init(buckets: Int?, farthest: Int, terms: Terms, projections: Projections, norm: Norm?) {
            (self.buckets, self.farthest, self.terms) = (buckets, farthest, terms)
            (self.projections, self.norm) = (projections, norm)
        }

        /// The span of distances, half the rows of the table: distances −span ..< span have one each.
        package var span: Int { buckets ?? farthest }
    }
}
