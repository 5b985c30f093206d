import MartletFormats
import MartletJSON
import MartletLayers
import MartletPlatform
import MartletTensors
import MartletTokenizers
import MartletTraining
import Synchronization
import Testing

@Suite struct TrainingRunTests {
    private let folder = FolderForTests()
    private static let text = (0..<300).map { "line \($0 * 7919 % 1000) of this text\n" }.joined()

    private func settings(_ steps: Int) -> RunSettings {
        var settings = RunSettings(
            steps: steps, schedule: Schedule(.cosine(final: 0.1), warmUp: 3, steps: 24), learningRate: 0.5)
        settings.accumulation = 2
        settings.checkpoints = .init(every: 5, keep: 2)
        settings.clip = 1
        return settings
    }

    private func stream(_ cursor: DataCursor?) throws -> DataStream {
        let path = folder.write(Self.text, to: "text")
        let builder = TokenCacheBuilder(
            try byteTokenizer(), key: Fingerprint(), folder: folder.path + "/cache", on: Device(threads: 1))
        let view = TokenView(try builder.caches(TextFiles([path], .text(.file))))
        return try DataStream(
            [.init(view, weight: 1)], CausalLanguageModelling(), .init(length: 32, rows: 256, seed: 4), vocabulary: 256,
            from: cursor)
    }

    /// A run in `name`, from its newest checkpoint where there is one.
    private func run(
        _ name: String, _ settings: RunSettings, learner: ToyLearner = ToyLearner(vocabulary: 256), validation: Int = 0,
        events: @escaping (RunEvent) -> Void = { _ in }
    ) throws -> TrainingRun {
        let path = folder.path + "/" + name
        let store = CheckpointStore(path + "/checkpoints")
        let state = try store.newest().step.map { try store.restore(learner, to: $0) }
        var held = try stream(nil)
        let batches = try (0..<validation).map { _ in try held.next() }
        return try TrainingRun(
            path, settings, learner, stream(state?.cursor), validation: batches, from: state, events: events)
    }

    private func bits(_ run: TrainingRun, _ step: Int) throws -> [[UInt8]] {
        ["weights.safetensors", "optimizer.safetensors"].map { file in
            (try? Storage(mapping: "\(run.store.path(step))/\(file)").contents) ?? []
        }
    }

    @Test func resumedEqualsUninterrupted() throws {
        let whole = try run("whole", settings(24))
        #expect(try whole.run().end == .done)
        let expected = try bits(whole, 24)
        #expect(expected.allSatisfy { !$0.isEmpty } && whole.state.cursor.places[0].epoch >= 1)
        for stop in [1, 7, 10, 23] {
            let first = try run("stopped\(stop)", settings(24))
            #expect(try first.run { first.state.step == stop }.end == .stopped)
            let second = try run("stopped\(stop)", settings(24))
            #expect(second.state.step == stop)
            #expect(try second.run().end == .done)
            #expect(try bits(second, 24) == expected)
            #expect(second.state.cursor == whole.state.cursor)
            func told(_ run: TrainingRun) -> [[Double]] {
                run.records.map { [Double($0.step), $0.loss, $0.learningRate, Double($0.tokens), $0.gradientNorm] }
            }
            #expect(told(second) == told(whole))
        }
    }

    @Test func damagedCheckpointsArePassedOver() throws {
        let whole = try run("whole", settings(24))
        _ = try whole.run()
        let first = try run("damaged", settings(24))
        _ = try first.run { first.state.step == 18 }
        #expect(first.store.steps == [15, 18])
        let path = first.store.path(18) + "/weights.safetensors"
        var bytes = try Storage(mapping: path).contents
        bytes[bytes.count - 5] ^= 1
        try bytes.write(to: path)
        #expect(first.store.newest().step == 15 && first.store.newest().damages.count == 1)
        let second = try run("damaged", settings(24))
        #expect(second.state.step == 15 && second.records.count == 15)
        _ = try second.run()
        #expect(try bits(second, 24) == bits(whole, 24))
        #expect(second.records.map(\.step) == Array(1...24))
    }

    @Test(arguments: ["weights.safetensors", "optimizer.safetensors", "state.json", "complete"])
    func anyMissingFileIsDamage(file: String) throws {
        let first = try run("missing", settings(10))
        _ = try first.run()
        Folder.remove(first.store.path(10) + "/" + file)
        #expect(first.store.newest().step == 5)
    }

    @Test func unfinishedOnesAreRemovedAndNeverRead() throws {
        let first = try run("unfinished", settings(10))
        _ = try first.run()
        try Folder.make(first.store.path(99) + ".partial")
        #expect(first.store.newest().step == 10)
        _ = try run("unfinished", settings(10))
        #expect(Folder.names(in: first.store.folder) == ["step-000000005", "step-000000010"])
    }

