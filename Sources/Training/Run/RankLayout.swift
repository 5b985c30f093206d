package import MartletDistributed
import MartletJSON
package import MartletPlanning

/// The layout of a run over its ranks: what each of them holds. It changes no bit of what is computed.
package struct RankLayout: Sendable, Equatable {
    /// The ZeRO stage (arXiv:1910.02054), what data-parallel ranks divide among them: 0 nothing, 1 the optimizer's
    /// states, 2 the gradients too, 3 the weights too.
    package var zero = 0
    /// The number of data-parallel ranks, where it was named.
    package var data: Int?
    /// The stages that the model's layers are cut into, each a rank of its own.
    package var pipeline = 1
    /// The parts that matrices are divided into, each a rank's (tensor parallelism).
    package var tensor = 1
    /// The parts that experts are divided into, each that of a data-parallel rank (expert parallelism).
    package var expert = 1
    /// The parts that the rows of a pass are divided into, each a rank's (context parallelism).
    package var context = 1
    /// The pipeline schedule, by which stages take turns.
    package var schedule = PipelineSchedule.alternating(interleave: 1)

    package init(zero: Int = 0) { self.zero = zero }

    /// Reads `data=4,zero=1` or `data=2,pipeline=4,tensor=2`.
    ///
    /// - Throws: ``RunError`` with everything that is wrong.
    package init(_ text: String) throws(RunError) {
        var problems: [String] = []
        var (interleave, named, namedZero) = (1, PipelineSchedule?.none, Int?.none)
        for part in text.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
            let words = part.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
            let number = words.count == 2 ? Int(words[1]) : nil
            switch (words[0], number) {
            case ("data", let count?) where count > 0: data = count
            case ("pipeline", let count?) where count > 0: pipeline = count
            case ("tensor", let count?) where count > 0: tensor = count
            case ("expert", let count?) where count > 0: expert = count
            case ("context", let count?) where count > 0: context = count
            case ("interleave", let count?) where count > 0: interleave = count
            case ("zero", let stage?) where (0...3).contains(stage): namedZero = stage
            case ("schedule", nil) where words.last == "1f1b": named = .alternating(interleave: 1)
            case ("schedule", nil) where words.last == "gpipe": named = .allForwardFirst
            case ("schedule", nil) where words.last == "zero-bubble": named = .zeroBubble
            default: problems.append(RankLayout.problem(part, words[0]))
            }
        }
        // What experts learn is summed when a pass leaves their layer.
        zero = namedZero ?? (expert > 1 ? 2 : 0)
        schedule = interleave > 1 ? .alternating(interleave: interleave) : named ?? schedule
        if interleave > 1, let named, named != .alternating(interleave: 1) {
            problems.append("interleave= is of schedule=1f1b alone: leave out one of the two")
        }
        if pipeline == 1, named != nil || interleave > 1 {
            problems.append("schedules are of pipelines: name pipeline= too")
        }
        if pipeline > 1, expert == 1, zero > 1 {
            problems.append(
                "zero=\(zero) would gather for every pass of a pipeline; zero=0 and zero=1 go with pipeline="
            )
        }
        if expert > 1 { problems += refusedBesideExperts() }
        if context > 1 { problems += refusedBesideRows() }
        guard problems.isEmpty else { throw RunError("--layout: " + problems.joined(separator: "; ")) }
    }

    /// The problems of a layout that divides experts beside something else.
    private func refusedBesideExperts() -> [String] {
        var problems: [String] = []
        if zero < 2 {
            problems.append(
                "expert= sums what experts learn in each pass, as zero=2 does: zero=2 (its default) and zero=3 go with it, not zero=\(zero)"
            )
        }
        if pipeline > 1 {
            problems.append("expert= gathers for every pass and does not go with pipeline=; data= and zero= do")
        }
        return problems
    }

    /// The kinds of division that do not go with divided rows.
    private func refusedBesideRows() -> [String] {
        var problems: [String] = []
        for (other, count) in [("tensor", tensor), ("pipeline", pipeline), ("expert", expert)] where count > 1 {
            problems.append("context= does not go with \(other)=, but with data= and zero=; name one of the two")
        }
        if zero == 3 {
            problems.append("context= reads whole weights, which zero=3 divides; zero=0, zero=1 and zero=2 go with it")
        }
        return problems
    }

    /// The fault of a part of a layout.
    private static func problem(_ part: String, _ name: String) -> String {
        switch name {
        case "data": "\(part.quoted) is not data= and a number of ranks"
        case "pipeline": "\(part.quoted) is not pipeline= and a number of stages"
        case "interleave": "\(part.quoted) is not interleave= and a number of runs of layers"
        case "zero": "\(part.quoted) is not zero= and a stage from 0 to 3"
        case "schedule": "\(part.quoted) is not schedule=1f1b, gpipe or zero-bubble"
        case "tensor": "\(part.quoted) is not tensor= and a number of parts"
        case "expert": "\(part.quoted) is not expert= and a number of parts"
        case "context": "\(part.quoted) is not context= and a number of parts"
        case "sequence":
            "\(part.quoted): rows are divided by context=, not beside tensor=; data, expert, context, tensor, zero and pipeline are known"
        default:
            "\(part.quoted) is unknown; data, expert, context, tensor, zero and pipeline are known, as in data=2,pipeline=4"
        }
    }

    /// The places of ranks.
    ///
    /// - Throws: ``RunError`` where the ranks are not as many as the layout says.
    package func mesh(ranks: Int) throws(RunError) -> RankMesh {
        let parts = tensor * context
        guard let lanes = data ?? (ranks % (pipeline * parts) == 0 ? ranks / (pipeline * parts) : nil) else {
            throw RunError("--layout says \(named), which does not divide \(ranks) ranks")
        }
        guard lanes * pipeline * parts == ranks else {
            throw RunError("--layout says \(named), but \(ranks) ranks run")
        }
        guard lanes % expert == 0 else {
            throw RunError(
                "--layout divides experts among \(expert) ranks, which do not divide \(lanes) data-parallel ones")
        }
        return RankMesh(lanes: lanes, stages: pipeline, parts: parts, experts: expert)
    }

    /// The numbers of ranks that were named.
    private var named: String {
        let parts = [
            data.map { "data=\($0)" }, tensor > 1 ? "tensor=\(tensor)" : nil,
            context > 1 ? "context=\(context)" : nil,
        ]
        let stages = pipeline > 1 || (data == nil && tensor * context == 1) ? "pipeline=\(pipeline)" : nil
        return (parts + [stages]).compactMap(\.self).joined(separator: ",")
    }
}

extension Communicator {
    /// Runs `work` on this rank and waits for the others: all go on, or all throw.
    ///
    /// - Throws: what `work` throws here; elsewhere ``RunError`` with the words of the rank that failed.
    package func agree(_ work: () throws -> Void) throws {
        let outcome = Result { try work() }
        guard size > 1 else { return try outcome.get() }
        var record = [UInt8](repeating: 0, count: 512)
        if case .failure(let error) = outcome {
            for (place, byte) in "rank \(rank): \(error)".utf8.prefix(record.count).enumerated() {
                record[place] = byte
            }
        }
        let records = try gather(record, .agreement)
        try outcome.get()
        guard let failed = records.first(where: { $0[0] != 0 }) else { return }
        throw RunError(String(decoding: failed.prefix { $0 != 0 }, as: UTF8.self))
    }
}
