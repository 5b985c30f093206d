import MartletTensors
import Synchronization
import Testing

@Suite struct DeviceTests {
    @Test(arguments: [1, 2, 3, 8]) func everyChunkRunsOnce(threads: Int) {
        let pool = ThreadPool(threads: threads)
        for chunks in [0, 1, 2, 7, 100] {
            let counts = (0..<chunks).map { _ in Counter() }
            pool.run(chunks: chunks) { counts[$0].add() }
            #expect(counts.allSatisfy { $0.value == 1 })
        }
    }

    @Test func manyShortLoopsAndParkedWorkers() async throws {
        let pool = ThreadPool(threads: 4)
        let total = Counter()
        for round in 0..<2_000 {
            pool.run(chunks: 8) { _ in total.add() }
            // Long enough for the workers to park, now and then.
            if round % 500 == 0 { try await Task.sleep(for: .milliseconds(5)) }
        }
        #expect(total.value == 16_000)
    }

    @Test func twoCallersShareOnePool() async {
        let pool = ThreadPool(threads: 2)
        let total = Counter()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 { group.addTask { for _ in 0..<200 { pool.run(chunks: 5) { _ in total.add() } } } }
        }
        #expect(total.value == 4_000)
    }

    @Test func aLoopInsideALoopRunsAlone() {
        let pool = ThreadPool(threads: 2)
        let total = Counter()
        pool.run(chunks: 4) { _ in pool.run(chunks: 3) { _ in total.add() } }
        #expect(total.value == 12)
    }

    @Test func rangesCoverEverythingAtTheGrain() {
        let device = Device(threads: 3)
        for count in [0, 1, 15, 16, 17, 1_000, 4_099] {
            let seen = Mutex<[Range<Int>]>([])
            device.parallel(count, cost: 100_000, grain: 16) { range in seen.withLock { $0.append(range) } }
            let ranges = seen.withLock { $0 }.sorted { $0.lowerBound < $1.lowerBound }
            #expect(ranges.flatMap { Array($0) } == Array(0..<count))
            #expect(ranges.allSatisfy { $0.lowerBound % 16 == 0 })
        }
    }

    @Test func memoryThatNobodyKnowsIsUsedAgain() {
        let device = Device(threads: 1)
        var held: [Tensor] = [device.make([100])]
        let before = device.heldBytes
        for _ in 0..<50 { held[0] = device.make([100]) }
        // One is held while its successor is made, so two take turns.
        #expect(device.heldBytes == before * 2)
        held.append(device.make([100]))
        #expect(held[0].storage !== held[1].storage)
        held = []
        device.trim()
        #expect(device.heldBytes == 0)
    }
}

private final class Counter: Sendable {
    private let count = Atomic<Int>(0)
    func add() { count.add(1, ordering: .relaxed) }
    var value: Int { count.load(ordering: .relaxed) }
}
