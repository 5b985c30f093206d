import CMartletKernels
import MartletPlatform

/// The processor as the kernels see it.
package enum Processor {
    /// The instruction set whose kernels are in use: "amx", "avx512", "avxvnni", "avx2", "neon" or "scalar".
    package static var kernels: String {
        switch martlet_kernel_level() {
        case MARTLET_AMX: "amx"
        case MARTLET_AVX512: "avx512"
        case MARTLET_AVXVNNI: "avxvnni"
        case MARTLET_AVX2: "avx2"
        case MARTLET_NEON: "neon"
        default: "scalar"
        }
    }

    /// Features that matter to the kernels, by their usual names.
    package static var features: [String] {
        unsafe String(cString: martlet_processor_features()).split(separator: " ").map(String.init)
    }

    /// The model name that the system gives.
    package static var name: String {
        let line = Processors.lines(of: "/proc/cpuinfo").first { $0.hasPrefix("model name") || $0.hasPrefix("Model") }
        guard let line, let colon = line.firstIndex(of: ":") else { return "unknown" }
        return String(line[line.index(after: colon)...].drop { $0 == " " })
    }

    /// The memory in bytes: all, and what can be had without swapping; of the machine, or as much of it as the process
    /// is allowed.
    package static var memory: (total: Int, available: Int) {
        (SystemMemory.total, SystemMemory.available.bytes)
    }
}
