import MartletJSON
import MartletModels
import MartletTensors

/// The measurements of an encoder-decoder.
struct WriterReport {
    /// Source tokens per second.
    let prefill: Double
    /// Target tokens per second, without and with reading.
    let decode, total: Double
    let beams: Int
    let peakResidentBytes: Int
    let threads: Int

    var json: JSON {
        [
            "prefill": ["tokens_per_second": .number(prefill)], "decode": ["tokens_per_second": .number(decode)],
            "total": ["tokens_per_second": .number(total)], "beams": .integer(beams),
            "peak_rss_bytes": .integer(peakResidentBytes), "threads": .integer(threads),
        ]
    }

    var text: String {
        func tenth(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
        return """
            read         \(tenth(prefill)) source tokens/s
            write        \(tenth(decode)) tokens/s, \(tenth(total)) with reading; \(beams) beams
            memory       \(tenth(Double(peakResidentBytes) / 1e6)) MB at most
            threads      \(threads)

            """
    }
}

/// The measurements, and their shares of what the machine can do.
struct SpeedReport {
    let prefill: Double
    /// The tokens per second of decoding; nil for encoders, which do not continue.
    let decode: Double?
    let prompt: Int
    let limits: MachineLimits
    let bytesPerStep: Double
    let weights: PackedWeights
    let batch: Int
    let firstToken: Double?
    let peakResidentBytes: Int
    let threads: Int

    /// Model bandwidth utilisation: bytes that decoding must read per second, of the measured bandwidth.
    private func mbu(_ decode: Double) -> Double { bytesPerStep * decode / Double(batch) / limits.bandwidth }
    /// Model FLOP utilisation of prefill: the time that the projections' multiply-adds take at the measured peaks of
    /// their types, of the time they took. Attention and the last row's logits are not counted.
    private var mfu: Double {
        let (integer, float) = (Double(weights.quantizedElements), Double(weights.plainElements))
        return 2 * (integer / limits.int8 + float / limits.f32) * prefill
    }
    /// The peaks that apply, by name.
    private var peaks: String {
        weights.plainElements == 0 ? "int8" : weights.quantizedElements == 0 ? "f32" : "int8 and f32"
    }

    private var machine: JSON {
        [
            "bandwidth_bytes_per_second": .number(limits.bandwidth), "peak_flops": .number(limits.f32),
            "peak_bf16_flops": .number(limits.bf16), "peak_int8_operations": .number(limits.int8),
            "threads": .integer(threads),
        ]
    }

    var json: JSON {
        guard let decode, let firstToken else {
            return [
                "encode": [
                    "tokens_per_second": .number(prefill), "sequences_per_second": .number(prefill / Double(prompt)),
                ],
                "machine": machine, "mfu": .number(mfu), "mfu_peak": .string(peaks),
                "peak_rss_bytes": .integer(peakResidentBytes),
            ]
        }
        return [
            "prefill": ["tokens_per_second": .number(prefill)],
            "decode": ["tokens_per_second": .number(decode)],
            "machine": machine,
            "mbu": .number(mbu(decode)),
            "mfu": .number(mfu),
            "mfu_peak": .string(peaks),
            "first_token_seconds": .number(firstToken),
            "peak_rss_bytes": .integer(peakResidentBytes),
        ]
    }

    var text: String {
        func tenth(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
        let limit = "(f32 \(tenth(limits.f32 / 1e9)), int8 \(tenth(limits.int8 / 1e9)) G operations/s)"
        var lines = ["\(tenth(prefill)) tokens/s, \(tenth(mfu * 100)) % of the \(peaks) peak \(limit)"]
        if let decode, let firstToken {
            lines[0] = "prefill      " + lines[0]
            let share = "\(tenth(mbu(decode) * 100)) % of the bandwidth (\(tenth(limits.bandwidth / 1e9)) GB/s)"
            lines.append("decode       \(tenth(decode)) tokens/s, \(share)")
            lines.append("first token  \(tenth(firstToken * 1000)) ms after the start, loading included")
        } else {
            lines[0] = "encode       \(tenth(prefill / Double(prompt))) texts/s, " + lines[0]
        }
        lines.append("memory       \(tenth(Double(peakResidentBytes) / 1e6)) MB at most")
        lines.append("threads      \(threads)")
        return lines.joined(separator: "\n") + "\n"
    }
}
