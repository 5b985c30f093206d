internal import MartletLayers
internal import MartletPlanning
import MartletPlatform
internal import MartletTensors

/// A probe of attention's cost over a KV cache on this machine, by its length: measured on keys of zeros.
struct AttentionProbe {
    let device: Device
    /// The number of rows that are measured; more take in proportion to the pairs of a query and a key.
    private static let rows = 64

    /// The time in seconds of `rows` new rows behind `start` kept ones, in one layer and sequence: keeping them and
    /// attending.
    func seconds(_ form: Architecture.Attention, rows: Int, start: Int) -> Double {
        let measured = min(rows, AttentionProbe.rows)
        let pairs = AttentionProbe.pairs(form.reach, rows: rows, start: start)
        // The measured rows stand where the average one does.
        let middle = start + (rows - measured) / 2
        let own = AttentionProbe.pairs(form.reach, rows: measured, start: middle)
        return measure(form, rows: measured, start: middle) * pairs / max(own, 1)
    }

    private static func pairs(_ reach: Architecture.Reach, rows: Int, start: Int) -> Double {
        (0..<rows).reduce(0) { $0 + Double(reach.seenKeys(tokens: start + $1 + 1)) }
    }

    private func measure(_ form: Architecture.Attention, rows: Int, start: Int) -> Double {
        var memory = BlockTable(keyHeads: form.keyHeads, headWidth: form.headWidth, valueWidth: form.valueWidth)
        for first in stride(from: 0, to: start, by: 512) {
            append(min(512, start - first), to: &memory, form)
        }
        // Enough copies that their keys come from memory, as in a model where weights pass between two layers.
        let bytes = max(1, BlockLayout.blocks(for: start) * memory.layout.bytes)
        var copies = [memory]
        while copies.count < 8, copies.count * bytes < 96 << 20, start > 0 {
            var copy = BlockTable(keyHeads: form.keyHeads, headWidth: form.headWidth, valueWidth: form.valueWidth)
            for first in stride(from: 0, to: start, by: 512) { append(min(512, start - first), to: &copy, form) }
            copies.append(copy)
        }
        let query = zeros([rows, form.queryHeads, form.headWidth])
        let key = zeros([rows, form.keyHeads, form.headWidth])
        let value = zeros([rows, form.keyHeads, form.valueWidth])
        var times: [Double] = []
        var spent = 0.0
        while times.count < 2 * copies.count + 2 || (spent < 0.01 && times.count < 4096) {
            let index = times.count % copies.count
            _ = copies[index].truncate(to: start)
            let duration = ContinuousClock().measure {
                attend(query, key, value, form, start: start, &copies[index])
            }
            let seconds = duration.seconds
            times.append(seconds)
            spent += seconds
        }
        return times.sorted()[times.count / 2]
    }

    private func attend(
        _ query: Tensor, _ key: Tensor, _ value: Tensor, _ form: Architecture.Attention, start: Int,
        _ memory: inout BlockTable
    ) {
        let rows = query.shape[0]
        memory.append(keys: key, values: value, rows: 0..<rows, on: device)
        let sequence = Rows.Sequence(rows: 0..<rows, start: start, extent: start + rows)
        let span = form.reach.span(of: sequence, length: memory.length)
        query.attend(
            to: memory[0], span, form.scoreRule(keys: memory.length),
            into: device.make([rows, form.queryHeads, form.valueWidth]))
    }

    private func append(_ count: Int, to memory: inout BlockTable, _ form: Architecture.Attention) {
        memory.append(
            keys: zeros([count, form.keyHeads, form.headWidth]),
            values: zeros([count, form.keyHeads, form.valueWidth]),
            rows: 0..<count, on: device)
    }

    private func zeros(_ shape: Shape) -> Tensor {
        device.tensor(Array(repeating: 0, count: shape.elements), shape: shape)
    }
}
