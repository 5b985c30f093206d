/// The settings of a run, what it does step by step: the numbers of a recipe that concern neither model nor data.
package struct RunSettings: Sendable {
    package var steps: Int
    package var schedule: Schedule
    /// The learning rate at the schedule's peak.
    package var learningRate: Double
    /// The gradient clipping threshold, the largest norm of all gradients together; nil does not clip.
    package var clip: Double?
    /// The number of batches of a step (gradient accumulation).
    package var accumulation = 1
    /// The number of blocks of them, each a sum of its own.
    package var shards = 1
    package var evaluation = Recipe.Evaluation()
    package var checkpoints = Recipe.Checkpoints()
    package var nonFinite = Recipe.NonFinite.stop
    package var seed: UInt64 = 1

    package init(steps: Int, schedule: Schedule, learningRate: Double) {
        (self.steps, self.schedule, self.learningRate) = (steps, schedule, learningRate)
    }

    /// The settings of a recipe whose data hold `tokens` tokens: `epochs` become as many steps as that many tokens
    /// fill.
    ///
    /// - Parameter counted: The steps of the recipe's epochs, where its batches were counted.
    package init(_ recipe: Recipe, tokens: Int, counted: Int? = nil) {
        let perStep = Double(recipe.batchTokens) * Double(recipe.accumulation)
        func steps(_ tokens: Double) -> Int { max(1, Int(min(tokens / perStep, 1e15).rounded(.up))) }
        self.steps =
            switch recipe.duration {
            case .steps(let count): count
            case .tokens(let count): steps(Double(count))
            case .epochs(let count): counted ?? steps(count * Double(tokens))
            }
        schedule = Self.schedule(recipe.schedule, steps: self.steps)
        learningRate = recipe.optimizer.learningRate
        (clip, accumulation, shards) = (recipe.optimizer.clip, recipe.accumulation, recipe.shards)
        (evaluation, checkpoints) = (recipe.evaluation, recipe.checkpoints)
        (nonFinite, seed) = (recipe.nonFinite, recipe.seed)
    }

    private static func schedule(_ settings: Recipe.ScheduleSettings, steps: Int) -> Schedule {
        let final = Float(settings.final)
        let shape: Schedule.Shape =
            switch settings.name {
            case "linear": .linear(final: final)
            case "cosine": .cosine(final: final)
            case "inverse-square-root": .inverseSquareRoot
            case "warmup-stable-decay": .stableThenDecay(decay: settings.decay ?? max(1, steps / 10), final: final)
            default: .constant
            }
        let warmUp = settings.warmUpShare.map { Int((Double(steps) * $0).rounded()) } ?? settings.warmUp
        return Schedule(shape, warmUp: warmUp, steps: steps)
    }
}

/// An event that a run tells while it goes on.
package enum RunEvent: Sendable {
    case step(StepRecord)
    /// The evaluation on the validation batches; whether it is the best so far.
    case evaluated(step: Int, Evaluation, isBest: Bool)
    case saved(step: Int)
    /// Something failed that the run survives.
    case warning(String)
}

/// The summary of a run that ended.
package struct RunSummary: Sendable, Equatable {
    /// The reason why a run ended.
    package enum End: Sendable, Equatable {
        case done
        /// The validation loss stopped falling.
        case early
        /// The run was asked to stop; resuming goes on.
        case stopped
    }

    package var end: End
    package var state: RunState
}
