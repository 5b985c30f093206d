import MartletHub
import MartletPlatform
import Synchronization
import TestSupport
import Testing

/// The presence of curl, which fetches models.
private let hasCurl = ["/usr/bin/curl", "/bin/curl", "/usr/local/bin/curl"].contains { fileExists($0) }

/// Downloads from a hub that drops, lies, redirects and throttles: the bytes that it lists, or an error, and nothing
/// that is not whole has a name that anyone reads.
@Suite(.enabled(if: hasCurl)) struct HubPullTests {
    private static func settings(_ hub: LoopbackHub, _ cache: String) -> HubSettings {
        var settings = HubSettings(endpoint: hub.address, token: nil, cache: cache)
        settings.delay = .milliseconds(2)
        return settings
    }

    static let small = PublishedModel(
        files: [
            "config.json": Array("{}".utf8), "tokenizer.json": PublishedModel.bytes(3_000, seed: 1),
            "model.safetensors": PublishedModel.bytes(200_000, seed: 2), "pytorch_model.bin": [1, 2, 3],
            "README.md": [4], "onnx/model.onnx": [5], "onnx/config.json": [6],
            "1_Pooling/config.json": Array("[]".utf8),
            "empty.txt": [],
        ], large: ["model.safetensors"])

    private typealias Look = (_ cache: String, _ result: Result<String, HubError>, _ hub: LoopbackHub) throws -> Void

    /// Pulls a model from a hub that answers by `handler`, and looks at what came.
    ///
    /// - Parameter prepare: what is done in the cache before.
    private static func pull(
        _ name: String = "org/name", from handler: @escaping LoopbackHub.Handler,
        after prepare: ((String) throws -> Void)?,
        look: Look
    ) throws {
        try TemporaryFolder.use { cache in
            let hub = LoopbackHub(handler)
            defer { hub.stop() }
            try prepare?(cache)
            let result = Result { () throws(HubError) in try HubPull(settings(hub, cache)).pull(HubName(name)) }
            try look(cache, result, hub)
        }
    }

    private static func pull(
        _ name: String = "org/name", from handler: @escaping LoopbackHub.Handler, look: Look
    ) throws {
        try pull(name, from: handler, after: nil, look: look)
    }

    private static let folder = "models--org--name"

    /// True where anything of the model can be seen: a revision, a blob of the large file, a link to it.
    private static func isVisible(_ cache: String) -> Bool {
        let path = "\(cache)/\(folder)"
        return fileExists("\(path)/refs/main") || fileExists("\(path)/blobs/\(small.digest(of: "model.safetensors"))")
            || fileExists("\(path)/snapshots/\(PublishedModel.commit)/model.safetensors")
    }

    private static func isWhole(_ result: Result<String, HubError>, _ model: PublishedModel = small) throws {
        let path = try result.get()
        #expect(try fileBytes(path + "/model.safetensors") == model.files["model.safetensors"])
    }

    // MARK: What is fetched

    @Test func whatIsNeededIsFetchedAsHuggingFaceKeepsIt() throws {
        try Self.pull(from: { Self.small.answer($0) }) { cache, result, hub in
            let snapshot = "\(cache)/\(Self.folder)/snapshots/\(PublishedModel.commit)"
            #expect(try result.get() == snapshot)
            let wanted = ["config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json", "empty.txt"]
            for path in wanted { #expect(try fileBytes("\(snapshot)/\(path)") == Self.small.files[path], "\(path)") }
            #expect(hub.requests.count == wanted.count)  // the listing, and all but the empty one
            #expect(Folder.names(in: snapshot) == ["1_Pooling"] + (wanted.filter { !$0.contains("/") }).sorted())
            var target = [CChar](repeating: 0, count: 512)
            #expect(unsafe readlink("\(snapshot)/1_Pooling/config.json", &target, 511) > 0)
            let digest = Self.small.digest(of: "1_Pooling/config.json")
            #expect(
                String(decoding: target.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                    == "../../../blobs/\(digest)")
            #expect(try fileBytes("\(cache)/\(Self.folder)/refs/main") == Array(PublishedModel.commit.utf8))
            #expect(!Folder.names(in: "\(cache)/\(Self.folder)/blobs").contains { $0.hasSuffix(".incomplete") })
            // A second time nothing is fetched but the listing.
            _ = try HubPull(Self.settings(hub, cache)).pull(HubName("org/name"))
            #expect(hub.requests.count == wanted.count + 1)
            let entry = try #require(HubListing.entries(in: cache).first)
            #expect(entry.name == "org/name" && !entry.isPartial && entry.revisions.map(\.name) == ["main"])
            #expect(entry.bytes == wanted.reduce(0) { $0 + (Self.small.files[$1]?.count ?? 0) })
            #expect(try HubListing.remove(HubName("org/name"), from: cache) == entry.bytes)
            #expect(HubListing.entries(in: cache).isEmpty && !fileExists("\(cache)/\(Self.folder)"))
        }
    }

    @Test(arguments: [
        ("", ["m-Q4_K_M.gguf"]), (":q8_0", ["m-Q8_0-00001-of-00002.gguf", "m-Q8_0-00002-of-00002.gguf"]),
        (":m-Q4_K_S.gguf", ["m-Q4_K_S.gguf"]), (":Q4_K_S", ["m-Q4_K_S.gguf"]), (":Q2_K", []), (":K", []),
    ]) func oneQuantizationOfAGGUF(selection: String, wanted: [String]) throws {
        let names = [
            "m-Q4_K_M.gguf", "m-Q4_K_S.gguf", "m-Q8_0-00001-of-00002.gguf", "m-Q8_0-00002-of-00002.gguf",
            "mmproj-F16.gguf",
            "config.json",
        ]
        let model = PublishedModel(
            files: Dictionary(uniqueKeysWithValues: names.map { ($0, Array($0.utf8)) }), large: Set(names))
        try Self.pull("org/name" + selection, from: { model.answer($0) }) { cache, result, _ in
            let snapshot = "\(cache)/\(Self.folder)/snapshots/\(PublishedModel.commit)"
            guard let first = wanted.first else {
                #expect(throws: HubError.self) { try result.get() }
                return
            }
            let found = try result.get()
            #expect(found == "\(snapshot)/\(first)")
            #expect(Folder.names(in: snapshot) == wanted)
            let name = try HubName("org/name" + selection)
            #expect(HubListing.location(of: name, in: cache) == "\(snapshot)/\(first)")
        }
    }

    // MARK: A network that is not kind

    @Test func aHundredDropsAtAnyOffset() throws {
        let drops = Mutex((count: 0, state: UInt64(7)))
        try Self.pull(from: { request in
            var answer = Self.small.answer(request)
            guard request.path.hasSuffix("model.safetensors") else { return answer }
            drops.withLock { drops in
                drops.state = drops.state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                guard drops.count < 100 else { return }
                drops.count += 1
                answer.drop = Int(drops.state >> 33) % 3_000
            }
            return answer
        }) { _, result, _ in
            try Self.isWhole(result)
            #expect(drops.withLock { $0.count } == 100)
        }
    }

    @Test func errorsOfTheServerPassOrAreTold() throws {
        for (failures, status) in [(3, 503), (2, 429), (100, 500), (1, 404)] {
            let left = Mutex(failures)
            try Self.pull(from: { request in
                let fails = left.withLock { left in
                    guard request.path.hasSuffix("model.safetensors"), left > 0 else { return false }
                    left -= 1
                    return true
                }
                return fails ? .init(status: status) : Self.small.answer(request)
            }) { cache, result, _ in
                guard failures == 100 || status == 404 else { return try Self.isWhole(result) }
                let error = #expect(throws: HubError.self) { try result.get() }
                #expect(error?.cause.contains("\(status)") == true)
                #expect(!Self.isVisible(cache))
            }
        }
    }

    /// Bytes of an earlier attempt that are too many, of another file, or that the server gives no continuation of.
    @Test func whatAnEarlierAttemptLeft() throws {
        let digest = Self.small.digest(of: "model.safetensors")
        for (left, givesParts) in [(300_000, true), (200_000, true), (70_000, true), (70_000, false)] {
            try Self.pull(
                from: { request in
                    var answer = Self.small.answer(request)
                    if request.offset > 0, !givesParts {
                        answer = .init(body: Self.small.files["model.safetensors"] ?? [])
                    }
                    return answer
                },
                after: { cache in
                    try Folder.make("\(cache)/\(Self.folder)/blobs")
                    let path = "\(cache)/\(Self.folder)/blobs/\(digest).incomplete"
                    let file = unsafe open(path, O_WRONLY | O_CREAT, 0o666)
                    let bytes = PublishedModel.bytes(left, seed: 9)
                    #expect(unsafe write(file, bytes, bytes.count) == left)
                    close(file)
                }
            ) { _, result, _ in
                try Self.isWhole(result)
            }
        }
    }

    @Test func rangesThatAreRefused() throws {
        let isFirst = Mutex(true)
        try Self.pull(from: { request in
            var answer = Self.small.answer(request)
            guard request.path.hasSuffix("model.safetensors") else { return answer }
            if request.offset > 0 { return .init(status: 416) }
            if isFirst.withLock({ first in
                defer { first = false }; return first
            }) {
                answer.drop = 5_000
            }
            return answer
        }) { _, result, _ in try Self.isWhole(result) }
    }

    /// The file changes between two attempts: what is put together of both is thrown away.
    @Test func aFileThatChangesMeanwhile() throws {
        let isFirst = Mutex(true)
        try Self.pull(from: { request in
            guard request.path.hasSuffix("model.safetensors"),
                isFirst.withLock({ first in
                    defer { first = false }; return first
                })
            else { return Self.small.answer(request) }
            return .init(
                headers: ["ETag": "\"old\""], body: PublishedModel.bytes(200_000, seed: 77), drop: 90_000)
        }) { _, result, _ in try Self.isWhole(result) }
    }

    @Test func wrongBytesOfTheRightSize() throws {
        try Self.pull(from: { request in
            request.path.hasSuffix("model.safetensors")
                ? .init(body: PublishedModel.bytes(200_000, seed: 5)) : Self.small.answer(request)
        }) { cache, result, _ in
            let error = #expect(throws: HubError.self) { try result.get() }
            #expect(error?.cause.contains("digest") == true)
            #expect(!Self.isVisible(cache))
            #expect(!Folder.names(in: "\(cache)/\(Self.folder)/blobs").contains { $0.hasSuffix(".incomplete") })
        }
    }

    @Test func redirectsInACircle() throws {
        try Self.pull(from: { request in
            request.path.hasSuffix("model.safetensors")
                ? .init(status: 302, headers: ["Location": request.path]) : Self.small.answer(request)
        }) { cache, result, hub in
            #expect(throws: HubError.self) { try result.get() }
            #expect(!Self.isVisible(cache) && hub.requests.count < 20)
        }
    }

    /// Large files lie elsewhere: a token for the hub is not for that place.
    @Test func tokensStayWithTheHub() throws {
        try TemporaryFolder.use { cache in
            let store = LoopbackHub { Self.small.answer($0) }
            defer { store.stop() }
            let place = "http://localhost:\(store.port)"
            let hub = LoopbackHub { request in
                request.headers["authorization"] != "Bearer secret"
                    ? .init(status: 401)
                    : request.path.contains("/resolve/")
                        ? .init(status: 302, headers: ["Location": place + request.path]) : Self.small.answer(request)
            }
            defer { hub.stop() }
            var settings = Self.settings(hub, cache)
            let error = #expect(throws: HubError.self) { try HubPull(settings).pull(HubName("org/name")) }
            #expect(error?.remedy?.contains("HF_TOKEN") == true)
            settings.token = "secret"
            try Self.isWhole(.success(try HubPull(settings).pull(HubName("org/name"))))
            #expect(!store.requests.isEmpty)
            #expect(store.requests.allSatisfy { $0.headers["authorization"] == nil })
        }
    }

    @Test func twoAtOnceFetchOnce() async throws {
        let cache = "/tmp/martlet-hub-\(getpid())"
        defer { _ = try? HubListing.remove(HubName("org/name"), from: cache) }
        let hub = LoopbackHub { request in
            var answer = Self.small.answer(request)
            if request.path.hasSuffix("model.safetensors") { answer.pause = 150 }
            return answer
        }
        defer { hub.stop() }
        let paths = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<2 {
                group.addTask { try HubPull(Self.settings(hub, cache)).pull(HubName("org/name")) }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        for path in paths { try Self.isWhole(.success(path)) }
        #expect(hub.requests.filter { $0.path.hasSuffix("model.safetensors") }.count == 1)
    }

    @Test func offlineMakesNoConnection() throws {
        try Self.pull(from: { Self.small.answer($0) }) { cache, result, hub in
            let path = try result.get()
            let before = hub.requests.count
            var settings = Self.settings(hub, cache)
            settings.isOffline = true
            #expect(try HubPull(settings).pull(HubName("org/name")) == path)
            #expect(throws: HubError.self) { try HubPull(settings).pull(HubName("org/other")) }
            #expect(hub.requests.count == before)
        }
    }

    // MARK: What is not believed

    @Test(arguments: ["../evil", "a/../../b", "/etc/passwd", "a//b", "a\\b", "x\u{1}y"])
    func pathsThatLeaveTheFolder(path: String) throws {
        let model = PublishedModel(files: [path: [1], "model.safetensors": [2]])
        try Self.pull(from: { model.answer($0) }) { cache, result, _ in
            #expect(throws: HubError.self) { try result.get() }
            #expect(!Self.isVisible(cache))
        }
    }

    @Test(arguments: ["name", "a/b/c", "../x", "a/..", "a/b:", "-a/b", "a/.b", "a--b/c", "a b/c", "a/b\n"])
    func namesThatAreNone(name: String) {
        #expect(throws: HubError.self) { try HubName(name) }
    }
}
