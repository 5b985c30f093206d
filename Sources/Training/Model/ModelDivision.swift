import MartletDistributed
import MartletLayers
import MartletModels
import MartletTensors

/// The division of a model among the ranks of a run: into stages of layers, and by matrices, rows and experts.
struct ModelDivision {
    /// The cut into stages; nil where each rank has all layers.
    let cut: PipelineCut?
    /// The ranks that divide matrices with this one.
    let team: MatrixTeam?
    /// The ranks that divide the rows of passes with this one.
    let rowTeam: RowTeam?
    /// The ranks that divide experts with this one.
    let experts: ExpertTeam?
    /// This rank's stage.
    private let stage: Int
    /// The number of parts that experts are divided into.
    private let expertParts: Int

    /// - Throws: ``RunError`` for a model or an objective that is not trained so.
    init(
        _ architecture: Architecture, _ inventory: Inventory, _ settings: ModelLearner.Settings,
        _ ranks: ModelLearner.Ranks, on device: Device
    ) throws {
        cut = try ModelDivision.cut(architecture, inventory, settings, ranks)
        team = try ModelDivision.team(settings, ranks)
        rowTeam = try ModelDivision.rowTeam(architecture, inventory, settings, ranks)
        experts = try ModelDivision.experts(architecture, inventory, settings, ranks, on: device)
        (stage, expertParts) = (ranks.mesh.stage(of: ranks.communicator.rank), ranks.mesh.experts)
    }

    /// Returns whether passes of this rank read a parameter.
    func isHeld(_ entry: Inventory.Entry) -> Bool {
        (cut?.isHeld(entry, byStage: stage) ?? true) && (experts?.isHeld(entry) ?? true)
    }

    /// The bytes that ranks send for divided matrices; nil where none are.
    func matrixTraffic(
        _ parameters: TrainableParameters, _ architecture: Architecture, isRecomputed: Bool
    ) -> MatrixTraffic? {
        team.map {
            MatrixTraffic(
                parameters, architecture, $0, isRecomputed: isRecomputed, stage: cut.map { ($0, stage) },
                expertParts: expertParts)
        }
    }

    /// The bytes that ranks send for divided rows; nil where none are.
    func rowTraffic(
        _ parameters: TrainableParameters, _ architecture: Architecture, isRecomputed: Bool
    ) -> RowTraffic? {
        rowTeam.map { RowTraffic(parameters, architecture, $0, isRecomputed: isRecomputed) }
    }

    /// The cut of the model into stages over ranks; nil where each rank has all layers.
    ///
    /// - Throws: ``RunError`` for a model or an objective that is not trained so.
    private static func cut(
        _ architecture: Architecture, _ inventory: Inventory, _ settings: ModelLearner.Settings,
        _ ranks: ModelLearner.Ranks
    ) throws(RunError) -> PipelineCut? {
        guard ranks.mesh.stages > 1 else { return nil }
        guard settings.task == nil else {
            throw RunError(
                "pipeline= trains models that predict tokens; labelled texts are learnt from with data= and zero=")
        }
        return try PipelineCut(architecture, inventory.entries, settings.selection.adapters, ranks)
    }

    /// The ranks that divide matrices; nil where each has them whole.
    ///
    /// - Throws: ``RunError`` for what is not trained so.
    private static func team(_ settings: ModelLearner.Settings, _ ranks: ModelLearner.Ranks) throws(RunError)
        -> MatrixTeam?
    {
        guard ranks.mesh.parts > 1, ranks.layout.context == 1 else { return nil }
        guard settings.selection.adapters.targets.isEmpty else {
            throw RunError(
                "tensor= divides matrices that learn, but adapters alone do here; they are trained with data= and zero="
            )
        }
        guard ranks.cutsParameters else {
            throw RunError(
                "tensor= divides matrices, which this optimizer looks at as wholes; adamw, sgd and lion go with tensor="
            )
        }
        return MatrixTeam(Subgroup(ranks.mesh.team(of: ranks.communicator.rank), of: ranks.communicator))
    }

    /// The ranks that divide the rows of passes; nil where each has all.
    ///
    /// - Throws: ``RunError`` for what is not trained so.
    private static func rowTeam(
        _ architecture: Architecture, _ inventory: Inventory, _ settings: ModelLearner.Settings,
        _ ranks: ModelLearner.Ranks
    ) throws(RunError) -> RowTeam? {
        guard ranks.layout.context > 1 else { return nil }
        if let reason = architecture.undividedRows(among: ranks.layout.context) {
            throw RunError("context= cannot divide the rows of \(ranks.family): \(reason); data= and tensor= train it")
        }
        guard settings.expertBalance == 0 else {
            throw RunError(
                "expert_balance counts the rows of a whole pass, which context= divides: set it to 0, or use data=")
        }
        guard settings.task == nil, settings.selection.adapters.targets.isEmpty, ranks.cutsParameters else {
            throw RunError(
                "context= trains models that predict tokens, whole, by adamw, sgd or lion; labelled texts, adapters and other optimizers go with data= and zero="
            )
        }
        let team = Subgroup(ranks.mesh.team(of: ranks.communicator.rank), of: ranks.communicator)
        return RowTeam(team, inventory.entries.filter { !$0.fill.isConstant && settings.selection.isTrained($0) })
    }

    /// The ranks that divide experts, those that divide rows too; nil where each has all of them.
    ///
    /// - Throws: ``RunError`` for what is not trained so.
    private static func experts(
        _ architecture: Architecture, _ inventory: Inventory, _ settings: ModelLearner.Settings,
        _ ranks: ModelLearner.Ranks, on device: Device
    ) throws(RunError) -> ExpertTeam? {
        let dividesRows = ranks.layout.context > 1
        let (parts, flag) = dividesRows ? (ranks.layout.context, "context=") : (ranks.mesh.experts, "expert=")
        guard parts > 1 else { return nil }
        let trained = inventory.entries.filter { !$0.fill.isConstant && settings.selection.isTrained($0) }
        let counts = trained.compactMap { entry -> Int? in
            guard entry.expert != nil, case .routed(_, let count) = entry.use else { return nil }
            return count
        }
        guard let fewest = counts.min() else {
            if dividesRows { return nil }
            throw RunError("expert= divides experts that learn, and this model has none: leave out expert=")
        }
        guard fewest >= parts else {
            throw RunError(
                "\(flag)\(parts) divides more than the \(fewest) experts of a layer; name at most \(flag)\(fewest)")
        }
        guard !(settings.comparesWholeSteps && settings.task is any VectorLoss) else {
            throw RunError(
                "expert= needs another pass on each rank, but this objective compares all passes on every rank: leave out expert="
            )
        }
        if let name = architecture.sharedExperts {
            throw RunError("\(flag) cannot train \(name), whose experts several layers share: leave out \(flag)")
        }
        let (mesh, rank) = (ranks.mesh, ranks.communicator.rank)
        let team = Subgroup(dividesRows ? mesh.team(of: rank) : mesh.expertTeam(of: rank), of: ranks.communicator)
        return ExpertTeam(team, trained, joiningRows: dividesRows, on: device)
    }
}
