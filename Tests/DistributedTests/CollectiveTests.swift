import MartletDistributed
import Synchronization
import Testing

/// Collectives over ranks as threads: sums in the order of the tree, the same bits on every number of ranks.
struct CollectiveTests {
    /// Floats of very different sizes, so that each order of adding them gives other bits.
    private static func values(_ count: Int, shard: Int) -> [Float] {
        var state = UInt64(shard + 1) &* 0x9E37_79B9_7F4A_7C15
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let mantissa = Float(Int64(bitPattern: state) >> 40) / 8_388_608
            return mantissa * Float(sign: .plus, exponent: Int(state >> 33 & 31) - 16, significand: 1)
        }
    }

    /// ((0 + 1) + (2 + 3)) + …, element by element.
    private static func tree(_ shards: [[Float]]) -> [Float] {
        guard shards.count > 1 else { return shards[0] }
        let (a, b) = (tree(Array(shards.prefix(shards.count / 2))), tree(Array(shards.suffix(shards.count / 2))))
        return zip(a, b).map { $0 + $1 }
    }

    private static func sum(_ ranks: Int, _ shards: [[Float]]) throws -> [[Float]] {
        try Crew(ranks).run { communicator in
            let own = shards.count / communicator.size
            var values = tree(Array(shards[communicator.rank * own..<(communicator.rank + 1) * own]))
            try unsafe values.withUnsafeMutableBufferPointer { try unsafe communicator.sum($0, .gradients) }
            return values
        }
    }

    @Test(arguments: [1, 2, 3, 7, 64, 1_000, 4_099])
    func sumsHaveTheSameBitsOnEveryNumberOfRanks(count: Int) throws {
        let shards = (0..<8).map { Self.values(count, shard: $0) }
        let expected = Self.tree(shards).map(\.bitPattern)
        for ranks in [1, 2, 4, 8] {
            for result in try Self.sum(ranks, shards) { #expect(result.map(\.bitPattern) == expected) }
        }
        let chain = shards.dropFirst().reduce(shards[0]) { zip($0, $1).map { $0 + $1 } }
        #expect(count < 64 || chain.map(\.bitPattern) != expected, "the values tell orders apart")
    }

    @Test(arguments: [1, 2, 4, 8], [0, 1, 5, 1_023])
    func bytesAreThoseThatThePlannerCounts(ranks: Int, count: Int) throws {
        let sent = try Crew(ranks).run { communicator in
            var values = [Float](repeating: 1, count: count)
            try unsafe values.withUnsafeMutableBufferPointer { try unsafe communicator.sum($0, .gradients) }
            return communicator.traffic[.gradients]
        }
        let partition = Partition(0..<count, among: ranks)
        #expect(sent == (0..<ranks).map { partition.scatteredBytes(by: $0) + partition.gatheredBytes(by: $0) })
    }

    /// Cuts at places of one's own choice: every rank has the sum of its range, all ranges make the whole, and bits and
    /// bytes are those of the plan.
    @Test(arguments: [1, 2, 4, 8]) func sumsAreScatteredAndRangesGathered(ranks: Int) throws {
        let places = [3, 5, 64, 65, 200, 640, 1_000, 1_003, 2_000]
        let partition = Partition(3..<2_000, among: ranks, at: places)
        let shards = (0..<ranks).map { Self.values(2_010, shard: $0) }
        let expected = Self.tree(shards)
        let results = try Crew(ranks).run { communicator in
            var values = shards[communicator.rank]
            try unsafe values.withUnsafeMutableBufferPointer {
                try unsafe communicator.scatterSums($0, partition, .gradients)
            }
            let own = partition[communicator.rank]
            let part = Array(values[own])
            try unsafe values.withUnsafeMutableBufferPointer {
                try unsafe communicator.gatherRanges($0, partition, .weights)
            }
            return (part, values, [communicator.traffic[.gradients], communicator.traffic[.weights]])
        }
        var covered: [Range<Int>] = []
        for (rank, (part, values, sent)) in results.enumerated() {
            let own = partition[rank]
            #expect(places.contains(own.lowerBound) && places.contains(own.upperBound))
            #expect(part == Array(expected[own]))
            #expect(Array(values[3..<2_000]) == Array(expected[3..<2_000]))
            #expect(values[..<3] == shards[rank][..<3] && values[2_000...] == shards[rank][2_000...])
            #expect(sent == [partition.scatteredBytes(by: rank), partition.gatheredBytes(by: rank)])
            for index in own { #expect(partition.owner(of: index) == rank) }
            if !own.isEmpty { covered.append(own) }
        }
        covered.sort { $0.lowerBound < $1.lowerBound }
        #expect(covered.reduce(3) { $1.lowerBound == $0 ? $1.upperBound : -1 } == 2_000)
    }

    @Test(arguments: [1, 2, 3, 5, 8])
    func gatheredRecordsStandInTheOrderOfRanks(ranks: Int) throws {
        let all = try Crew(ranks).run { try $0.gather([UInt8($0.rank), 7], .agreement) }
        for records in all { #expect(records == (0..<ranks).map { [UInt8($0), 7] }) }
    }

    /// Records of any length reach every rank, or the first alone.
    @Test(arguments: [1, 2, 3, 8]) func recordsOfAnyLengthStandInTheOrderOfRanks(ranks: Int) throws {
        @Sendable func record(_ rank: Int) -> [UInt8] {
            Array(repeating: UInt8(rank + 1), count: rank * rank % 5 * 100)
        }
        let expected = (0..<ranks).map(record)
        let results = try Crew(ranks).run { communicator in
            let own = record(communicator.rank)
            return (try communicator.gatherAll(own, .results), try communicator.collect(own, .results))
        }
        for (rank, (everywhere, first)) in results.enumerated() {
            #expect(everywhere == expected)
            #expect(first == (rank == 0 ? expected : []))
        }
    }

    /// Numbers that one rank knows each.
    @Test func numbersAreThoseOfTheirOwners() throws {
        let all = try Crew(4).run { communicator in
            try communicator.shared((0..<10).map { Double($0 * 10 + communicator.rank) }, .agreement) { $0 % 4 }
        }
        let expected: [Double] = [0, 11, 22, 33, 40, 51, 62, 73, 80, 91]
        for numbers in all { #expect(numbers == expected) }
    }

    /// Groups of a mesh: sums of each stage's lanes alone, and messages along each lane in the order in which they were
    /// posted.
    @Test func groupsOfAMeshSpeakAmongThemselves() throws {
        let whole = RankMesh(lanes: 2, stages: 2, parts: 2)
        #expect(whole.team(of: 5) == [4, 5] && whole.group(of: 5) == [5, 7] && whole.pipeline(of: 5) == [1, 5])
        let mesh = RankMesh(lanes: 2, stages: 3)
        #expect((0..<6).map { mesh.rank(stage: mesh.stage(of: $0), lane: mesh.lane(of: $0)) } == Array(0..<6))
        let results = try Crew(6).run { communicator -> (sum: Float, got: [UInt8]) in
            let group = Subgroup(mesh.group(of: communicator.rank), of: communicator)
            let lane = Subgroup(mesh.pipeline(of: communicator.rank), of: communicator)
            var values: [Float] = [Float(1 << communicator.rank)]
            try unsafe values.withUnsafeMutableBufferPointer { try unsafe group.sum($0, .gradients) }
            var got: [UInt8] = []
            if lane.rank > 0 {
                for _ in 0..<2 {
                    var byte: [UInt8] = [0]
                    try unsafe byte.withUnsafeMutableBytes {
                        try unsafe lane.exchange(
                            UnsafeRawBufferPointer(start: nil, count: 0), to: nil, $0, from: lane.rank - 1, .activations
                        )
                    }
                    got += byte
                }
            }
            if lane.rank + 1 < lane.size {
                for number in 0..<2 {
                    let byte = Letter(UInt8(10 * communicator.rank + number))
                    try unsafe lane.post(byte.bytes, of: byte, to: lane.rank + 1, .activations)
                }
            }
            try lane.settle()
            return (values[0], got)
        }
        #expect(results.map(\.sum) == [3, 3, 12, 12, 48, 48])
        #expect(results.map(\.got) == [[], [], [0, 1], [10, 11], [20, 21], [30, 31]])
    }

    /// A byte that outlives its sending.
    @safe private final class Letter {
        let bytes: UnsafeRawBufferPointer
        init(_ byte: UInt8) {
            let place = UnsafeMutableRawBufferPointer.allocate(byteCount: 1, alignment: 1)
            unsafe place[0] = byte
            unsafe bytes = UnsafeRawBufferPointer(place)
        }
        deinit { unsafe bytes.deallocate() }
    }

    @Test func aRankThatThrowsEndsTheOthers() {
        struct Broken: Error {}
        #expect(throws: Broken.self) {
            try Crew(4).run { communicator in
                if communicator.rank == 2 { throw Broken() }
                try communicator.barrier()
            }
        }
    }

    @Test func aRankThatHangsIsNamedWithThePurpose() {
        let error = #expect(throws: CommunicationError.self) {
            try Crew(2, deadline: 0.05).run { communicator in
                if communicator.rank == 0 { _ = try communicator.gather([0], .evaluation) }
            }
        }
        #expect(error?.description.contains("evaluation of rank 1, which hangs") == true)
    }
}
