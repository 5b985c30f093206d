/// The utilization of a machine by a run, from what was measured; and back: how long a run takes at a stated use.
package enum Utilization {
    private static func percent(
        _ value: Double, _ name: String, _ text: String, _ convention: String, _ source: String,
        _ inputs: [Quantity.Input]
    ) -> Quantity {
        Quantity(100 * value, .percent, Formula(name, text, convention: convention, source: source), inputs)
    }

    /// Model FLOPs utilization (PaLM, arXiv:2204.02311): operations the model needs, over what the devices could have
    /// done.
    package static func ofModel(operations: Double, seconds: Double, devices: Int, peak: Double) -> Quantity {
        percent(
            operations / seconds / (Double(devices) * peak), "time.mfu", "C / (t · devices · peak)",
            "operations of the model only", "arXiv:2204.02311",
            [.init("C", operations), .init("t", seconds), .init("devices", devices), .init("peak", peak)])
    }

    /// Hardware FLOPs utilization (arXiv:2205.05198): the same with what is computed again.
    package static func ofHardware(operations: Double, seconds: Double, devices: Int, peak: Double) -> Quantity {
        percent(
            operations / seconds / (Double(devices) * peak), "time.hfu", "C / (t · devices · peak)",
            "operations with recomputation", "arXiv:2205.05198",
            [.init("C", operations), .init("t", seconds), .init("devices", devices), .init("peak", peak)])
    }

    /// Memory bandwidth utilization: bytes that a decode step must read, weights and cache, over what memory could have
    /// given.
    package static func ofBandwidth(weightBytes: Double, cacheBytes: Double, seconds: Double, bandwidth: Double)
        -> Quantity
    {
        percent(
            (weightBytes + cacheBytes) / seconds / bandwidth, "time.mbu", "(weights + cache) / t / bandwidth",
            "active experts only; the whole batch is one step", "Databricks, LLM inference performance engineering",
            [
                .init("weights", weightBytes), .init("cache", cacheBytes), .init("t", seconds),
                .init("bandwidth", bandwidth),
            ])
    }

    /// The time of a run by its utilization, C / (devices · peak · utilization).
    package static func time(operations: Double, devices: Int, peak: Double, utilization: Double) -> Quantity {
        Quantity(
            operations / (Double(devices) * peak * utilization), .seconds,
            Formula(
                "time.run", "C / (devices · peak · utilization)", convention: "utilization as given",
                source: "arXiv:2204.02311"),
            [
                .init("C", operations), .init("devices", devices), .init("peak", peak),
                .init("utilization", utilization),
            ])
    }

    /// The time of a run by its throughput, tokens / (tokens per second and device · devices).
    package static func time(tokens: Double, tokensPerSecondPerDevice: Double, devices: Int) -> Quantity {
        Quantity(
            tokens / (tokensPerSecondPerDevice * Double(devices)), .seconds,
            Formula(
                "time.throughput", "D / (tokens per second and device · devices)", convention: "throughput as measured",
                source: "definition"),
            [.init("D", tokens), .init("tokens/s/device", tokensPerSecondPerDevice), .init("devices", devices)])
    }

    /// Utilizations that published training runs reached: the prior of a run nobody has measured.
    package static let published: [(run: String, percent: Double, source: String)] = [
        ("GPT-3 175B, V100", 21.3, "arXiv:2204.02311 table 3"),
        ("Gopher 280B, TPU v3", 32.5, "arXiv:2204.02311 table 3"),
        ("Megatron-Turing NLG 530B, A100", 30.2, "arXiv:2204.02311 table 3"),
        ("PaLM 540B, TPU v4", 46.2, "arXiv:2204.02311 table 3"),
        ("Megatron 22B, A100", 41.5, "arXiv:2205.05198 table 5"),
        ("Megatron 175B, A100", 51.4, "arXiv:2205.05198 table 5"),
        ("Megatron 530B, A100", 56.0, "arXiv:2205.05198 table 5"),
        ("Megatron 1T, A100", 56.3, "arXiv:2205.05198 table 5"),
        ("LLaMA 65B, A100, from 380 tokens/s", 47.7, "arXiv:2302.13971 §2.4, 6·N with N = 65,285,660,672"),
    ]

    /// A run at the utilizations that published ones reached: their second lowest, median and second highest.
    package static func timeFromPublishedRuns(operations: Double, devices: Int, peak: Double) -> Quantity {
        let sorted = published.map(\.percent).sorted()
        func seconds(_ percent: Double) -> Double { operations / (Double(devices) * peak * percent / 100) }
        let (low, middle, high) = (sorted[1], sorted[sorted.count / 2], sorted[sorted.count - 2])
        return Quantity(
            .range(low: seconds(high), middle: seconds(middle), high: seconds(low)), .seconds,
            Formula(
                "time.run_from_published", "C / (devices · peak · MFU)",
                convention:
                    "MFU \(shortened(low)), \(shortened(middle)) and \(shortened(high)) %: second lowest, median, second highest of \(published.count) published runs",
                source: "arXiv:2204.02311, 2205.05198, 2302.13971"),
            [.init("C", operations), .init("devices", devices), .init("peak", peak)])
    }
}
