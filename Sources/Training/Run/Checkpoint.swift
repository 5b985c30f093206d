package import MartletDistributed
import MartletFormats
import MartletJSON
import MartletPlatform
package import MartletTensors

/// The state of a run, everything that it needs to go on, bit for bit.
package struct RunState: Sendable, Equatable {
    /// The number of steps done.
    package var step = 0
    package var tokens = 0
    package var seconds = 0.0
    /// The number of updates done: steps less those that were skipped.
    package var updates = 0
    package var cursor: DataCursor
    /// The best evaluation: its loss, its step, and the number that decided, of which more is better.
    package var best: Best?
    /// The number of evaluations since then.
    package var evaluationsSinceBest = 0

    /// The best evaluation so far, and the step it was made at.
    package struct Best: Sendable, Equatable {
        package var loss: Double
        package var step: Int
        package var score: Double

        /// - Parameter score: nil: the loss decides.
        package init(loss: Double, step: Int, score: Double? = nil) {
            (self.loss, self.step, self.score) = (loss, step, score ?? -loss)
        }
    }

    package init(cursor: DataCursor) { self.cursor = cursor }
}

/// The checkpoints of a run: folders `step-N`, each with weights, optimizer, state and, written last, a marker that
/// lists them.
///
/// A folder is filled aside, every file flushed, the marker flushed after them, then renamed: at any instant a folder
/// with this name is whole or does not exist. Reading verifies all the same, as disks and people damage files, and
/// takes the newest that is whole.
package struct CheckpointStore: Sendable {
    package let folder: String
    private static let files = ["weights.safetensors", "optimizer.safetensors", "state.json"]
    private static let marker = "complete"
    private static let prefix = "step-"

    package init(_ folder: String) { self.folder = folder }

    /// The steps with a checkpoint, ascending, whole or not.
    package var steps: [Int] {
        Folder.names(in: folder).compactMap { name in
            name.hasPrefix(Self.prefix) ? Int(name.dropFirst(Self.prefix.count)) : nil
        }.sorted()
    }

    package func path(_ step: Int) -> String {
        let digits = String(step)
        return "\(folder)/\(Self.prefix)\(String(repeating: "0", count: max(0, 9 - digits.count)))\(digits)"
    }

    // MARK: - Writing

    /// Writes a checkpoint of the learner, every rank the pieces that it holds, into files whose bytes are the same on
    /// any number of ranks. On failure nothing of it stays.
    ///
    /// - Throws: ``FileError`` or ``FormatError``, as for a full disk; ``RunError`` where that is another rank's;
    ///   ``CommunicationError``.
    package func write(
        _ learner: some Learner, _ state: RunState, over communicator: any Communicator = Alone()
    ) throws {
        let isLeader = communicator.rank == 0
        let aside = path(state.step) + ".partial"
        let contents = [learner.weights, learner.optimizerState]
        do {
            let files = try zip(Self.files, contents).map { name, arrays in
                let plan = arrays.map { PlannedTensor(name: $0.name, type: .f32, shape: $0.shape) }
                return try SharedTensorFile(plan, at: "\(aside)/\(name)")
            }
            try communicator.agree {
                guard isLeader else { return }
                try Folder.make(folder)
                Folder.remove(aside)
                try Folder.make(aside)
                for file in files { try file.create() }
            }
            try communicator.agree {
                for (file, arrays) in zip(files, contents) { try file.write(Self.pieces(arrays, isLeader)) }
            }
            try communicator.agree { if isLeader { try finish(aside, state) } }
        } catch {
            if isLeader { Folder.remove(aside) }
            throw error
        }
    }

    /// The pieces that this rank writes.
    private static func pieces(
        _ arrays: [CheckpointArray], _ isLeader: Bool
    ) -> [(name: String, first: Int, elements: Tensor)] {
        arrays.filter { $0.isShared || isLeader }.flatMap { array in
            array.pieces.map { (array.name, $0.first, $0.tensor) }
        }
    }

    /// Adds the state and the marker to files that are whole, and puts the folder in its place.
    private func finish(_ aside: String, _ state: RunState) throws {
        try writeFile(Self.json(state).serialized(.pretty(indent: 2)), to: "\(aside)/\(Self.files[2])")
        try writeFile(Self.seal(aside).serialized(), to: "\(aside)/\(Self.marker)")
        Folder.remove(path(state.step))  // a damaged one, which resuming passed over
        try Folder.rename(aside, to: path(state.step))
        Folder.flush(folder)
    }

    /// The content of the marker: each file with its size and fingerprint.
    private static func seal(_ path: String) throws -> JSON {
        var seal = JSONObject()
        for file in files {
            var fingerprint = Fingerprint()
            try fingerprint.add(file: "\(path)/\(file)")
            let bytes = Folder.size(of: "\(path)/\(file)") ?? 0
            seal[file] = ["bytes": .integer(bytes), "fingerprint": .string(fingerprint.description)]
        }
        return .object(seal)
    }

    /// Removes all but the newest `keep` and the one of step `best`, and whatever a killed process left unfinished.
    package func prune(keep: Int, best: Int?) {
        for step in steps.dropLast(keep) where step != best { Folder.remove(path(step)) }
        removeUnfinished()
    }

    package func removeUnfinished() {
        for name in Folder.names(in: folder) where name.hasSuffix(".partial") { Folder.remove("\(folder)/\(name)") }
    }

    // MARK: - Reading

    /// Puts what the checkpoint of a step holds into the learner.
    ///
    /// - Returns: the state of the run after that step.
    /// - Throws: ``RunError``, ``FormatError`` or ``FileError`` for a checkpoint that is damaged or another model's.
    package func restore(_ learner: some Learner, to step: Int) throws -> RunState {
        let state = try state(step)
        try learner.restore(weights: weights(step), optimizerState: optimizerState(step), updates: state.updates)
        return state
    }

    /// The damage of a step's checkpoint; nil when it is whole.
    package func damage(_ step: Int) -> String? {
        let path = path(step)
        guard let seal = try? JSON(contentsOf: "\(path)/\(Self.marker)") else { return "\(path) has no marker" }
        do {
            return try Self.seal(path) == seal ? nil : "\(path): its files are not those that were written"
        } catch {
            return "\(error)"
        }
    }

    /// The newest step whose checkpoint is whole, and what was wrong with newer ones.
    package func newest() -> (step: Int?, damages: [String]) {
        var damages: [String] = []
        for step in steps.reversed() {
            guard let damage = damage(step) else { return (step, damages) }
            damages.append(damage)
        }
        return (nil, damages)
    }

    package func state(_ step: Int) throws -> RunState {
        let path = "\(path(step))/\(Self.files[2])"
        let json = try JSON(contentsOf: path)
        guard let state = Self.state(json) else { throw RunError("\(path): not the state of a run") }
        return state
    }

    /// The weights by name.
    package func weights(_ step: Int) throws -> [String: Tensor] { try tensors(weightsPath(step)) }
    func weightsPath(_ step: Int) -> String { "\(path(step))/\(Self.files[0])" }
    package func optimizerState(_ step: Int) throws -> [String: Tensor] {
        try tensors("\(path(step))/\(Self.files[1])")
    }

    /// The weights that others are to use: their average where the run keeps one.
    package func exported(_ step: Int) throws -> [String: Tensor] {
        let averages = try optimizerState(step)
        return try weights(step).reduce(into: [:]) { result, weight in
            result[weight.key] = averages["average." + weight.key] ?? weight.value
        }
    }

    private func tensors(_ path: String) throws -> [String: Tensor] {
        let file = try Safetensors(contentsOf: path)
        var tensors: [String: Tensor] = [:]
        for stored in file.tensors.all { tensors[stored.name] = try stored.tensor() }
        return tensors
    }

    // MARK: - The state as JSON

    private static func json(_ state: RunState) -> JSON {
        var object = JSONObject()
        object["version"] = 1
        object["step"] = .integer(state.step)
        object["tokens"] = .integer(state.tokens)
        object["seconds"] = .number(state.seconds)
        object["updates"] = .integer(state.updates)
        object["examples"] = .integer(state.cursor.examples)
        object["places"] = .array(
            state.cursor.places.map { ["epoch": .integer($0.epoch), "piece": .integer($0.piece)] })
        if let best = state.best {
            object["best"] = [
                "loss": .number(best.loss), "step": .integer(best.step), "score": .number(best.score),
            ]
        }
        object["evaluations_since_best"] = .integer(state.evaluationsSinceBest)
        return .object(object)
    }

    private static func state(_ json: JSON) -> RunState? {
        guard json["version"]?.integerValue == 1, let step = json["step"]?.integerValue,
            let tokens = json["tokens"]?.integerValue, let seconds = json["seconds"]?.doubleValue,
            let updates = json["updates"]?.integerValue, let examples = json["examples"]?.integerValue,
            let places = json["places"]?.arrayValue, let since = json["evaluations_since_best"]?.integerValue
        else { return nil }
        var cursor = DataCursor(sources: places.count)
        cursor.examples = examples
        for (index, place) in places.enumerated() {
            guard let epoch = place["epoch"]?.integerValue, let piece = place["piece"]?.integerValue else { return nil }
            (cursor.places[index].epoch, cursor.places[index].piece) = (epoch, piece)
        }
        var state = RunState(cursor: cursor)
        (state.step, state.tokens, state.seconds, state.updates) = (step, tokens, seconds, updates)
        state.evaluationsSinceBest = since
        if let loss = json["best"]?["loss"]?.doubleValue, let step = json["best"]?["step"]?.integerValue {
            state.best = .init(loss: loss, step: step, score: json["best"]?["score"]?.doubleValue)
        }
        return state
    }
}
