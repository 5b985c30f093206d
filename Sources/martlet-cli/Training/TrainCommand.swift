import ArgumentParser
import MartletDistributed
import MartletJSON
import MartletPlatform
import MartletTraining
import Synchronization

/// `martlet train`: train a model by a recipe, or go on where a run ended.
struct TrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Train or fine-tune a model.",
        discussion: """
            Example: martlet train Recipes/tinyshakespeare.yaml --output runs/shakespeare --set seed=2
                     martlet train --resume runs/shakespeare

            The run's folder holds the recipe, log.jsonl, curves.svg, checkpoints and the best model so far; every \
            other verb takes it as a MODEL. Under mpirun, or with --ranks on this machine, the ranks share each step: \
            their number divides batch.shards, and the bits are those of one rank. What --set changes in a resumed run is \
            written to its recipe. SIGTERM and SIGINT end the run after the current step; resuming it gives the same \
            bits as a run that was never stopped.
            """)

    @Argument(help: "The recipe.")
    var recipe: String?

    @Option(help: "Resume this run.")
    var resume: String?

    @Option(help: "Override the recipe: key=value, the key with dots (may be repeated).")
    var set: [String] = []

    @Option(
        name: [.customShort("o"), .long],
        help: "The run's folder (default: from the recipe, else runs/ and its name).")
    var output: String?

    @Option(help: "Compute threads (default: from the recipe, else one per physical core).")
    var threads: Int?

    @Option(help: "Show this many examples, what is predicted in \u{27E6} \u{27E7}, and do not train.")
    var show: Int?

    @OptionGroup var ranks: RankOptions

    @Option(
        help:
            "What each rank holds, as zero=1: 0 everything, 1 a part of the optimizer's states, 2 of the gradients too, 3 of the weights too; or pipeline=4: layers cut into stages (schedule=1f1b, gpipe or zero-bubble, interleave=2); tensor=2: matrices divided; context=2: rows; expert=2: experts."
    )
    var layout: String?

    func validate() throws {
        if (recipe == nil) == (resume == nil) {
            throw ValidationError("Give a recipe, or --resume with a run's folder.")
        }
        if resume != nil && output != nil {
            throw ValidationError("A run is resumed in its own folder: leave out --output.")
        }
        if let show, !(1...1_000).contains(show) {
            throw ValidationError("--show is \(show), but must be between 1 and 1000.")
        }
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads is \(threads), but must be between 1 and 1024.")
        }
    }

    func run() throws {
        try ranks.launch(threads: threads)
        try Ranks.join { try run(over: $0) }
    }

    private func run(over communicator: any Communicator) throws {
        let isLeader = communicator.rank == 0
        let screen = TrainingScreen()
        let session = try session(over: communicator) { if isLeader { screen.tokenizing(bytes: $0) } }
        let preparation = session.preparation
        if let show {
            defer { session.discard() }
            for text in preparation.notes { Output.note(text) }
            for lines in try session.examples(show) { Output.write(lines.joined(separator: "\n") + "\n\n") }
            return
        }
        if isLeader && preparation.passedOver > 0 {
            Output.note(
                "martlet: \(preparation.passedOver) of \(preparation.pieces) examples are left out: they are longer than the recipe's length of \(preparation.recipe.length)"
            )
        }
        let (run, learner) = try session.start { screen.show($0) }
        if isLeader { screen.begin(run, preparation, learner, session.device) }
        if isLeader, communicator.size > 1 {
            let (gradients, weights) = learner.plannedTraffic
            let memory = try session.plannedBytes.map { "; the fullest is planned to take \(Int($0)) bytes" } ?? ""
            Output.note(
                "\(communicator.size) ranks: this one sends \(gradients) bytes of gradients and \(weights) of weights a step\(memory)"
            )
        }
        Stopping.watch()
        let summary = try session.run { Stopping.isAsked }
        guard isLeader else { return }
        screen.end(summary, run, session.folder)
        if summary.end == .stopped { throw StoppedWork() }
    }

    private func session(
        over communicator: any Communicator, tokenizing: @escaping @Sendable (Int) -> Void
    ) throws -> TrainingSession {
        let layout: RankLayout
        do {
            layout = try self.layout.map { try RankLayout($0) } ?? RankLayout()
            _ = try RecipeOverrides.apply(set, to: JSONObject())
        } catch {
            throw UsageError("\(error)")
        }
        if let resume {
            return try TrainingSession(
                .resumed(overrides: set), in: resume, threads: threads, over: communicator, layout: layout,
                tokenizing: tokenizing)
        }
        let path = self.recipe ?? ""
        let recipe = try Recipe(yaml: Input.text(path), path: path, overrides: set)
        let output = output ?? recipe.output ?? "runs/" + TrainCommand.name(of: path)
        return try TrainingSession(
            .recipe(recipe), in: output, threads: threads, over: communicator, layout: layout, tokenizing: tokenizing)
    }

    private static func name(of path: String) -> String {
        let file = path.split(separator: "/").last.map(String.init) ?? "run"
        return file.split(separator: ".").first.map(String.init) ?? "run"
    }
}

/// The wish of a signal that the command end. A library installs no handler; the command may.
enum Stopping {
    private static let asked = Atomic<Bool>(false)

    static var isAsked: Bool { asked.load(ordering: .relaxed) }

    /// Takes SIGTERM and SIGINT as a wish; a second one ends the process as usual.
    static func watch() {
        for number in [SIGTERM, SIGINT] {
            signal(number) { number in
                Stopping.asked.store(true, ordering: .relaxed)
                signal(number, SIG_DFL)
            }
        }
    }
}
