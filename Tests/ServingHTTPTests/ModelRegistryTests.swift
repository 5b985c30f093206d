#if Server
    import MartletAPI
    import MartletGeneration
    import MartletJSON
    import MartletPlatform
    import Synchronization
    import Testing

    /// Models that come and go in one server.
    @Suite(.serialized) struct ModelRegistryTests {
        private let key = ["Authorization: Bearer key"]

        /// Makes `model`, which all suites share by default, loadable as `second`; `loads` counts how often it was.
        private func know(
            _ service: ModelService, loads: Counter, isAwaited: Bool = false,
            model: Task<ServedModel, any Error> = FixtureModel.model
        ) {
            service.register("second", isAwaited: isAwaited) {
                loads.add()
                return try await model.value
            }
        }

        private func status(of name: String, _ server: TestServer) async throws -> String? {
            let list = try await server.ask("GET", "/v1/models", headers: key)
            let entry = list.json["data"]?.arrayValue?.first { $0["id"]?.stringValue == name }
            return entry?["status"]?["value"]?.stringValue
        }

        private func complete(_ server: TestServer) async throws -> Answer {
            try await server.ask(
                "POST", "/v1/completions", ["model": "second", "prompt": "The", "max_tokens": 2], headers: key)
        }

        @Test func aModelIsLoadedWhenAskedForAndLetGoByThoseWithAKey() async throws {
            try await withServer({ $0.keys = KeyRing(["key"]) }) { server async throws in
                let loads = Counter()
                know(server.service, loads: loads)
                #expect(try await status(of: "second", server) == "unloaded" && loads.value == 0)
                #expect(try await complete(server).status == 200)
                #expect(try await complete(server).status == 200)
                #expect(try await status(of: "second", server) == "loaded" && loads.value == 1)
                let named: JSON = ["model": "second"]
                #expect(try await server.ask("POST", "/v1/models/unload", named).status == 401)
                #expect(try await server.ask("POST", "/v1/models/unload", named, headers: key).status == 200)
                #expect(try await status(of: "second", server) == "unloaded")
                #expect(try await server.ask("POST", "/models/load", named, headers: key).status == 200)
                #expect(try await status(of: "second", server) == "loaded" && loads.value == 2)
                #expect(await server.isIdle())
                #expect(server.service.registry.evict(idleFor: 3_600) == [])
                // Other suites ask the same engine.
                try await server.until { server.service.registry.evict(idleFor: 0) == ["second"] }
                #expect(try await complete(server).status == 200 && loads.value == 3)
                // What was given loaded cannot come again, so it stays.
                let fixture: JSON = ["model": "fixture"]
                #expect(try await server.ask("POST", "/v1/models/unload", fixture, headers: key).status == 400)
                let unknown: JSON = ["model": "../second"]
                #expect(try await server.ask("POST", "/v1/models/load", unknown, headers: key).status == 404)
            }
        }

        @Test func withoutKeysNobodyLoadsOrUnloads() async throws {
            try await withServer { server async throws in
                know(server.service, loads: Counter())
                for path in ["/v1/models/load", "/v1/models/unload"] {
                    let answer = try await server.ask("POST", path, ["model": "second"])
                    #expect(answer.status == 403 && answer.error?["code"] == "key_needed")
                }
            }
        }

        @Test func noMoreModelsAreLoadedThanMayBe() async throws {
            try await withServer({
                $0.limits.loadedModels = 2
                $0.keys = KeyRing(["key"])
            }) { server async throws in
                // The engine of the shared model answers other suites, for longer than a request waits for room.
                let own = Task { try await FixtureModel.load() }
                know(server.service, loads: Counter(), model: own)
                server.service.register("third") { try await FixtureModel.model.value }
                #expect(try await complete(server).status == 200)
                // An answer reaches its client before the engine counts it as ended.
                let answering = try await own.value
                try await server.until { answering.load.isIdle }
                let third = try await server.ask(
                    "POST", "/v1/completions", ["model": "third", "prompt": "The", "max_tokens": 2], headers: key)
                #expect(third.status == 200)
                #expect(try await status(of: "second", server) == "unloaded")
            }
            try await withServer({ $0.limits.loadedModels = 1 }) { server async throws in
                know(server.service, loads: Counter())
                let refused = try await complete(server)
                #expect(refused.status == 503 && refused.headers["retry-after"] != nil)
            }
        }

        @Test func aModelThatCannotBeLoadedIsAnErrorAndCanBeTriedAgain() async throws {
            try await withServer { server async throws in
                let tries = Counter()
                server.service.register("second") {
                    tries.add()
                    if tries.value == 1 { throw FileError(path: "weights", operation: "open", code: ENOENT) }
                    return try await FixtureModel.model.value
                }
                let failed = try await complete(server)
                #expect(failed.status == 500 && failed.error?["code"] == "load_failed")
                #expect(failed.error?["message"]?.stringValue?.contains("weights") == false)
                #expect(try await complete(server).status == 200)
            }
        }

        @Test func theServiceIsNotReadyBeforeWhatItWaitsFor() async throws {
            try await withServer { server async throws in
                know(server.service, loads: Counter(), isAwaited: true)
                #expect(try await server.ask("GET", "/health").status == 503)
                #expect(try await complete(server).error?["code"] == "loading")
                _ = try await server.service.registry.load("second")
                #expect(try await server.ask("GET", "/health").status == 200)
                #expect(try await complete(server).status == 200)
            }
        }
    }

    /// A number that counts up, from any task.
    final class Counter: Sendable {
        private let count = Mutex(0)
        func add() { count.withLock { $0 += 1 } }
        var value: Int { count.withLock { $0 } }
    }
#endif
