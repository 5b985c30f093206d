import MartletPlatform
import MartletTensors
import MartletTraining
import Synchronization

/// The screen of a training run: on a terminal a line that changes with every step; always a line for evaluations and
/// the end.
final class TrainingScreen: Sendable {
    private struct State {
        var steps = 0
        var firstStep = 0
        var firstTokens = 0
        var firstSeconds = 0.0
        /// The operations of a token, forward and backward, and of the machine in a second.
        var operationsPerToken = 0.0
        var peak = 0.0
        var last: (step: Int, tokens: Int, seconds: Double)?
        var lineIsOpen = false
    }

    private let state = Mutex(State())
    private let isTerminal = isatty(2) == 1

    func tokenizing(bytes: Int) {
        guard isTerminal else { return }
        line("tokenizing: \(bytes >> 20) MiB")
    }

    /// - Note: on a terminal the machine's peak is measured, for half a second.
    func begin(
        _ run: TrainingRun, _ preparation: RunPreparation, _ learner: some Learner, _ device: Device
    ) {
        closeLine()
        let settings = run.settings
        Output.note(
            "\(run.folder): \(learner.parameterCount) parameters, \(preparation.tokens) tokens, "
                + "\(preparation.validationTokens) for validation; steps \(run.state.step) to \(settings.steps)"
        )
        for text in preparation.notes { Output.note(text) }
        let limits = isTerminal ? MachineLimits.measure(on: device, seconds: 0.5) : nil
        state.withLock {
            $0.steps = settings.steps
            ($0.firstStep, $0.firstTokens, $0.firstSeconds) = (
                run.state.step, run.state.tokens, run.state.seconds
            )
            // Two operations a weight forward, four backward (arXiv:2001.08361).
            $0.operationsPerToken = 6 * Double(learner.parameterCount)
            $0.peak = preparation.recipe.precision == .bf16 ? limits?.bf16 ?? 0 : limits?.f32 ?? 0
        }
    }

    func show(_ event: RunEvent) {
        switch event {
        case .step(let record): step(record)
        case .evaluated(let step, let found, let isBest):
            let measures = found.measures.map { ", \($0.name) \(TrainingScreen.short($0.value))" }.joined()
            note(
                "step \(step): validation loss \(TrainingScreen.short(found.loss))\(measures)"
                    + (isBest ? ", the best so far" : ""))
        case .saved: break
        case .warning(let text): note(text)
        }
    }

    func end(_ summary: RunSummary, _ run: TrainingRun, _ folder: RunFolder) {
        closeLine()
        let best = summary.state.best.map {
            ", lowest validation loss \(TrainingScreen.short($0.loss)) at step \($0.step)"
        }
        switch summary.end {
        case .done:
            Output.note("done after \(summary.state.step) steps\(best ?? ""): \(folder.modelPath)")
        case .early:
            Output.note("ended early at step \(summary.state.step)\(best ?? ""): \(folder.modelPath)")
        case .stopped:
            Output.note(
                "stopped at step \(summary.state.step); martlet train --resume \(folder.path) goes on")
        }
    }

    private func step(_ record: StepRecord) {
        guard isTerminal else { return }
        let text = state.withLock { state -> String in
            let seconds = max(1e-9, record.seconds - state.firstSeconds)
            let rate = Double(record.tokens - state.firstTokens) / seconds
            let done = max(1, record.step - state.firstStep)
            let left = seconds / Double(done) * Double(state.steps - record.step)
            var parts = [
                "step \(record.step)/\(state.steps)", "loss \(TrainingScreen.short(record.loss))",
                "\(Int(rate)) tokens/s",
            ]
            if state.peak > 0 {
                parts.append("MFU \(Int(100 * rate * state.operationsPerToken / state.peak)) %")
            }
            parts.append("\(TrainingScreen.duration(left)) left")
            return parts.joined(separator: "  ")
        }
        line(text)
    }

    // MARK: - Lines

    private func line(_ text: String) {
        write("\r\u{1B}[K" + text)
        state.withLock { $0.lineIsOpen = true }
    }

    private func note(_ text: String) {
        closeLine()
        Output.note(text)
    }

    private func closeLine() {
        if state.withLock({ state in
            defer { state.lineIsOpen = false }
            return state.lineIsOpen
        }) {
            write("\r\u{1B}[K")
        }
    }

    private func write(_ text: String) {
        Output.prompt(text)
    }

    private static func short(_ value: Double) -> String { "\((value * 1e4).rounded() / 1e4)" }

    private static func duration(_ seconds: Double) -> String {
        let whole = seconds.isFinite ? Int(min(seconds, 1e9)) : 0
        return whole >= 3600
            ? "\(whole / 3600)h\(whole % 3600 / 60)m"
            : whole >= 60 ? "\(whole / 60)m\(whole % 60)s" : "\(whole)s"
    }
}
