package import MartletJSON
package import MartletModels
package import MartletTensors
package import MartletTokenizers

/// The recipe of a training run, everything it is told: what to train, on what, how, and for how long. Plain data;
/// reading is in `Recipe+Reading.swift`.
package struct Recipe: Sendable {
    /// The origin of the model that is trained.
    package enum ModelOrigin: Sendable {
        /// The contents of a `config.json`, with weights drawn from the seed.
        case config(JSONObject)
        /// A model directory to go on with.
        case directory(String)
    }

    /// The origin of the tokenizer.
    package enum TokenizerOrigin: Sendable, Equatable {
        /// A `tokenizer.json`.
        case file(String)
        /// Learnt from the sources.
        case trained(kind: TokenizerKind, vocabulary: Int, specialTokens: [String])
        /// The tokenizer of the model directory.
        case ofModel
    }

    /// The kind of tokenizer that is learnt.
    package enum TokenizerKind: Sendable, Equatable {
        case trainer(TokenizerTrainer.Kind)
        /// Each Unicode scalar of the text is a token.
        case characters
    }

    /// Files of text, drawn from by weight.
    package struct Source: Sendable {
        package var files: TextFiles
        /// The weight of the source; nil: by size and temperature.
        package var weight: Double?
    }

    /// The unlabelled data, and how pieces are made of them.
    package struct Data: Sendable {
        package var sources: [Source] = []
        package var validation: [Source] = []
        /// The last share of each source, kept for validation.
        package var holdout = 0.0
        package var temperature = 1.0
        /// Tokens around each document, as the vocabulary spells them.
        package var documentStart: String?
        package var documentEnd: String?
        package var augmentation = Augmentation()
        package var augmentationMask: String?
        /// Subword regularisation; nil: each text has the tokens that the tokenizer gives it.
        package var subwords: Double?
        /// The folder of token caches; nil: in the run.
        package var cache: String?
    }

    /// The training objective: what is predicted.
    package enum Objective: Sendable, Equatable {
        case causal
        case sequenceToSequence
        case masked(share: Double, wholeWords: Bool)
        case spanCorruption(share: Double, meanLength: Double)
        /// A label of each text, from labelled files.
        case labelled(LabelledObjective)
    }

    /// Labelled files for each use.
    package struct LabelledData: Sendable {
        package var training: [LabelledFile] = []
        package var validation: [LabelledFile] = []
        package var test: [LabelledFile] = []
        /// The share of the training records, drawn by the seed, that is kept for validation.
        package var holdout = 0.0
    }

    /// The choice of a model's parameters that are trained, and how fast.
    package struct Training: Sendable, Equatable {
        /// Parts that are left as they are: see ``TrainedParts``.
        package var frozen: [String] = []
        /// The learning rate of a layer is this times that of the one above it.
        package var layerDecay = 1.0
        /// The share of the average of weights that each step keeps (EMA); nil: the weights themselves are evaluated
        /// and exported.
        package var average: Double?
    }

    /// A model to learn from: its classes, or its vectors.
    package struct Teaching: Sendable {
        package var path: String
        /// The weight of its classes in the loss.
        package var distillation: Distillation
        /// The folder of the teacher's cached results; nil: in the run.
        package var cache: String?
    }

    /// The length of the run.
    package enum Duration: Sendable, Equatable {
        case steps(Int)
        case tokens(Int)
        case epochs(Double)
    }

    /// The optimizer and its settings.
    package struct Optimizer: Sendable, Equatable {
        package var name = "adamw"
        package var learningRate = 1e-3
        package var betas = (0.9, 0.95)
        package var epsilon = 1e-8
        package var weightDecay = 0.0
        package var momentum = 0.9
        /// The gradient clipping threshold, the largest norm of all gradients together; nil does not clip.
        package var clip: Double? = 1

        package static func == (a: Optimizer, b: Optimizer) -> Bool {
            a.name == b.name && a.learningRate == b.learningRate && a.betas == b.betas && a.epsilon == b.epsilon
                && a.weightDecay == b.weightDecay && a.momentum == b.momentum && a.clip == b.clip
        }
    }

    /// The learning-rate schedule: warm-up, plateau and decay.
    package struct ScheduleSettings: Sendable, Equatable {
        package var name: String
        package var warmUp: Int
        /// The warm-up steps as a share of all; nil: `warmUp` counts them.
        package var warmUpShare: Double?
        /// The share of the peak at the end.
        package var final: Double
        /// The number of decay steps, the last phase of warm-up, stable, decay; nil: a tenth.
        package var decay: Int?

        package init(name: String = "constant", warmUp: Int = 0, final: Double = 0, decay: Int? = nil) {
            (self.name, self.warmUp, self.final, self.decay) = (name, warmUp, final, decay)
        }
    }

    /// The evaluation on validation data.
    package struct Evaluation: Sendable, Equatable {
        /// The interval of evaluations in steps; 0: only at the end.
        package var every: Int
        package var batches: Int
        /// The patience of early stopping: evaluations without a better one after which the run ends; 0: never.
        package var patience: Int
        /// The measure that decides which model is the best; nil: the loss.
        package var metric: String?

        package init(every: Int = 0, batches: Int = 50, patience: Int = 0, metric: String? = nil) {
            (self.every, self.batches, self.patience, self.metric) = (every, batches, patience, metric)
        }
    }

    /// The checkpoints that are written and kept.
    package struct Checkpoints: Sendable, Equatable {
        /// The interval of checkpoints in steps.
        package var every: Int
        /// The newest that are kept, beside the best.
        package var keep: Int

        package init(every: Int = 500, keep: Int = 2) { (self.every, self.keep) = (every, keep) }
    }

    /// The precision of matrix products and of what waits for the backward pass.
    package enum Precision: String, Sendable { case f32, bf16 }
    /// The treatment of a step whose loss or gradient is not finite.
    package enum NonFinite: Sendable { case stop, skip }

    package var model: ModelOrigin
    package var tokenizer: TokenizerOrigin
    package var data: Data
    package var labelled: LabelledData
    package var training: Training
    package var teacher: Teaching?
    /// The layers of the origin that the model keeps, in this order; nil: all.
    package var layers: [Int]?
    /// The type that matrices of the origin are rounded to as they are read, under adapters; nil: what the file has.
    package var weights: ElementType?
    /// Low-rank adapters that are trained in the model's place; nil: the model itself.
    package var adapters: AdapterConfiguration?
    package var objective: Objective
    package var labelSmoothing: Double
    package var length: Int
    /// The batch size of a pass in rows, on either side.
    package var batchTokens: Int
    /// The maximum number of labelled examples of a pass; nil: as many as its rows hold.
    package var batchExamples: Int?
    /// The number of passes of a step (gradient accumulation).
    package var accumulation: Int
    /// The number of blocks that the passes of a step are summed in, added in a binary tree: a number of ranks that
    /// divides it gives the same bits.
    package var shards: Int
    package var optimizer: Optimizer
    package var schedule: ScheduleSettings
    package var precision: Precision
    package var recomputation: Bool
    /// Dropout; nil: what config.json says.
    package var dropout, attentionDropout, activationDropout: Double?
    /// The weight of the load-balancing loss, which spreads tokens evenly over experts.
    package var expertBalance: Double
    package var duration: Duration
    package var evaluation: Evaluation
    package var checkpoints: Checkpoints
    package var nonFinite: NonFinite
    /// The type of the matrices of a GGUF that is written at the end; nil: none is.
    package var gguf: ElementType?
    package var seed: UInt64
    package var threads: Int?
    /// The run's folder.
    package var output: String?
    /// The whole as read, overrides applied: what `recipe.yaml` of a run holds.
    package var document: JSONObject
}
