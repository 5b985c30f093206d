import Martlet
import Testing

/// Values of Swift types, asked of a model.
@Suite struct GenerableTests {
    struct Part: Generable, Equatable {
        let name: String
        let price: Double
        static let generationSchema: JSON = [
            "type": "object", "required": ["name", "price"], "additionalProperties": false,
            "properties": [
                "name": ["type": "string", "maxLength": 8], "price": ["type": "integer", "minimum": 1, "maximum": 99],
            ],
        ]
    }

    struct Order: Generable, Equatable {
        enum Kind: String, Decodable { case gift, purchase }
        let kind: Kind
        let parts: [Part]
        let note: String?
        static let generationSchema: JSON = [
            "type": "object", "required": ["kind", "parts"], "additionalProperties": false,
            "properties": [
                "kind": ["enum": ["gift", "purchase"]],
                "parts": ["type": "array", "items": Part.generationSchema, "minItems": 1, "maxItems": 2],
                "note": ["type": ["string", "null"], "maxLength": 4],
            ],
        ]
    }

    /// The shipped model knows nothing of orders: only the schema makes it write one.
    @Test func aValueIsWrittenWholeAndInParts() async throws {
        let model = try await LanguageModel.load(path: EmbeddedModel.path())
        let template = try ChatTemplate("{% for m in messages %}{{ m.content }} {% endfor %}")
        let options = GenerationOptions(maximumTokens: 200, sampling: Sampling(temperature: 1, seed: 3))
        let session = model.session(template: template)
        let order = try await session.respond(to: "An order:", generating: Order.self, options: options).content
        #expect((1...2).contains(order.parts.count) && order.parts.allSatisfy { (1...99).contains($0.price) })
        var last: GenerableStream<Order>.Snapshot?
        var lengths: [Int] = []
        for try await snapshot in model.session(template: template)
            .streamResponse(to: "An order:", generating: Order.self, options: options)
        {
            lengths.append(snapshot.partial.text(.compact).utf8.count)
            last = snapshot
        }
        #expect(last?.content == order && lengths == lengths.sorted() && lengths.count > 5)
        let error = await #expect(throws: GenerationError.self) {
            try await model.session(template: template).respond(
                to: "An order:", generating: Order.self, options: GenerationOptions(maximumTokens: 3))
        }
        #expect(error?.cause.contains("3 tokens") == true)
    }

    struct Odd: Generable {
        static let generationSchema: JSON = ["type": "object", "unevaluatedProperties": false]
    }

    @Test func aKeywordThatIsNotSupportedIsNamed() async throws {
        let model = try await LanguageModel.load(path: EmbeddedModel.path())
        let template = try ChatTemplate("{% for m in messages %}{{ m.content }} {% endfor %}")
        let error = await #expect(throws: GenerationError.self) {
            try await model.session(template: template).respond(to: "x", generating: Odd.self)
        }
        #expect(error?.cause.contains("unevaluatedProperties") == true)
    }
}
