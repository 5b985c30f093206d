import Martlet
import MartletAPI
import MartletGeneration
import MartletModels
import MartletTensors
import TestSupport
import Testing

/// Names of one model that differ in their adapters: one set of weights, and each name's own texts.
@Suite struct SharedModelTests {
    private static let path = Fixtures.folder + "/gguf/llama-f16.gguf"

    private static func write(in directory: String) throws {
        let file = try ModelFile(path: path)
        let targets = try AdapterTargets(file.architecture, file.family)
        var configuration = AdapterConfiguration()
        (configuration.rank, configuration.targets) = (2, [targets.modules[0].path])
        let layout = try targets.layout(configuration)
        let target = layout.targets[0]
        func factor(_ rows: Int, _ columns: Int) -> Tensor {
            Tensor(Random(seed: UInt64(rows)).normals(rows * columns, deviation: 1), shape: [rows, columns])
        }
        let factors = [target.down: factor(2, target.inputs), target.up: factor(target.outputs, 2)]
        try AdapterFile.write(configuration, layout, factors: factors, saved: [], in: directory)
    }

    private static func tokens(_ model: ServedModel) async throws -> [Int32] {
        guard case .text(_, let engine) = model.work else { return [] }
        let request = TokenRequest(
            prompt: [1, 5, 9], maximumTokens: 10, sampling: Sampling(temperature: 1, topK: 20, seed: 5), stopTokens: [])
        let (events, sender) = AsyncStream<TokenEvent>.makeStream()
        let stop = engine.submit(request) { sender.yield($0) }
        defer { stop() }
        var tokens: [Int32] = []
        for await event in events {
            switch event {
            case .began, .guessed: break
            case .token(let token): tokens.append(token.token)
            case .finished: return tokens
            case .failed(let error): throw error
            }
        }
        return tokens
    }

    @Test func namesShareTheWeights() async throws {
        try await TemporaryFolder.use { folder in
            try Self.write(in: folder)
            let (base, adapted) = (try ModelFile(path: Self.path), try Self.adapted(folder))
            let shared = SharedModel(path: Self.path, sets: [(name: "tuned", adapters: [(folder, 1)])])
            let settings = ServedModel.Settings(threads: 1)
            let plain = try await ServedModel.load(name: "plain", base, settings, shared: shared)
            let tuned = try await ServedModel.load(name: "tuned", adapted, settings, shared: shared)
            guard case .text(let first, _) = plain.work, case .text(let second, _) = tuned.work else { return }
            #expect(first === second && plain.fingerprint != tuned.fingerprint)
            async let texts = (Self.tokens(plain), Self.tokens(tuned))
            let (one, other) = try await texts
            #expect(one == (try await Self.tokens(ServedModel.load(name: "plain", base, settings))))
            #expect(other == (try await Self.tokens(ServedModel.load(name: "tuned", adapted, settings))))
            #expect(one.count == 10 && one != other)
        }
    }

    private static func adapted(_ folder: String) throws -> ModelFile {
        var file = try ModelFile(path: path)
        try file.add(adapter: folder)
        return file
    }
}
