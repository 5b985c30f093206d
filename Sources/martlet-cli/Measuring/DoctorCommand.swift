import ArgumentParser
import Martlet
import MartletDistributed
import MartletJSON
import MartletMeasuring
import MartletPlatform
import MartletTensors

/// `martlet doctor`: what this machine is and what it can do at most.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Show processor, kernels, memory, and the measured bandwidth and peak.",
        discussion: "Example: martlet doctor --json")

    @Option(help: "Compute threads (default: one per physical core).")
    var threads: Int?

    @OptionGroup var form: ResultForm

    func validate() throws {
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads is \(threads), but must be between 1 and 1024.")
        }
    }

    func run() throws {
        let device = Device(threads: threads)
        let limits = KeptLimits.measure(threads: threads, seconds: 2).limits
        let memory = Processor.memory
        let verdicts = DoctorCommand.verdicts(threads: device.threads)
        let mpi = MPICommunicator.found()
        if form.isJSON {
            return form.write([
                "version": .string(Version.text), "verdicts": .array(verdicts.map { .string($0) }),
                "cache": .string(HubCache.folder),
                "processor": .string(Processor.name),
                "features": .array(Processor.features.map { .string($0) }),
                "kernels": .string(Processor.kernels),
                "threads": .integer(device.threads),
                "mpi": .array(mpi.map { .string($0) }),
                "memory": ["total_bytes": .integer(memory.total), "available_bytes": .integer(memory.available)],
                "bandwidth_bytes_per_second": .number(limits.bandwidth),
                "peak_operations_per_second": [
                    "f32": .number(limits.f32), "bf16": .number(limits.bf16), "int8": .number(limits.int8),
                ],
            ])
        }
        func giga(_ value: Double) -> String { "\((value / 1e8).rounded() / 10)" }
        Output.write(
            """
            processor   \(Processor.name)
            features    \(Processor.features.joined(separator: " "))
            kernels     \(Processor.kernels)
            threads     \(device.threads)
            memory      \(giga(Double(memory.total))) GB, \(giga(Double(memory.available))) GB available
            bandwidth   \(giga(limits.bandwidth)) GB/s read
            peak        f32 \(giga(limits.f32)), bf16 \(giga(limits.bf16)), int8 \(giga(limits.int8)) G operations/s
            mpi         \(mpi.isEmpty ? "none: ranks need one, as of apt-get install openmpi-bin" : mpi.joined(separator: "; "))
            models      \(HubCache.folder)\(fileExists(HubCache.folder) ? "" : ", which is not there yet")
            version     \(Version.text)

            """)
        for verdict in verdicts { Output.write("* \(verdict)\n") }
    }

    /// The warnings about this machine, in sentences.
    private static func verdicts(threads: Int) -> [String] {
        var verdicts: [String] = []
        let load = Processors.lines(of: "/proc/loadavg").first?.split(separator: " ").first.flatMap { Double($0) } ?? 0
        // What was measured just now is work too.
        if load > Double(threads) * 1.25 + 1 {
            verdicts.append("The machine is busy (load \(load) on \(threads) cores): what was measured is too low.")
        }
        let (available, limit) = SystemMemory.available
        if limit != .machine {
            verdicts.append("Memory is limited by \(limit.rawValue): \(available / 1_000_000) MB can be had.")
        }
        if !Processor.features.contains("avx2"), !Processor.features.contains("neon"),
            !Processor.features.contains("dotprod")
        {
            verdicts.append("The processor has no wide instructions that are used here: the baseline kernels run.")
        }
        return verdicts.isEmpty ? ["Nothing stands in the way."] : verdicts
    }
}
