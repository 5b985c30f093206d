import MartletPlatform
import MartletTensors
import MartletTraining

/// Runs one mutation of one format. Errors are what it is for; traps, hangs and memory are not.
struct FuzzTarget {
    let name: String
    /// Its share of all mutations beside those of others.
    let weight: Int
    let run: (inout Mutator) throws -> Void
}

enum FuzzTargets {
    static func all(_ fixtures: String, scratch: String) throws -> [FuzzTarget] {
        let device = Device(threads: 1)
        let parsers = Parser.all(scratch: scratch).map { parser in
            let seeds = Seeds.of(parser.name, fixtures)
            return FuzzTarget(name: parser.name, weight: seeds.files.isEmpty ? 0 : seeds.weight) { mutator in
                try parser.read(seeds.mutated(&mutator))
            }
        }
        return try parsers + recipes() + requests(fixtures) + models(fixtures, scratch, device)
            + ggufs(fixtures, scratch, device)
    }

    /// The target of each number, in turn: targets by their weights, evenly spread.
    static func turns(_ targets: [FuzzTarget]) -> [FuzzTarget] {
        let turns = targets.flatMap { target in
            (0..<target.weight).map { ((Double($0) + 0.5) / Double(target.weight), target) }
        }
        return turns.sorted { ($0.0, $0.1.name) < ($1.0, $1.1.name) }.map(\.1)
    }

    private static func recipes() -> [FuzzTarget] {
        let source = Array(
            """
            model: {config: {model_type: gpt2, n_embd: 8, n_head: 2, n_layer: 1, n_positions: 16}}
            data: {sources: [{path: a.txt, weight: 1}], holdout: 0.1, temperature: 2, document_end: "</s>"}
            tokenizer: {kind: byte-bpe, vocabulary: 300, special_tokens: [a, b]}
            objective: {name: masked, share: 0.2}
            length: 8
            batch: {tokens: 64, accumulation: 2}
            optimizer: {name: adamw, learning_rate: 1e-3, betas: [0.9, 0.95]}
            schedule: {name: cosine, warmup: 3}
            epochs: 2
            evaluation: {every: 5}
            """.utf8)
        let signs = [
            ": ", "{", "}", "[", "]", ",", "\n", "-1", "1e308", ".nan", "&a ", "*a", "!!int ", "|", ">", "'", "\"",
            "9223372036854775807",
        ]
        return [
            FuzzTarget(name: "recipe", weight: 30) { mutator in
                let text = String(decoding: mutator.text(source, signs: signs), as: UTF8.self)
                let recipe = try Recipe(yaml: text, path: "recipe.yaml")
                _ = RunSettings(recipe, tokens: 1000)
            }
        ]
    }
}
