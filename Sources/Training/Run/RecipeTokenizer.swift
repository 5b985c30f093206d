import MartletJSON
import MartletTensors
import MartletTokenizers

/// The tokenizer of a recipe: read, or learnt from the training sources.
enum RecipeTokenizer {
    static func json(_ recipe: Recipe) throws -> JSON {
        switch recipe.tokenizer {
        case .file(let path): return try JSON(contentsOf: path)
        case .ofModel:
            guard case .directory(let path) = recipe.model else { throw RunError("the recipe names no tokenizer") }
            return try SlowTokenizer.jsonOrFile(in: path) ?? JSON(contentsOf: path + "/tokenizer.json")
        case .trained(.characters, _, let specials): return try characters(recipe, specials)
        case .trained(.trainer(let kind), let vocabulary, let specials):
            var trainer = TokenizerTrainer(kind, vocabularySize: vocabulary)
            trainer.specialTokens = specials
            trainer.threads = recipe.threads
            return try reading(recipe) { try trainer.train(texts: $0).tokenizer.json() }
        }
    }

    /// Each scalar of the text a token, in the order of scalars, behind the special ones: byte pair encoding without a
    /// pair.
    private static func characters(_ recipe: Recipe, _ specials: [String]) throws -> JSON {
        let scalars = try reading(recipe) { texts in
            texts.reduce(into: Set<Unicode.Scalar>()) { $0.formUnion($1.unicodeScalars) }
        }
        var vocabulary = JSONObject()
        for special in specials { vocabulary[special] = .integer(vocabulary.count) }
        for scalar in scalars.sorted() where vocabulary[String(scalar)] == nil {
            vocabulary[String(scalar)] = .integer(vocabulary.count)
        }
        let added = specials.enumerated().map { id, special -> JSON in
            [
                "id": .integer(id), "content": .string(special), "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true,
            ]
        }
        return [
            "version": "1.0", "truncation": nil, "padding": nil, "added_tokens": .array(added), "normalizer": nil,
            "pre_tokenizer": nil, "post_processor": nil, "decoder": ["type": "Fuse"],
            "model": [
                "type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil,
                "end_of_word_suffix": nil, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                "vocab": .object(vocabulary), "merges": [],
            ],
        ]
    }

    /// The result of `body` for the training sources' texts; a file that cannot be read is thrown before anything
    /// `body` says about too few texts.
    private static func reading<Result>(_ recipe: Recipe, _ body: (Texts) throws -> Result) throws -> Result {
        let texts = Texts(recipe)
        do {
            let result = try body(texts)
            if let failure = texts.failure { throw failure }
            return result
        } catch { throw texts.failure ?? error }
    }

    /// The texts of the training sources, part by part. What cannot be read ends the sequence.
    private final class Texts: Sequence, IteratorProtocol {
        private(set) var failure: (any Error)?
        private var files: [(path: String, format: TextFormat)]
        private var reader: DocumentReader?
        private var pending: [DocumentReader.Part] = []

        init(_ recipe: Recipe) {
            files = recipe.data.sources.flatMap { source in
                source.files.paths.map { ($0, source.files.format) }
                    + source.files.parallelPaths.map { ($0, TextFormat.text(.line)) }
            }.reversed()
        }

        func next() -> String? {
            do {
                while failure == nil {
                    if let part = pending.popLast() { return String(decoding: part.bytes, as: UTF8.self) }
                    if let parts = try reader?.next() {
                        pending = parts.reversed()
                    } else if let file = files.popLast() {
                        reader = try DocumentReader(file.path, file.format)
                    } else {
                        return nil
                    }
                }
            } catch { failure = error }
            return nil
        }
    }
}
