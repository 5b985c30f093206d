extension Architecture {
    /// A router that sends each row to `active` of `count` gated feed-forwards, beside one that all rows pass where
    /// there is one.
    package struct Experts: Sendable, Hashable, Codable {
        package var count: Int
        package var active: Int
        package var hidden: Int
        package var activation: Activation
        package var routing: Routing
        package var shared: Shared?
        /// The gate of every expert: all but Switch Transformers' have one.
        package var gate = Presence.present
        /// The biases of the router and of every expert's projections: gpt-oss.
        package var bias = Presence.absent
        /// The bias of the router, where it is not as the experts': Switch Transformers with `router_bias`.
        package var routerBias: Presence?
        /// Gates are cut off above this, what passes them beyond ± this, and 1 is added to the latter: gpt-oss
        /// (arXiv:2508.10925).
        package var limit: Float?
        /// Norms, each with weights of its own, before and after what is routed, after the shared expert, and of the
        /// rows that the router reads, which it multiplies by 1/√width. What is routed reads the residual stream, and
        /// each expert's result is multiplied by a learned number: Gemma 4.
        package var ownNorms: Norm?

        package init(
            count: Int, active: Int, hidden: Int, activation: Activation, routing: Routing, shared: Shared? = nil
        ) {
            (self.count, self.active, self.hidden) = (count, active, hidden)
            (self.activation, self.routing, self.shared) = (activation, routing, shared)
        }

        /// A gated feed-forward for every row.
        package struct Shared: Sendable, Hashable, Codable {
            package var hidden: Int
            /// A gate on the shared expert, by which its result is multiplied, σ(w · x): Qwen2-MoE (arXiv:2407.10671).
            package var gate: Presence
            package init(hidden: Int, gate: Presence = .present) { (self.hidden, self.gate) = (hidden, gate) }
        }
    }

    /// The routing of rows to experts: how experts are chosen by the router's logits, and what their results weigh.
    package struct Routing: Sendable, Hashable, Codable {
        /// The router's scoring function, applied to its logits.
        package enum Scores: String, Sendable, Hashable, Codable {
            case softmax
            /// DeepSeek-V3, Llama 4.
            case sigmoid
        }

        /// The routing weights of the chosen experts, as they follow from their scores.
        package enum Weights: Sendable, Hashable, Codable {
            /// The scores rescaled to sum to 1: Mixtral, Qwen3-MoE.
            case renormalised
            /// The scores as they are: Qwen3-MoE with `norm_topk_prob` false.
            case asTheyAre
            /// Each one's share of the softmax over itself and those after it that are within twice `jitter` of it,
            /// measured by the larger of the two: SparseMixer (arXiv:2409.12136) where nothing is drawn.
            case sparseMixer(jitter: Float)
        }

        /// The operand of the routing weights: what is multiplied by them.
        package enum Target: String, Sendable, Hashable, Codable {
            case results
            /// Llama 4.
            case inputs
        }

        /// Experts in groups of one size, of which only the `active` best are chosen from.
        package struct Groups: Sendable, Hashable, Codable {
            /// The score of a group, by which groups are compared.
            package enum Measure: String, Sendable, Hashable, Codable {
                /// DeepSeek-V2.
                case best
                /// DeepSeek-V3.
                case sumOfTwoBest
            }
            package var count: Int
            package var active: Int
            package var measure: Measure
            package init(count: Int, active: Int, by measure: Measure) {
                (self.count, self.active, self.measure) = (count, active, measure)
            }
        }

        package var scores: Scores
        package var weights: Weights
        /// The factor by which routing weights are multiplied.
        package var factor: Float
        package var target = Target.results
        /// Numbers that a checkpoint holds and that are added to the scores for the choice alone: DeepSeek-V3
        /// (arXiv:2408.15664).
        package var correction = Presence.absent
        package var groups: Groups?
        /// The expert capacity, the number of rows of one sequence that an expert takes; those that come later it
        /// leaves out: Switch Transformers (arXiv:2101.03961).
        package var capacity: Int?

        package init(_ scores: Scores, _ weights: Weights, factor: Float = 1) {
            (self.scores, self.weights, self.factor) = (scores, weights, factor)
        }

        package static let renormalised = Routing(.softmax, .renormalised)
        package static let asTheyAre = Routing(.softmax, .asTheyAre)
    }
}
