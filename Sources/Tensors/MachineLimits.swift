import CMartletKernels
import MartletPlatform
import Synchronization

/// The measured limits of this machine, its memory bandwidth and peak arithmetic rates: every speed is best told as a
/// share of these.
package struct MachineLimits: Sendable, Hashable, Codable {
    package let threads: Int
    /// The memory bandwidth in bytes per second, read from far more than the caches hold.
    package let bandwidth: Double
    /// The f32 peak in operations per second, a fused multiply-add counting as two.
    package let f32: Double
    /// The peak of products of bf16 that add up in f32, in operations per second.
    package let bf16: Double
    /// The peak of products of int8 that add up in i32, in operations per second.
    package let int8: Double

    package init(threads: Int, bandwidth: Double, f32: Double, bf16: Double, int8: Double) {
        (self.threads, self.bandwidth) = (threads, bandwidth)
        (self.f32, self.bf16, self.int8) = (f32, bf16, int8)
    }

    /// Measures for about `seconds` in all on the threads of `device`; the best of several rounds each.
    package static func measure(on device: Device, seconds: Double = 1) -> MachineLimits {
        let share = seconds / 4
        return unsafe MachineLimits(
            threads: device.threads, bandwidth: bandwidth(on: device, seconds: share),
            f32: rate(on: device, seconds: share) {
                unsafe Double(martlet_burn_f32($0, $1.assumingMemoryBound(to: Float.self)))
            },
            bf16: rate(on: device, seconds: share) {
                unsafe Double(martlet_burn_bf16($0, $1.assumingMemoryBound(to: Float.self)))
            },
            int8: rate(on: device, seconds: share) {
                unsafe Double(martlet_burn_int8($0, $1.assumingMemoryBound(to: Int32.self)))
            })
    }

    private static func bandwidth(on device: Device, seconds: Double) -> Double {
        let chunk = 64 << 20
        let wanted = max(256 << 20, 2 * Processors.lastLevelCache())
        let pieces = max(device.threads * 2, min(wanted, Processor.memory.available / 4) / chunk, 4)
        let memory = Storage(bytes: chunk * pieces)
        unsafe memory.mutablePointer.initializeMemory(as: UInt8.self, repeating: 1, count: memory.bytes)
        return best(seconds: seconds) {
            let checksum = Atomic<UInt64>(0)
            device.pool.run(chunks: pieces) { piece in
                let part = unsafe martlet_read_all(memory.pointer + piece * chunk, chunk)
                checksum.add(part, ordering: .relaxed)
            }
            return Double(memory.bytes)
        }
    }

    private static func rate(
        on device: Device, seconds: Double, _ burn: @Sendable (UInt64, UnsafeMutableRawPointer) -> Double
    ) -> Double {
        best(seconds: seconds) {
            let done = Mutex(0.0)
            device.pool.run(chunks: device.threads * 4) { _ in
                let sink = Storage(bytes: 4096)
                let operations = unsafe burn(200_000, sink.mutablePointer)
                done.withLock { $0 += operations }
            }
            return done.withLock { $0 }
        }
    }

    /// The highest rate of `round`, which says how much it did, within `seconds`; at least two rounds.
    private static func best(seconds: Double, _ round: () -> Double) -> Double {
        let end = ContinuousClock.now + .seconds(seconds)
        var best = 0.0
        var rounds = 0
        while rounds < 2 || ContinuousClock.now < end {
            let began = ContinuousClock.now
            let amount = round()
            best = max(best, amount / (ContinuousClock.now - began).seconds)
            rounds += 1
        }
        return best
    }
}
