/// The progress that a training session tells while it goes on.
public enum TrainingProgress: Sendable {
    /// A step that was done.
    case step(TrainingStep)
    /// An evaluation on the validation data.
    case evaluated(TrainingEvaluation)
    /// A checkpoint that was written: everything that is needed to go on.
    case saved(step: Int)
    /// A warning: something failed that the session survives.
    case warning(String)

    init(_ event: RunEvent) {
        switch event {
        case .step(let record):
            self = .step(
                TrainingStep(
                    number: record.step, loss: record.loss, learningRate: record.learningRate, tokens: record.tokens,
                    seconds: record.seconds))
        case .evaluated(let step, let found, let isBest):
            self = .evaluated(TrainingEvaluation(found, step: step, isBest: isBest))
        case .saved(let step): self = .saved(step: step)
        case .warning(let text): self = .warning(text)
        }
    }
}

/// One step of a training session.
public struct TrainingStep: Sendable, Hashable {
    /// The step, counted from 1.
    public let number: Int
    /// The mean loss over what the step's examples predict, in nats.
    public let loss: Double
    /// The learning rate of the step.
    public let learningRate: Double
    /// The number of tokens read since the beginning.
    public let tokens: Int
    /// The time of computing since the beginning, in seconds.
    public let seconds: Double
}

/// The evaluation of a model on the validation data.
public struct TrainingEvaluation: Sendable, Hashable {
    /// The number of steps that had been done.
    public let step: Int
    /// The mean loss over what the validation examples predict, in nats.
    public let loss: Double
    /// The objective's measures by name: `accuracy`, `entity-f1`, `spearman` and others.
    public let measures: [String: Double]
    /// True where no earlier evaluation was better.
    public let isBest: Bool

    init(_ evaluation: Evaluation, step: Int, isBest: Bool) {
        (self.step, loss, self.isBest) = (step, evaluation.loss, isBest)
        measures = Dictionary(evaluation.measures.map { ($0.name, $0.value) }) { first, _ in first }
    }
}

/// The result of a training session that ended.
public struct TrainingResult: Sendable, Hashable {
    /// The reason why a session ended.
    public enum End: Sendable, Hashable {
        /// Completion: all steps were done.
        case done
        /// Early stopping: the validation data had said nothing better for as long as the recipe allows.
        case early
        /// A stop that was asked for; the session goes on when it is resumed.
        case stopped
    }

    /// The reason of the end.
    public let end: End
    /// The number of steps done.
    public let step: Int
    /// The step of the model in ``TrainingSession/modelPath``.
    public let bestStep: Int

    init(_ summary: RunSummary) {
        switch summary.end {
        case .done: end = .done
        case .early: end = .early
        case .stopped: end = .stopped
        }
        step = summary.state.step
        bestStep = summary.state.best?.step ?? summary.state.step
    }
}
