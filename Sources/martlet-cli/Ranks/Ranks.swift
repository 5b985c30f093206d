import ArgumentParser
import MartletDistributed
import MartletFormats
import MartletModels
import MartletPlatform
import MartletTensors

/// The ranks among which a verb divides its work.
struct RankOptions: ParsableArguments {
    @Option(
        help:
            "Ranks on this machine that share the work, started by mpirun; a verb under mpirun finds its ranks itself.")
    var ranks: Int?

    func validate() throws {
        if let ranks, !(1...4096).contains(ranks) {
            throw ValidationError("--ranks is \(ranks), but must be between 1 and 4096.")
        }
    }

    /// - Throws: ``UsageError`` where several ranks are asked for, of work that one does.
    func refuse(_ work: String) throws(UsageError) {
        if ranks ?? 1 > 1 || MPICommunicator.isLaunched { throw UsageError("\(work) runs on one rank, without mpirun") }
    }

    /// Replaces this process by the ranks that are asked for, where they do not run yet.
    ///
    /// - Throws: ``CommunicationError`` where there is no MPI.
    func launch(threads: Int?) throws(CommunicationError) {
        if let ranks, ranks > 1, !MPICommunicator.isLaunched { throw try RankLauncher.launch(ranks, threads: threads) }
    }
}

/// Work as one of the ranks that a launcher has started, or alone.
enum Ranks {
    /// Joins the ranks, does the work and leaves them together; what this rank throws ends all of them.
    static func join<Result>(_ work: (any Communicator) throws -> Result) throws -> Result {
        guard MPICommunicator.isLaunched else { return try work(Alone()) }
        let communicator = try MPICommunicator()
        do {
            let result = try work(communicator)
            try communicator.barrier()
            communicator.finish()
            return result
        } catch let error where error is StoppedWork || error is ReportedFailure {
            // All ranks end this way.
            try communicator.barrier()
            communicator.finish()
            throw error
        } catch {
            Output.note("rank \(communicator.rank): \(error)")
            communicator.abort("\(error)")
            throw error
        }
    }

    /// The ranks that divide the matrices of the model that this task loads; nil where it is alone.
    @TaskLocal static var products: ProductRanks?

    /// Does the work of a verb on rank 0, with a model whose matrices all ranks divide; the others multiply by their
    /// parts of `file` until it is done.
    static func lead(
        _ options: RankOptions, threads: Int?, _ file: () throws -> ModelFile, _ work: () async throws -> Void
    ) async throws {
        try options.launch(threads: threads)
        guard MPICommunicator.isLaunched else { return try await work() }
        let communicator = try MPICommunicator(patient: true)
        let products = ProductRanks(communicator) { error in
            Output.note("martlet: \(error)")
            communicator.abort("\(error)")
        }
        var ending: (any Error)?
        do {
            if communicator.rank > 0 {
                try follow(products, file(), threads: threads)
            } else if communicator.size == 1 {
                try await work()
            } else {
                defer { products.stop() }
                try await $products.withValue(products) { try await work() }
            }
        } catch let error where error is StoppedWork || error is ReportedFailure {
            ending = error
        } catch {
            Output.note("rank \(communicator.rank): \(error)")
            communicator.abort("\(error)")
            throw error
        }
        try communicator.barrier()
        communicator.finish()
        if let ending { throw ending }
    }

    private static func follow(_ products: ProductRanks, _ file: ModelFile, threads: Int?) throws {
        // Rank 0 is told to stop, and tells the others.
        for number in [SIGTERM, SIGINT] { signal(number, SIG_IGN) }
        var file = file
        file.ranks = products
        let device = Device(threads: threads)
        _ = try file.model(on: device)
        file.tensors.release()
        try products.serve(on: device)
    }

    /// Work on parts that every rank reads and each does some of, in turn; what comes of them reaches rank 0 in their
    /// order.
    ///
    /// - Parameters:
    ///   - next: the next part, the same on every rank; nil at the end.
    ///   - work: what becomes of a part, as bytes.
    ///   - handOn: called on rank 0.
    /// - Throws: on rank 0 what the first part that failed says, after all before it were handed on; on the others
    ///   ``ReportedFailure`` then.
    static func inTurn<Part>(
        over communicator: any Communicator, _ next: () throws -> Part?, _ work: (Part) throws -> [UInt8],
        handOn: ([UInt8]) throws -> Void
    ) throws {
        while true {
            var parts: [Part] = []
            while parts.count < communicator.size, let part = try next() { parts.append(part) }
            guard !parts.isEmpty else { return }
            // The first byte says whether a part was done.
            var record: [UInt8] = [1]
            if communicator.rank < parts.count {
                do { record += try work(parts[communicator.rank]) } catch { record = [0] + Array("\(error)".utf8) }
            }
            let isDone = try communicator.gather([record[0]], .agreement).prefix(parts.count).map { $0 == [1] }
            let records = try communicator.collect(record, .results)
            for (record, isDone) in zip(records, isDone) {
                guard isDone else {
                    Output.note("martlet: \(String(decoding: record.dropFirst(), as: UTF8.self))")
                    break
                }
                try handOn(Array(record.dropFirst()))
            }
            if isDone.contains(false) { throw ReportedFailure() }
        }
    }

    /// - Throws: ``UsageError`` where several ranks would read standard input, which reaches one of them.
    static func requireFile(_ path: String, over communicator: any Communicator) throws(UsageError) {
        guard communicator.size > 1, path == "-" else { return }
        throw UsageError(
            "\(communicator.size) ranks cannot read standard input, which reaches one of them: name a file")
    }
}
