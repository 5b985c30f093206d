import MartletPlatform
import Synchronization

/// Work stealing over a sequence of phases, chunk by chunk: every member starts with a contiguous share of its own, so
/// that it streams, and takes from the end of others' shares when that is done.
///
/// A member that is late, or never comes, costs nothing but its share. Whoever holds a chunk of a phase keeps all
/// others from going on to the next one.
@safe final class PhaseBoard: Sendable {
    let members: Int
    private let words: Int
    /// The counters of each phase: a word per member (its share's lower end, and its upper one above bit 32) and one of
    /// what is done; a cache line each.
    private nonisolated(unsafe) let base: UnsafeMutablePointer<Atomic<UInt64>>
    private static let stride = 8
    private let parked = Atomic<Int>(0)
    private let signal = Signal()

    init(phases: Int, members: Int) {
        self.members = members
        words = max(1, phases) * (members + 1) * PhaseBoard.stride
        let memory = UnsafeMutableRawPointer.allocate(byteCount: words * 8, alignment: 64)
        unsafe base = memory.bindMemory(to: Atomic<UInt64>.self, capacity: words)
        for index in 0..<words { unsafe (base + index).initialize(to: Atomic(0)) }
    }

    deinit {
        unsafe base.deinitialize(count: words)
        unsafe base.deallocate()
    }

    /// Opens a phase before a run: `chunks` of it are to be done.
    ///
    /// - Precondition: no member is at work.
    func open(_ phase: Int, chunks: Int) {
        for member in 0..<members {
            let share = PhaseBoard.packed(share(of: member, chunks: chunks))
            unsafe word(phase, member).pointee.store(share, ordering: .relaxed)
        }
        unsafe word(phase, members).pointee.store(0, ordering: .relaxed)
    }

    /// The share of chunks with which a member begins.
    func share(of member: Int, chunks: Int) -> Range<Int> {
        chunks * member / members..<chunks * (member + 1) / members
    }

    /// Claims at most `grain` chunks that nobody else has; nil when none are left.
    func claim(_ phase: Int, member: Int, grain: Int) -> Range<Int>? {
        if let own = take(phase, member, grain, fromEnd: false) { return own }
        for step in 1..<max(members, 1) {
            if let other = take(phase, (member + step) % members, grain, fromEnd: true) { return other }
        }
        return nil
    }

    /// A member has done `done` of the `chunks` of a phase.
    func finish(_ phase: Int, _ done: Int, of chunks: Int) {
        let sum = unsafe word(phase, members).pointee.add(UInt64(done), ordering: .sequentiallyConsistent).newValue
        // Whoever parks says so first and looks at the sum second; here it is the other way round.
        if sum >= UInt64(chunks), parked.load(ordering: .sequentiallyConsistent) > 0 { signal.wakeAll() }
    }

    func isDone(_ phase: Int, chunks: Int) -> Bool {
        unsafe word(phase, members).pointee.load(ordering: .sequentiallyConsistent) >= UInt64(chunks)
    }

    /// Sleeps until a phase is done: for when its last chunk is with a thread that does not run.
    func park(until phase: Int, chunks: Int) {
        signal.withLock {
            parked.add(1, ordering: .sequentiallyConsistent)
            while !isDone(phase, chunks: chunks) { signal.sleep() }
            parked.subtract(1, ordering: .sequentiallyConsistent)
        }
    }

    private func take(_ phase: Int, _ member: Int, _ grain: Int, fromEnd: Bool) -> Range<Int>? {
        let place = unsafe word(phase, member)
        var value = unsafe place.pointee.load(ordering: .relaxed)
        while true {
            let (lower, upper) = (Int(value & 0xffff_ffff), Int(value >> 32))
            guard lower < upper else { return nil }
            let taken = fromEnd ? max(lower, upper - grain)..<upper : lower..<min(upper, lower + grain)
            let left = fromEnd ? lower..<taken.lowerBound : taken.upperBound..<upper
            let (exchanged, original) = unsafe place.pointee.weakCompareExchange(
                expected: value, desired: PhaseBoard.packed(left), ordering: .acquiringAndReleasing)
            if exchanged { return taken }
            value = original
        }
    }

    private func word(_ phase: Int, _ index: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        unsafe base + (phase * (members + 1) + index) * PhaseBoard.stride
    }

    private static func packed(_ range: Range<Int>) -> UInt64 {
        UInt64(range.lowerBound) | UInt64(range.upperBound) << 32
    }
}