    @Test func newestAndBestAreKept() throws {
        var settings = settings(24)
        settings.evaluation = .init(every: 4, batches: 2, patience: 0)
        settings.learningRate = 1.5
        settings.schedule = Schedule(.constant, steps: 24)
        let run = try run("best", settings, validation: 2)
        _ = try run.run()
        let evaluated = run.records.compactMap { record in record.validationLoss.map { (record.step, $0) } }
        #expect(evaluated.map(\.0) == [4, 8, 12, 16, 20, 24])
        let best = try #require(evaluated.min { $0.1 < $1.1 })
        #expect(run.state.best?.step == best.0 && run.state.best?.loss == best.1)
        #expect(run.store.steps.contains(best.0) && run.store.steps.contains(24) && run.store.steps.count <= 3)
        #expect(fileExists(run.folder + "/curves.svg"))
    }

    @Test func theMeanOfTheLastCheckpoints() throws {
        var settings = settings(24)
        settings.checkpoints.keep = 4
        let run = try run("mean", settings)
        _ = try run.run()
        #expect(run.store.steps == [10, 15, 20, 24])
        let (weights, steps) = try run.store.averagedWeights(3)
        #expect(steps == [15, 20, 24] && weights.count == 1)
        let parts = try steps.map { try #require(run.store.weights($0)["table"]).values }
        let mean = parts[0].indices.map { index in
            Float((Double(parts[0][index]) + Double(parts[1][index]) + Double(parts[2][index])) / 3)
        }
        #expect(weights["table"]?.values == mean && mean != parts[2])
        Folder.remove(run.store.path(20) + "/complete")
        #expect(try run.store.averagedWeights(3).steps == [10, 15, 24])
        #expect(throws: RunError.self) { try run.store.averagedWeights(4) }
    }

    @Test func patienceEnds() throws {
        var settings = settings(24)
        settings.evaluation = .init(every: 1, batches: 1, patience: 3)
        settings.learningRate = 0
        let run = try run("patience", settings, validation: 1)
        #expect(try run.run().end == .early)
        // The first is the lowest, three more are no better.
        #expect(run.state.step == 4 && run.state.best?.step == 1)
        let again = try self.run("patience", settings, validation: 1)
        #expect(try again.run().end == .early && again.state.step == 4)
    }

    @Test func whatIsNotFiniteStopsOrIsSkipped() throws {
        let learner = ToyLearner(vocabulary: 256)
        learner.breaksAt = 6
        do {
            _ = try run("stops", settings(24), learner: learner).run()
            #expect(Bool(false), "it did not stop")
        } catch let error as RunError {
            #expect(error.description.contains("step 7: the gradient of table is not finite"))
            #expect(error.description.contains("the checkpoint of step 5 is whole"))
        }
        var settings = settings(24)
        settings.nonFinite = .skip
        let skipping = ToyLearner(vocabulary: 256)
        skipping.breaksAt = 6
        let warnings = Mutex(0)
        let run = try run("skips", settings, learner: skipping) { event in
            if case .warning = event { warnings.withLock { $0 += 1 } }
        }
        // Every step from here on is skipped, as no update moves it on.
        #expect(try run.run().end == .done)
        #expect(run.records.filter { $0.skipped != nil }.map(\.step) == Array(7...24))
        #expect(run.state.updates == 6 && warnings.withLock { $0 } == 18)
    }

    @Test func aFailingDiskIsSurvivedUntilTheEnd() throws {
        let warnings = Mutex<[String]>([])
        let run = try run("full", settings(7)) { event in
            if case .warning(let text) = event { warnings.withLock { $0.append(text) } }
            if case .step(let record) = event, record.step == 1 {
                // From now on there is a file where the folder should be.
                Folder.remove(self.folder.path + "/full/checkpoints/step-000000000")
                Folder.remove(self.folder.path + "/full/checkpoints")
                _ = self.folder.write("", to: "full/checkpoints")
            }
        }
        #expect(throws: (any Error).self) { try run.run() }
        #expect(run.state.step == 7)
        #expect(warnings.withLock { $0 }.count == 1)
    }

    @Test func theLogIsOneLineAStep() throws {
        let run = try run("log", settings(6))
        _ = try run.run()
        let lines = try Storage(mapping: run.folder + "/log.jsonl").contents.split(separator: 10)
        #expect(lines.count == 6)
        let last = try JSON(parsing: Array(lines[5]))
        #expect(last.objectValue?.keys == ["step", "loss", "learning_rate", "tokens", "seconds", "grad_norm"])
        #expect(last["step"]?.integerValue == 6 && last["tokens"]?.integerValue == run.state.tokens)
    }
}

extension [UInt8] {
    func write(to path: String) throws {
        guard let file = unsafe fopen(path, "w") else {
            throw FileError(path: path, operation: "open", reason: "no file")
        }
        unsafe withUnsafeBytes { _ = unsafe fwrite($0.baseAddress, 1, count, file) }
        unsafe fclose(file)
    }
}
