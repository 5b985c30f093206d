import MartletPlatform
import MartletTensors

/// A prefetcher, which makes batches ahead on a thread of its own, a few at a time, each with the cursor behind it.
package final class Prefetcher: Sendable {
    package typealias Item = (batch: Batch, cursor: DataCursor)

    /// The batches that wait, and how the making of them ended.
    private struct State {
        var items: [Item] = []
        var failure: DataError?
        var isStopped = false
    }

    private let shared: Shared
    private let thread: SystemThread?

    /// The state between the thread that makes batches and the one that takes them; touched inside the signal's lock.
    private final class Shared: @unchecked Sendable {
        let signal = Signal()
        var state = State()
    }

    package init(_ stream: any BatchStream, ahead: Int = 3) {
        let shared = Shared()
        self.shared = shared
        thread = SystemThread {
            var stream = stream
            while Prefetcher.waitForRoom(shared, ahead) {
                let result = Result { () throws(DataError) in (batch: try stream.next(), cursor: stream.cursor) }
                shared.signal.wakeAll {
                    switch result {
                    case .success(let item): shared.state.items.append(item)
                    case .failure(let error): shared.state.failure = error
                    }
                }
                if case .failure = result { return }
            }
        }
        if thread == nil { shared.state.failure = DataError("the system grants no thread to read data on") }
    }

    deinit {
        shared.signal.wakeAll { [shared] in shared.state.isStopped = true }
        thread?.join()
    }

    private static func waitForRoom(_ shared: Shared, _ ahead: Int) -> Bool {
        shared.signal.withLock {
            while shared.state.items.count >= ahead && !shared.state.isStopped { shared.signal.sleep() }
            return !shared.state.isStopped
        }
    }

    /// The next batch, waited for when necessary.
    package func next() throws(DataError) -> Item {
        var item: Item?
        var failure: DataError?
        shared.signal.withLock {
            while shared.state.items.isEmpty && shared.state.failure == nil { shared.signal.sleep() }
            if shared.state.items.isEmpty {
                failure = shared.state.failure
            } else {
                item = shared.state.items.removeFirst()
            }
        }
        shared.signal.wakeAll()
        guard let item else { throw failure ?? DataError("no batch") }
        return item
    }
}
