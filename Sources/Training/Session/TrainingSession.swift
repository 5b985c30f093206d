import Martlet
package import MartletDistributed
import MartletFormats
import MartletJSON
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTemplates
package import MartletTensors
import MartletTokenizers

/// A model that learns by a recipe, in a folder that holds everything needed to go on: data read and checked, weights
/// trained and saved, the best model so far as a Hugging Face directory.
///
/// ```swift
/// let recipe = try TrainingRecipe(path: "Recipes/banking77.yaml", overrides: ["model.from=all-MiniLM-L6-v2"])
/// let session = try TrainingSession(recipe, in: "runs/banking77")
/// let result = try session.train { print($0) }
/// let classes = try await Classifier.load(path: session.modelPath).classify(["Where is my card?"])
/// ```
///
/// A session is a function of recipe, data and first weights: stopped anywhere and resumed, it gives the same bits, on
/// any number of threads.
public final class TrainingSession {
    package let folder: RunFolder
    package let preparation: RunPreparation
    package let device: Device
    private let communicator: any Communicator
    private let layout: RankLayout
    /// True where the folder began with this session, and holds nothing yet.
    private var isNew = false
    private let isResumed: Bool
    /// True where the recipe of a resumed session is no longer the one in its folder.
    private let isChanged: Bool
    private var started: (run: TrainingRun, learner: ModelLearner)?
    private var events: (RunEvent) -> Void = { _ in }

    /// The recipe of a new session, or the settings that change in one that is resumed.
    package enum Origin: Sendable {
        case recipe(Recipe)
        case resumed(overrides: [String])
    }

    /// Begins a session: reads, encodes and checks all data.
    ///
    /// - Parameters:
    ///   - path: The session's folder, which is made; no other session may be there.
    ///   - threads: Threads that compute; nil: what the recipe says, else the physical cores.
    /// - Throws: ``RunError``, ``DataError`` with everything that is wrong with labelled files, and what reading the
    ///   model throws.
    public convenience init(_ recipe: TrainingRecipe, in path: String, threads: Int? = nil) throws {
        try self.init(.recipe(recipe.recipe), in: path, threads: threads)
    }

    /// Goes on with the session in the folder `path`, from its newest whole checkpoint.
    ///
    /// - Parameters:
    ///   - overrides: Settings of the recipe that change, as `"epochs=5"`.
    ///   - threads: Threads that compute; nil: what the recipe says, else the physical cores.
    /// - Throws: ``RunError`` where there is no session, and as for a new one.
    public convenience init(resuming path: String, overrides: [String] = [], threads: Int? = nil) throws {
        try self.init(.resumed(overrides: overrides), in: path, threads: threads)
    }

    /// - Parameters:
    ///   - communicator: the ranks that share each step; the leader alone writes what is not divided among them.
    ///   - tokenizing: told the bytes of plain texts that were tokenized so far.
    package init(
        _ origin: Origin, in path: String, threads: Int?, over communicator: any Communicator = Alone(),
        layout: RankLayout = .init(), tokenizing: @escaping @Sendable (Int) -> Void = { _ in }
    ) throws {
        _ = try layout.mesh(ranks: communicator.size)
        let isLeader = communicator.rank == 0
        // The leader prepares the folder, its tokenizer and its caches; the others then find them there.
        if !isLeader { try communicator.barrier() }
        let recipe: Recipe
        switch origin {
        case .recipe(let given):
            guard !isLeader || !RunFolder.isRun(path) else {
                throw RunError("\(path): a run is there already; go on with it, or choose another folder")
            }
            isNew = isLeader && !fileExists(path)
            folder = try RunFolder(path, isLeader: isLeader)
            (recipe, isResumed, isChanged) = (given, false, false)
        case .resumed(let overrides):
            guard RunFolder.isRun(path) else { throw RunError("\(path): not the folder of a run") }
            folder = try RunFolder(path, isLeader: isLeader)
            (recipe, isResumed, isChanged) = (try folder.recipe(overrides: overrides), true, !overrides.isEmpty)
        }
        (self.communicator, self.layout) = (communicator, layout)
        device = Device(threads: threads ?? recipe.threads)
        do {
            preparation = try RunPreparation(
                recipe, folder: path,
                tokenizer: TrainingSession.tokenizer(of: recipe, folder, isStored: isResumed || !isLeader),
                chat: TrainingSession.chat(of: recipe), on: device, progress: tokenizing)
            if recipe.gguf != nil {
                // What the format has no words for is better told now than after the last step.
                _ = try GGUFVocabulary(
                    tokenizerJSON: preparation.tokenizerJSON, count: preparation.architecture.vocabulary)
            }
        } catch {
            // What could not begin leaves nothing behind.
            if isNew { for path in [path + "/cache", path] { Folder.remove(path) } }
            throw error
        }
    }

    /// The bytes that the fullest rank takes, by the planner's account; nil where that is not known.
    package var plannedBytes: Double? {
        get throws { preparation.plannedBytes(layout, try layout.mesh(ranks: communicator.size)) }
    }

    /// The folder with the best model so far, as transformers and every loader of this package read it.
    public var modelPath: String { folder.modelPath }
    /// The steps that the recipe asks for.
    public var steps: Int { preparation.settings.steps }
    /// The classes or tags that the data name, in the order of their numbers; none where labels have no names.
    public var labels: [String] { preparation.labelled?.names.names ?? [] }
    /// Remarks about the data that are no errors: what was left out, which share of a conversation is predicted.
    public var remarks: [String] { preparation.notes }

