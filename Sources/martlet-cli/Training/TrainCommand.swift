import ArgumentParser
import Martlet
import MartletDistributed
import MartletFormats
import MartletJSON
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTemplates
import MartletTensors
import MartletTokenizers
import MartletTraining
import Synchronization

/// `martlet train`: train a model by a recipe, or go on where a run ended.
struct TrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train", abstract: "Train or fine-tune a model.",
        discussion: """
            Example: martlet train Recipes/tinyshakespeare.yaml --output runs/shakespeare --set seed=2
                     martlet train --resume runs/shakespeare

            The run's folder holds the recipe, log.jsonl, curves.svg, checkpoints and the best model so far, and is a MODEL to every other
            verb. Under mpirun (or with --ranks on this machine) the ranks share each step; their number divides batch.shards, and the
            bits are those of one rank. What --set changes of a resumed run is written to its recipe. SIGTERM and SIGINT end the run after the step it is at; resuming gives the same bits as a run that was never stopped.
            """)

    @Argument(help: "The recipe.")
    var recipe: String?

    @Option(help: "Go on with this run.")
    var resume: String?

    @Option(help: "Change the recipe: key=value, the key with dots (may be repeated).")
    var set: [String] = []

    @Option(
        name: [.customShort("o"), .long],
        help: "The run's folder (default: what the recipe says, else runs/ and its name).")
    var output: String?

    @Option(help: "Threads that compute (default: what the recipe says, else the physical cores).")
    var threads: Int?

    @Option(help: "Ranks on this machine, started by mpirun; their number divides the recipe's batch.shards.")
    var ranks: Int?

    func validate() throws {
        if (recipe == nil) == (resume == nil) {
            throw ValidationError("Give a recipe, or --resume with a run's folder.")
        }
        if resume != nil && output != nil {
            throw ValidationError("A run is resumed in its own folder: leave out --output.")
        }
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads is \(threads), but lies between 1 and 1024.")
        }
        if let ranks, !(1...4096).contains(ranks) {
            throw ValidationError("--ranks is \(ranks), but lies between 1 and 4096.")
        }
    }

    func run() throws {
        if let ranks, ranks > 1, !MPICommunicator.isLaunched { throw try RankLauncher.launch(ranks, threads: threads) }
        guard MPICommunicator.isLaunched else { return try run(over: Alone()) }
        let communicator = try MPICommunicator()
        do {
            try run(over: communicator)
            try communicator.barrier()
        } catch let interruption as StoppedWork {
            try communicator.barrier()
            communicator.finish()
            throw interruption
        } catch {
            Output.note("rank \(communicator.rank): \(error)")
            communicator.abort("\(error)")
            throw error
        }
        communicator.finish()
    }

    private func run(over communicator: any Communicator) throws {
        let isLeader = communicator.rank == 0
        // The leader prepares the folder, its tokenizer and its caches; the others then find them there.
        if !isLeader { try communicator.barrier() }
        let folder: RunFolder
        let recipe: Recipe
        var isNew = false
        if let resume {
            guard RunFolder.isRun(resume) else { throw RunError("\(resume): not the folder of a run") }
            folder = try RunFolder(resume, isLeader: isLeader)
            recipe = try folder.recipe(overrides: set)
        } else {
            let path = self.recipe ?? ""
            recipe = try Recipe(yaml: Input.text(path), path: path, overrides: set)
            let output = output ?? recipe.output ?? "runs/" + TrainCommand.name(of: path)
            guard !isLeader || !RunFolder.isRun(output) else {
                throw RunError(
                    "\(output): a run is there already; go on with --resume \(output), or choose another --output"
                )
            }
            isNew = isLeader && !Folder.exists(output)
            folder = try RunFolder(output, isLeader: isLeader)
        }
        let device = Device(threads: threads ?? recipe.threads)
        let screen = TrainingScreen()
        let preparation: RunPreparation
        do {
            preparation = try RunPreparation(
                recipe, folder: folder.path,
                tokenizer: tokenizer(of: recipe, folder, isStored: resume != nil || !isLeader),
                chat: TrainCommand.chat(of: recipe), on: device
            ) { if isLeader { screen.tokenizing(bytes: $0) } }
        } catch {
            // What could not begin leaves nothing behind.
            if isNew { for path in [folder.path + "/cache", folder.path] { Folder.remove(path) } }
            throw error
        }
        if isLeader && preparation.passedOver > 0 {
            Output.note(
                "martlet: \(preparation.passedOver) of \(preparation.pieces) examples are left out: they are longer than the recipe's length of \(recipe.length)"
            )
        }
        if recipe.gguf != nil {
            // What the format has no words for is better told now than after the last step.
            _ = try GGUFVocabulary(
                tokenizerJSON: preparation.tokenizerJSON, count: preparation.architecture.vocabulary)
        }
        if resume == nil, isLeader { try folder.write(recipe, tokenizer: preparation.tokenizerJSON) }
        if isLeader { try communicator.barrier() }
        let learner = try ModelLearner(preparation, on: device)
        let run = try prepare(folder, preparation, learner, device, screen, communicator)
        if resume != nil && !set.isEmpty && isLeader { try folder.write(recipe) }
        if isLeader { screen.begin(run, preparation, learner, device) }
        Stopping.watch()
        let summary = try run.run { Stopping.isAsked }
        guard isLeader else { return }
        if summary.end != .stopped, let type = recipe.gguf {
            let file = try ModelFile(path: folder.modelPath)
            let caveats = try file.writeGGUF(
                ModelExport(file, on: device), to: folder.path + "/model.gguf", named: folder.path, type: type)
            for caveat in caveats { Output.note(caveat) }
        }
        screen.end(summary, run, folder)
        if summary.end == .stopped { throw StoppedWork() }
    }

    /// The tokenizer of a run to be resumed, or that of a GGUF; nil where the recipe says which.
    private func tokenizer(of recipe: Recipe, _ folder: RunFolder, isStored: Bool) throws -> JSON? {
        if isStored { return try folder.tokenizer() }
        guard case .directory(let path) = recipe.model, ModelFile.isGGUF(path), recipe.tokenizer == .ofModel else {
            return nil
        }
        return try ModelText.tokenizerJSON(of: path)
    }

    /// How the model of a recipe reads conversations, where those are learnt from.
    private static func chat(of recipe: Recipe) throws -> ConversationFormat? {
        guard recipe.objective.labelled?.isConversational == true, case .directory(let path) = recipe.model else {
            return nil
        }
        let file = try ModelFile(path: path)
        let source = try ChatFormat.source(of: file, ModelText.tokenizer(of: file))
        return try source.template.map { ConversationFormat(try ChatTemplate($0), source.variables) }
    }

    private func prepare(
        _ folder: RunFolder, _ preparation: RunPreparation, _ learner: ModelLearner, _ device: Device,
        _ screen: TrainingScreen, _ communicator: any Communicator
    ) throws -> TrainingRun {
        var state: RunState?
        if resume != nil, !folder.store.steps.isEmpty {
            let (step, damages) = try folder.newestCheckpoint()
            for damage in damages { Output.note("passed over: \(damage)") }
            let found = try folder.store.state(step)
            try learner.restore(
                weights: folder.store.weights(step), optimizerState: folder.store.optimizerState(step),
                updates: found.updates)
            state = found
        }
        let export = RunExport(preparation, on: device)
        return try TrainingRun(
            folder.path, preparation.settings, learner, preparation.stream(from: state?.cursor),
            validation: preparation.validation(), from: state, over: communicator,
            export: { run in
                // The folder shows the best model; where nothing is evaluated, the newest.
                guard let best = run.state.best, best.step != run.state.step else {
                    return try export.write(learner.exported, to: folder.modelPath)
                }
                guard !Folder.exists(folder.modelPath) else { return }
                try export.write(run.store.exported(best.step).map { ($0, $1) }, to: folder.modelPath)
            },
            events: { screen.show($0) })
    }

    private static func name(of path: String) -> String {
        let file = path.split(separator: "/").last.map(String.init) ?? "run"
        return file.split(separator: ".").first.map(String.init) ?? "run"
    }
}

/// Whether a signal has asked the command to end. A library installs no handler; the command may.
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
