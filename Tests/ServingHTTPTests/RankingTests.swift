#if Server
    import Martlet
    import MartletAPI
    import MartletFormats
    import MartletJSON
    import MartletPlatform
    import TestSupport
    import Testing

    /// GGUFs that rank by a template, as llama.cpp's converter writes them, behind the routes.
    @Suite struct RankingTests {
        private static let words = ["judge", "by", "where", "is", "the", "bank", "ada", "river"]
        private static let query = "where is the bank"

        /// Writes the fixture with a vocabulary of words: WordPiece, whose words begin with U+2581 in GGUF.
        private static func write(to path: String) throws {
            let fixture = try GGUF(contentsOf: Fixtures.folder + "/gguf/qwen3-reranker-f32.gguf")
            var metadata = fixture.metadata
            let tokens = (0..<64).map { id in
                id == 0 ? "[UNK]" : "▁" + (id <= words.count ? words[id - 1] : "x\(id)")
            }
            metadata["tokenizer.ggml.model"] = .string("bert")
            metadata["tokenizer.ggml.tokens"] = .array(GGUFArray(tokens))
            metadata["tokenizer.ggml.token_type"] = .array(GGUFArray((0..<64).map { Int32($0 == 0 ? 2 : 1) }))
            metadata["tokenizer.ggml.unknown_token_id"] = .uint32(0)
            let tensors = try fixture.tensors.all.map { (name: $0.name, tensor: try $0.tensor()) }
            try GGUF.write(tensors, metadata: metadata, to: path)
        }

        @Test func aModelWithATemplateIsServedWithTheLibrarysScores() async throws {
            try await TemporaryFolder.use { folder in
                let path = folder + "/reranker.gguf"
                try Self.write(to: path)
                let settings = ServedModel.Settings(threads: 1)
                let service = try await TestService(ServedModel.load(name: "reranker", path: path, settings))
                let documents = ["ada by the river", "the bank"]
                let wanted = try await Reranker.load(path: path).scores(documents.map { (Self.query, $0) })
                #expect(wanted[0] != wanted[1])
                let answer = try await service.ask(
                    "/v1/score", ["text_1": .string(Self.query), "text_2": .array(documents.map { .string($0) })])
                #expect(answer.status == 200, "\(answer.message)")
                let found = (answer.json["data"]?.arrayValue ?? []).compactMap { $0["score"]?.doubleValue }
                #expect(found.count == 2)
                #expect(zip(found, wanted).allSatisfy { abs($0 - Double($1)) < 1e-6 }, "\(found) \(wanted)")
                let ranked = try await service.ask(
                    "/v1/rerank", ["query": .string(Self.query), "documents": .array(documents.map { .string($0) })])
                #expect(ranked.json["id"]?.stringValue?.hasPrefix("rerank-") == true)
                let read = try #require(ranked.json["usage"]?["total_tokens"]?.integerValue)
                #expect(read > 0 && answer.json["usage"]?["prompt_tokens"] == .integer(read))
                let models = try await service.ask("/v1/models", method: "GET").json["data"]
                #expect(models?[0]?["max_model_len"] == models?[0]?["meta"]?["n_ctx_train"])
            }
        }

        @Test func aLongDocumentIsCutWhereThatIsAllowed() async throws {
            try await TemporaryFolder.use { folder in
                let path = folder + "/reranker.gguf"
                try Self.write(to: path)
                let settings = ServedModel.Settings(threads: 1)
                let service = try await TestService(ServedModel.load(name: "reranker", path: path, settings))
                let long = [String](repeating: "river", count: 100).joined(separator: " ")
                var body: JSON = ["query": .string(Self.query), "documents": [.string(long)]]
                let refused = try await service.ask("/v1/rerank", body)
                #expect(refused.status == 400 && refused.code == "context_length_exceeded", "\(refused.message)")
                body = ["query": .string(Self.query), "documents": [.string(long)], "truncate": true]
                let answer = try await service.ask("/v1/rerank", body)
                #expect(answer.status == 200, "\(answer.message)")
                #expect(answer.json["results"]?.arrayValue?.count == 1)
            }
        }
    }
#endif
