import Martlet
import MartletLayers
import MartletModels
import MartletPlatform
import MartletTensors
import MartletTokenizers

/// A run of one of this program's own verbs in a process of its own, to see how much memory it takes.
struct PlanTask {
    /// The verb, and what it is told.
    let verb: String
    private let arguments: [String]
    private let text: String
    /// The number of tokens that are read, and of those whose keys are kept at the end.
    let read: Int
    let kept: Int
    /// The number of rows of the largest pass.
    let rows: Int
    /// Different tokens among those that are read.
    let distinct: Int
    private static let written = 8

    /// Creates the task; nil for a model without a tokenizer, which no verb runs on a text.
    init?(_ file: ModelFile, tokens: Int) throws {
        guard let tokenizer = try? ModelText.tokenizer(of: file) else { return nil }
        let words = ["the", " quick", " brown", " fox", " jumps", " over", " a", " lazy", " dog", "."]
        var (text, count) = ("", 0)
        while count < tokens, text.utf8.count < 1 << 20 {
            let missing = max(1, (tokens - count) / 8)
            let longer = text + (0..<missing).map { words[$0 % words.count] }.joined()
            let found = try tokenizer.encode(longer).count
            guard found <= tokens || count == 0, found > count else { break }
            (text, count) = (longer, found)
        }
        (self.text, read, distinct) = (text, count, Set(try tokenizer.encode(text)).count)
        let written = PlanTask.written
        switch file.architecture.body {
        case .encoderDecoder where !file.architecture.writes: return nil
        case .decoder where file.architecture.writes:
            (verb, arguments) = ("generate", ["--max-tokens", "\(written)", "--prompt-file"])
            (kept, rows) = (count + written, min(count, 512))
        case .encoder, .decoder: (verb, arguments, kept, rows) = ("embed", [], 0, count)
        case .encoderDecoder:
            (verb, arguments) = ("translate", ["--max-tokens", "\(written)", "--beams", "1"])
            (kept, rows) = (written, count)
        }
        path = file.path
    }

    private let path: String

    /// Runs the verb and waits for its end.
    ///
    /// - Returns: the highest resident set of its process.
    /// - Throws: ``FileError`` when it cannot be started, or ends with a failure.
    func peakResidentBytes() throws -> Int {
        let input = "/tmp/martlet-plan-\(getpid()).txt"
        try PlanFile.write(text + "\n", to: input)
        defer { unsafe unlink(input) }
        let words = ["martlet", verb, "--model", path, "--no-packed-cache"] + arguments + [input]
        var pointers: [UnsafeMutablePointer<CChar>?] = unsafe words.map { unsafe strdup($0) } + [nil]
        defer { for index in words.indices { unsafe free(pointers[index]) } }
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        for descriptor in [Int32(1), 2] {
            unsafe posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_WRONLY, 0)
        }
        var process: pid_t = 0
        let failure = unsafe posix_spawn(&process, "/proc/self/exe", &actions, nil, &pointers, environ)
        guard failure == 0 else {
            throw FileError(
                path: "martlet \(verb)", operation: "start", reason: unsafe String(cString: strerror(failure)))
        }
        var (status, usage) = (Int32(0), rusage())
        while unsafe wait4(process, &status, 0, &usage) < 0 && errno == EINTR {}
        guard status == 0 else {
            throw FileError(
                path: "martlet \(verb)", operation: "finish", reason: "it ended with status \(status >> 8 & 255)")
        }
        return usage.ru_maxrss * 1024
    }
}
