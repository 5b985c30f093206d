import Foundation
import MartletJSON
import MartletTokenizers

/// Does on request what Python asks for, so that peers and references can be compared in one run: one command per line
/// on standard input, its words separated by tabs; one line of JSON as the answer. See README.md.
@main
struct Server {
    private var tokenizer: Tokenizer?

    static func main() {
        var server = Server()
        while let line = readLine() {
            var answer: JSONObject = JSONObject()
            do {
                answer = try server.answer(
                    line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init))
            } catch {
                answer["error"] = .string("\(error)")
            }
            print(JSON.object(answer).text(.compact))
            fflush(nil)
        }
    }

    private mutating func answer(_ words: [String]) throws -> JSONObject {
        switch (words[0], words.count) {
        case ("load", 3...): return try load(words[1], Array(words[2...]))
        case ("encode", 6): return try encode(words[1], words[2], special: words[3], parse: words[4], detail: words[5])
        case ("decode", 4): return try decode(words[1], words[2], skip: words[3])
        case ("time", 3): return try time(words[1], threads: Int(words[2]) ?? 1)
        case ("train", 7...): return try train(words)
        case ("template", 3): return try templates(words[1], words[2])
        case ("rewrite", 1):
            let text = try Complaint.unwrap(tokenizer, "nothing is loaded").json().text(.compact)
            tokenizer = try Tokenizer(json: Array(text.utf8))
            return JSONObject()
        default: throw Complaint("no such command: \(words)")
        }
    }

    private mutating func load(_ kind: String, _ words: [String]) throws -> JSONObject {
        tokenizer = nil
        let bytes = kind == "pre" ? [] : try Files.read(words[0])
        switch kind {
        case "pre": tokenizer = try Tokenizer(gguf: ByteNames.vocabulary(pre: words[0]))
        case "json": tokenizer = try Tokenizer(json: bytes)
        case "sentencepiece": tokenizer = try Tokenizer(sentencePiece: bytes)
        case "vocabulary": tokenizer = try Tokenizer(vocabularyText: bytes)
        case "merges": tokenizer = try Tokenizer(vocabulary: bytes, merges: Files.read(words[1]))
        case "tiktoken":
            let encoding = try Complaint.unwrap(TiktokenEncoding(rawValue: words[1]), "no encoding \(words[1])")
            tokenizer = try Tokenizer(tiktoken: bytes, encoding: encoding)
        default: throw Complaint("no kind \(kind)")
        }
        var answer = JSONObject()
        answer["vocabulary"] = .integer(tokenizer?.vocabularySize ?? 0)
        return answer
    }

    private func encode(
        _ input: String, _ output: String, special: String, parse: String, detail: String
    ) throws -> JSONObject {
        let tokenizer = try Complaint.unwrap(tokenizer, "nothing is loaded")
        var result: [Int32] = []
        var failures = 0
        for text in try Files.texts(input) {
            do {
                if detail == "ids" {
                    let ids = try tokenizer.encode(
                        bytes: text, addSpecialTokens: special == "1", parseSpecialTokens: parse == "1")
                    result.append(Int32(ids.count))
                    result += ids
                    continue
                }
                let encoding = try tokenizer.encoding(
                    of: String(decoding: text, as: UTF8.self), addSpecialTokens: special == "1",
                    parseSpecialTokens: parse == "1")
                result.append(Int32(encoding.count))
                result += encoding.ids
                result += encoding.offsets.flatMap { [Int32($0.start), Int32($0.end)] }
                result += encoding.isSpecial.map { $0 ? 1 : 0 }
                result += encoding.words.map { $0 ?? -1 }
            } catch {
                failures += 1
                result.append(-1)
            }
        }
        try Files.write(output, result.withUnsafeBytes { Data($0) })
        var answer = JSONObject()
        answer["failures"] = .integer(failures)
        return answer
    }

    private func decode(_ input: String, _ output: String, skip: String) throws -> JSONObject {
        let tokenizer = try Complaint.unwrap(tokenizer, "nothing is loaded")
        let bytes = try Files.read(input)
        let numbers = bytes.withUnsafeBytes { Array($0.bindMemory(to: Int32.self)) }
        var result = Data()
        var index = 0
        while index < numbers.count {
            let count = Int(numbers[index])
            let ids = Array(numbers[(index + 1)..<(index + 1 + count)])
            index += count + 1
            do {
                result.append(contentsOf: Array(try tokenizer.decode(ids, skipSpecialTokens: skip == "1").utf8))
            } catch {
                result.append(contentsOf: Array("\u{1}error".utf8))
            }
            result.append(0xFE)
        }
        try Files.write(output, result)
        return JSONObject()
    }

    private func time(_ input: String, threads: Int) throws -> JSONObject {
        let tokenizer = try Complaint.unwrap(tokenizer, "nothing is loaded")
        let texts = try Files.texts(input).map { String(decoding: $0, as: UTF8.self) }
        let start = Clock.now()
        let ids = try tokenizer.encode(batch: texts, addSpecialTokens: false, threads: threads)
        var answer = Clock.answer(since: start)
        answer["tokens"] = .integer(ids.reduce(0) { $0 + $1.count })
        return answer
    }

    /// `train KIND SIZE MEMORY THREADS OUTPUT FILE…`; the peak of memory is the process's own.
    private func train(_ words: [String]) throws -> JSONObject {
        let kind = try Complaint.unwrap(TokenizerTrainer.Kind(rawValue: words[1]), "no kind \(words[1])")
        var trainer = TokenizerTrainer(kind, vocabularySize: Int(words[2]) ?? 0)
        trainer.memoryLimit = Int(words[3]) ?? trainer.memoryLimit
        trainer.threads = Int(words[4])
        let start = Clock.now()
        let result = try trainer.train(files: Array(words[6...]))
        var answer = Clock.answer(since: start)
        try Files.write(words[5], Data(result.tokenizer.json().text(.compact).utf8))
        answer["different_words"] = .integer(result.differentWords)
        return answer
    }

    /// Templates, one JSON object with `template` and `variables` per line; their texts or errors, one JSON object per
    /// line.
    private func templates(_ input: String, _ output: String) throws -> JSONObject {
        var result = Data()
        for line in try Files.read(input).split(separator: 10) {
            let object = try JSON(parsing: Array(line))
            var answer = JSONObject()
            do {
                let template = try ChatTemplate(object["template"]?.stringValue ?? "")
                answer["text"] = .string(try template.render(object["variables"]?.objectValue ?? JSONObject()))
            } catch {
                answer["error"] = .string("\(error)")
            }
            result.append(contentsOf: JSON.object(answer).serialized())
            result.append(10)
        }
        try Files.write(output, result)
        return JSONObject()
    }
}

