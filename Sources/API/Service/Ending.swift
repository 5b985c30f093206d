import Synchronization

/// An ending, work that is done once at the end of something: when it is told, or at the latest when nobody holds it
/// any more.
///
/// An answer may never be written, because the client left before its head: what was counted for it is counted out all
/// the same.
package final class Ending: Sendable {
    private let work: @Sendable () -> Void
    private let isDone = Atomic<Bool>(false)

    package init(_ work: @escaping @Sendable () -> Void) { self.work = work }

    deinit { callAsFunction() }

    package func callAsFunction() {
        if !isDone.exchange(true, ordering: .acquiringAndReleasing) { work() }
    }
}
