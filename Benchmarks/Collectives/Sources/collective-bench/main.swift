import MartletDistributed
import MartletPlatform

/// The site's MPI_Allreduce of floats, in the library that the communicator has loaded.
struct Allreduce {
    private typealias Function =
        @convention(c) (UnsafeRawPointer?, UnsafeMutableRawPointer, Int32, UInt, UInt, UInt) -> Int32
    private let function: Function
    private let float, sum, world, inPlace: UInt

    init?() {
        func address(_ name: String) -> UInt? { unsafe dlsym(nil, name).map { UInt(bitPattern: $0) } }
        guard let found = unsafe dlsym(nil, "MPI_Allreduce") else { return nil }
        unsafe function = unsafe unsafeBitCast(found, to: Function.self)
        if let float = address("ompi_mpi_float"), let sum = address("ompi_mpi_op_sum"),
            let world = address("ompi_mpi_comm_world")
        {
            (self.float, self.sum, self.world, inPlace) = (float, sum, world, 1)
        } else {
            // MPICH's ABI.
            (float, sum, world, inPlace) = (0x4c00_040a, 0x5800_0003, 0x4400_0000, UInt(bitPattern: -1))
        }
    }

    func callAsFunction(_ values: UnsafeMutableBufferPointer<Float>) {
        guard let start = values.baseAddress else { return }
        let code = unsafe function(
            UnsafeRawPointer(bitPattern: inPlace), UnsafeMutableRawPointer(start), Int32(values.count), float, sum,
            world)
        precondition(code == 0, "MPI_Allreduce: \(code)")
    }
}

func seconds(_ body: () throws -> Void) rethrows -> Double {
    let began = ContinuousClock.now
    try body()
    let (seconds, attoseconds) = (ContinuousClock.now - began).components
    return Double(seconds) + Double(attoseconds) * 1e-18
}

func measure(_ communicator: MPICommunicator, _ reduce: Allreduce, repetitions: Int) throws {
    for kibibytes in [64, 256, 1024, 4096, 16384, 65536] {
        let count = kibibytes * 256
        let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
        unsafe values.initialize(repeating: 0)
        defer { unsafe values.deallocate() }
        var times: [[Double]] = [[], []]
        for _ in 0..<max(8, repetitions * 1024 / max(1024, kibibytes)) {
            for kind in 0..<2 {
                try communicator.barrier()
                let own = try seconds {
                    try kind == 0 ? unsafe communicator.sum(values, .gradients) : unsafe reduce(values)
                }
                // The slowest rank's: each rank tells its own.
                let all = try communicator.shared(
                    Array(repeating: own, count: communicator.size), .agreement, owner: { $0 })
                times[kind].append(all.reduce(0, max))
            }
        }
        // Of two ranks there is one order alone.
        if communicator.size == 2 {
            let other = UnsafeMutableBufferPointer<Float>.allocate(capacity: count)
            defer { unsafe other.deallocate() }
            for index in 0..<count {
                unsafe values[index] = Float((index + 1) * (communicator.rank * 2 - 1) % 1013) / 7
                unsafe other[index] = values[index]
            }
            try unsafe communicator.sum(values, .gradients)
            unsafe reduce(other)
            precondition(unsafe values.elementsEqual(other), "\(kibibytes) KiB: other sums")
        }
        guard communicator.rank == 0 else { continue }
        let (ours, theirs) = (times[0].sorted(), times[1].sorted())
        func micro(_ seconds: Double) -> Int { Int(seconds * 1e6) }
        let (a, b) = (ours[ours.count / 2], theirs[theirs.count / 2])
        print(
            "\(kibibytes) KiB: \(micro(ours[0])) µs, median \(micro(a)); MPI_Allreduce \(micro(theirs[0])), median \(micro(b)); of its speed \(Double(Int(theirs[0] / ours[0] * 100)) / 100), median \(Double(Int(b / a * 100)) / 100)"
        )
    }
}

let communicator = try MPICommunicator()
guard let reduce = Allreduce() else {
    print("no MPI_Allreduce: start this program with mpirun")
    exit(1)
}
if communicator.rank == 0 { print("\(communicator.size) ranks, \(try MPICommunicator.describe())") }
try measure(communicator, reduce, repetitions: CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 200)
communicator.finish()