/// A GGUF vocabulary of the 256 bytes alone, to see what a pre-tokenizer of its names does.
enum ByteNames {
    static func vocabulary(pre: String) -> GGUFVocabulary {
        let shown = Set(33...126).union(161...172).union(174...255)
        var next: UInt32 = 256
        let names = (0..<256).map { byte -> [UInt8] in
            let value = shown.contains(byte) ? UInt32(byte) : next
            if !shown.contains(byte) { next += 1 }
            return Array(Unicode.Scalar(value).map { String($0) }?.utf8 ?? "".utf8)
        }
        return GGUFVocabulary(model: "gpt2", pre: pre, tokens: ByteStrings(names))
    }
}

struct Complaint: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }

    static func unwrap<Value>(_ value: Value?, _ complaint: String) throws -> Value {
        guard let value else { throw Complaint(complaint) }
        return value
    }
}

enum Files {
    static func read(_ path: String) throws -> [UInt8] {
        try Complaint.unwrap(FileManager.default.contents(atPath: path).map(Array.init), "cannot read \(path)")
    }

    static func write(_ path: String, _ data: Data) throws { try data.write(to: URL(fileURLWithPath: path)) }

    /// Texts that end with a byte 0xFE each, which is in no UTF-8.
    static func texts(_ path: String) throws -> [[UInt8]] {
        try read(path).split(separator: 0xFE, omittingEmptySubsequences: false).dropLast().map(Array.init)
    }
}

/// Time and memory of this process.
enum Clock {
    static func now() -> (wall: ContinuousClock.Instant, processor: Double) { (.now, processor()) }

    static func answer(since start: (wall: ContinuousClock.Instant, processor: Double)) -> JSONObject {
        let (seconds, fraction) = start.wall.duration(to: .now).components
        var answer = JSONObject()
        answer["seconds"] = .number(Double(seconds) + Double(fraction) * 1e-18)
        answer["processor_seconds"] = .number(processor() - start.processor)
        answer["peak_kilobytes"] = .integer(usage().ru_maxrss)
        return answer
    }

    private static func usage() -> rusage {
        var usage = rusage()
        getrusage(0, &usage)  // RUSAGE_SELF
        return usage
    }

    private static func processor() -> Double {
        let usage = usage()
        let times = [usage.ru_utime, usage.ru_stime]
        return times.reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) * 1e-6 }
    }
}
