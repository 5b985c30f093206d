import ArgumentParser
import Martlet
import MartletJSON
import MartletModels
import MartletPlatform

/// The command. One file per verb; results go to standard output, everything else to standard error.
///
/// Exit codes: 0 done, 1 failed (one line: cause and remedy), 2 wrong usage, 130 interrupted.
@main
struct MartletCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "martlet",
        abstract: "Plan, tokenize, run and look inside transformers.",
        discussion: "Example: martlet generate -m path/to/model \"Once upon a time\"",
        version: Version.text,
        subcommands: [
            PullCommand.self, ListCommand.self, RemoveCommand.self,
            GenerateCommand.self, ChatCommand.self, ServeCommand.self, ExplainCommand.self, VerifyCommand.self,
            ForwardCommand.self, TokenizeCommand.self, DetokenizeCommand.self,
            TokenizerCommand.self,
            InspectCommand.self, ConvertCommand.self, QuantizeCommand.self, PlanCommand.self, EmbedCommand.self,
            ClassifyCommand.self, RerankCommand.self,
            TagCommand.self, AnswerCommand.self, FillCommand.self, TranslateCommand.self, SummarizeCommand.self,
            TrainCommand.self, EvaluateCommand.self, CompareCommand.self, PruneCommand.self, BenchCommand.self,
            DoctorCommand.self,
        ])

    static func main() async {
        // A reader that goes away, or a file that may grow no further, is no reason to die: the failing write says so.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        CutFile.watch()
        Output.holdStreams()
        // Swift's runtime opens two to wait for threads with, whenever it first does, and ends the process by a trap
        // where it cannot; a model takes two beside them.
        guard Output.canOpen(4) else {
            Output.note("martlet: the system grants too few files; raise the limit of open files (ulimit -n)")
            Output.end(1)
        }
        guard EndingSignals.watch() else {
            Output.note("martlet: the system grants no thread; raise the limit of processes (ulimit -u), or of memory")
            Output.end(1)
        }
        let status = await status(of: Array(CommandLine.arguments.dropFirst()))
        // The results are out: what is not kept by then is packed again the next time.
        PackedCache.finishWriting(within: .seconds(2))
        Output.end(status)
    }

    /// Runs the command line `arguments` and returns the exit code.
    static func status(of arguments: [String]) async -> Int32 {
        do {
            try CommandWords.checkEncoding()
            let arguments = CommandWords.withNegativeNumbersJoined(arguments)
            try CommandWords.checkVerb(arguments)
            var command = try parseAsRoot(arguments)
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
            return 0
        } catch let error as UsageError {
            Output.note("martlet: \(error.description)")
            return 2
        } catch is ReportedFailure {
            return 1
        } catch is StoppedWork {
            return 130
        } catch {
            do {
                return try PullOffer.isTaken(after: error) ? await status(of: arguments) : report(error)
            } catch {
                return report(error)
            }
        }
    }

    private static func report(_ error: any Error) -> Int32 {
        switch exitCode(for: error) {
        case .success:
            Output.write(fullMessage(for: error) + "\n")
            return 0
        case .validationFailure:
            Output.note(fullMessage(for: error))
            return 2
        default:
            let line = "\(error)".split(whereSeparator: \.isNewline).joined(separator: " ")
            Output.note("martlet: \(EmbeddedModel.named(line))")
            return 1
        }
    }
}

/// A failure of which everything was said when it happened.
struct ReportedFailure: Error {}

/// The end of work that was asked to stop.
struct StoppedWork: Error {}

/// Data that cannot be worked on.
struct InputError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A command line that cannot be meant.
struct UsageError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