    /// The first training examples as a person reads them, what is predicted in ⟦ ⟧; each in one or several lines.
    ///
    /// - Throws: ``DataError``.
    public func examples(_ count: Int) throws -> [[String]] { try preparation.shown(count) }

    /// Trains until all steps are done, the validation data say nothing better, or `shouldStop` says so.
    ///
    /// - Parameters:
    ///   - shouldStop: Asked after each step.
    ///   - progress: Told of each step, evaluation and checkpoint.
    /// - Throws: ``RunError`` for numbers that are not finite or weights that cannot be read; what writing throws.
    public func train(
        until shouldStop: () -> Bool = { false }, progress: @escaping (TrainingProgress) -> Void = { _ in }
    ) throws -> TrainingResult {
        try start { progress(TrainingProgress($0)) }
        return TrainingResult(try run(shouldStop))
    }

    /// The evaluation of the weights as they are now on the validation data.
    ///
    /// - Throws: ``DataError`` where the recipe names none.
    public func evaluate() throws -> TrainingEvaluation {
        let batches = try preparation.validation()
        guard !batches.isEmpty else { throw DataError("the recipe names no validation data") }
        let (run, learner) = try start()
        return TrainingEvaluation(try learner.evaluate(batches), step: run.state.step, isBest: false)
    }

    /// Writes the weights as they are now as a model directory.
    ///
    /// - Throws: what cannot be written.
    public func export(to path: String) throws {
        let (_, learner) = try start()
        try RunExport(preparation, on: device).write(learner.exported, to: path)
    }

    // MARK: - The parts of a session

    /// Makes the learner, with its first weights or those of the newest checkpoint; once.
    @discardableResult
    package func start(
        events: ((RunEvent) -> Void)? = nil
    ) throws -> (run: TrainingRun, learner: ModelLearner) {
        if let events { self.events = events }
        if let started { return started }
        let isLeader = communicator.rank == 0
        if !isResumed, isLeader { try folder.write(preparation.recipe, tokenizer: preparation.tokenizerJSON) }
        isNew = false
        if isLeader { try communicator.barrier() }
        let learner = try ModelLearner(preparation, over: communicator, layout, on: device)
        let state = try restored(learner)
        let run = try TrainingRun(
            folder.path, preparation.settings, learner, preparation.stream(from: state?.cursor),
            validation: preparation.validation(), from: state, over: communicator,
            export: { [preparation, folder, device] run in
                try TrainingSession.exportBest(of: run, learner, RunExport(preparation, on: device), folder)
            },
            events: { [weak self] in self?.events($0) })
        if isResumed && isChanged && isLeader { try folder.write(preparation.recipe) }
        started = (run, learner)
        return (run, learner)
    }

    /// Trains, and writes the GGUF that a recipe asks for at the end.
    package func run(_ shouldStop: () -> Bool) throws -> RunSummary {
        let summary = try start().run.run(shouldStop: shouldStop)
        guard communicator.rank == 0, summary.end != .stopped, let type = preparation.recipe.gguf else {
            return summary
        }
        let file = try ModelFile(path: folder.modelPath)
        let caveats = try file.writeGGUF(
            ModelExport(file, on: device), to: folder.path + "/model.gguf", named: folder.path, type: type)
        for caveat in caveats { events(.warning(caveat)) }
        return summary
    }

    /// Lets go of a folder that this session has made and in which nothing has begun.
    package func discard() {
        guard isNew else { return }
        for path in [folder.path + "/cache", folder.path] { Folder.remove(path) }
    }

    private func restored(_ learner: ModelLearner) throws -> RunState? {
        guard isResumed, !folder.store.steps.isEmpty else { return nil }
        let (step, damages) = try folder.newestCheckpoint()
        for damage in damages { events(.warning("passed over: \(damage)")) }
        return try folder.store.restore(learner, to: step)
    }

    /// The folder shows the best model; where nothing is evaluated, the newest.
    private static func exportBest(
        of run: TrainingRun, _ learner: ModelLearner, _ export: RunExport, _ folder: RunFolder
    ) throws {
        // What other ranks hold is read back from the checkpoint, which is there whenever a model is exported.
        let step = run.state.best?.step ?? run.state.step
        guard step == run.state.step || !fileExists(folder.modelPath) else { return }
        let weights = try run.store.exported(step).map { ($0, $1) }
        try export.write(weights + learner.parameters.untouched, to: folder.modelPath)
    }

    /// The tokenizer of a run to be resumed, or that of a GGUF; nil where the recipe says which.
    private static func tokenizer(of recipe: Recipe, _ folder: RunFolder, isStored: Bool) throws -> JSON? {
        if isStored { return try folder.tokenizer() }
        guard case .directory(let path) = recipe.model, ModelFile.isGGUF(path), recipe.tokenizer == .ofModel else {
            return nil
        }
        return try ModelText.tokenizerJSON(of: path)
    }

    /// The conversation format of a recipe's model, where conversations are learnt from.
    private static func chat(of recipe: Recipe) throws -> ConversationFormat? {
        guard recipe.objective.labelled?.isConversational == true, case .directory(let path) = recipe.model else {
            return nil
        }
        let file = try ModelFile(path: path)
        let source = try ChatFormat.source(of: file, ModelText.tokenizer(of: file))
        return try source.template.map { ConversationFormat(try ChatTemplate($0), source.variables) }
    }
}
