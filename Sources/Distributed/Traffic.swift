import Synchronization

/// The bytes that a rank has sent, by purpose: what the planner's forecast is held against.
package final class Traffic: Sendable {
    private let bytes = Mutex<[Purpose: Int]>([:])

    package init() {}

    func count(_ sent: Int, _ purpose: Purpose) { bytes.withLock { $0[purpose, default: 0] += sent } }

    /// The number of bytes sent so far for `purpose`.
    package subscript(_ purpose: Purpose) -> Int { bytes.withLock { $0[purpose] ?? 0 } }
}
