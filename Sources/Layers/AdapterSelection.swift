import MartletPlatform
import Synchronization

/// The selection of low-rank adapters by the rows of a pass (multi-LoRA): said in front of a pass by the thread that
/// makes it, read by every projection in it.
///
/// A model has its base weights once, however many adapters it has. A row that selects none has the bits of the base
/// model, and one that selects an adapter those of a model with this adapter alone, whatever else is in the pass.
/// Threads that make passes of one model at the same time do not see each other's selections.
package final class AdapterSelection: Sendable {
    /// The rows that select each adapter, by thread and adapter number.
    private let runs = Mutex<[pthread_t: [Int: [Range<Int>]]]>([:])

    package init() {}

    private static var thread: pthread_t { pthread_self() }

    /// The rows of the passes that follow on this thread; no others select anything.
    package func select(_ runs: [(adapter: Int, rows: Range<Int>)]) {
        var rows: [Int: [Range<Int>]] = [:]
        for run in runs { rows[run.adapter, default: []].append(run.rows) }
        self.runs.withLock { $0[AdapterSelection.thread] = rows.isEmpty ? nil : rows }
    }

    /// Runs `body`, in whose passes all rows select `adapter`; none do with nil.
    package func selecting<Result>(_ adapter: Int?, _ body: () throws -> Result) rethrows -> Result {
        select(adapter.map { [($0, 0..<Int.max)] } ?? [])
        defer { select([]) }
        return try body()
    }

    /// The rows of this thread's pass that select `adapter`.
    func rows(of adapter: Int) -> [Range<Int>] { runs.withLock { $0[AdapterSelection.thread]?[adapter] ?? [] } }
}
