internal import MartletTensors

extension Hardware {
    /// The machine this runs on, by measurement: the bandwidth and the peaks that `martlet doctor` shows, and its memory.
    public static func thisMachine(threads: Int? = nil, seconds: Double = 1) -> Hardware {
        let device = Device(threads: threads)
        let limits = MachineLimits.measure(on: device, seconds: seconds)
        func figure(_ value: Double) -> Figure { Figure(value, source: "measured here", date: "now") }
        return Hardware(
            name: "this machine (\(Processor.name), \(device.threads) threads)",
            figures: [
                .singlePeak: figure(limits.f32), .halfPeak: figure(limits.bf16), .integerPeak: figure(limits.int8),
                .bandwidth: figure(limits.bandwidth), .memory: figure(Double(Processor.memory.total)),
                // The peak is itself what the best products reach.
                .matmulCeiling: figure(1),
            ])
    }
}
