package import MartletLayers
internal import MartletModels
package import MartletPlanning
package import MartletTensors

/// A forecast of this engine's prefill and decode times with a model on this machine, from its description and the
/// types of its weights.
///
/// One layer of each form is timed with weights of zeros, more of them and fewer, and what else a pass takes beside it;
/// the whole is their sum: ends + Σ count · layer. What a longer text adds is the time of attention over its keys,
/// measured alone.
package struct EngineForecast: Sendable {
    /// Layers of one form, in seconds of one pass.
    package struct Part: Sendable, Hashable {
        package let name: String
        package let count: Int
        /// The size of one layer's packed matrices in bytes.
        package let bytes: Int
        package var timing: EngineRun.Timing
    }

    package let request: EngineRun.Request
    /// The tokens in the KV cache while writing.
    package let context: Int
    /// The size of all packed matrices in bytes.
    package let packedBytes: Int
    private let timedPrompt: Int
    package private(set) var parts: [Part] = []
    /// Tables, last norm, head and everything that is done once in a pass.
    package private(set) var ends = EngineRun.Timing(read: 0, write: nil)
    /// The seconds that attention takes longer than at the length that was timed, over all layers.
    package private(set) var longer = EngineRun.Timing(read: 0, write: nil)

    /// The number of rows that are timed; a longer prompt is read in passes of so many.
    fileprivate static let timedPrompt = 512
    static let writtenTokens = 32
    /// Weights beyond this come from memory whatever the caches hold.
    fileprivate static let mostPool = 512 << 20

    /// The models that a forecast times; they can take turns with others.
    package final class TimingRuns {
        fileprivate let variants: [(form: Int, more: Int, bytes: Int, run: EngineRun)]
        fileprivate let forms: [LayerSample.Form]
        fileprivate let layerBytes: [Int]
        fileprivate let request: EngineRun.Request
        fileprivate let timedPrompt: Int
        fileprivate let architecture: Architecture
        fileprivate let packedBytes: Int
        fileprivate let context: Int
        fileprivate let device: Device
        /// The runs that take turns.
        package var runs: [EngineRun] { variants.map(\.run) }

        /// - Parameter types: how each matrix is stored.
        /// - Throws: ``PlanningError`` for a description that cannot be run.
        package init(
            _ architecture: Architecture, types: @escaping StoredTypes, _ request: EngineRun.Request,
            context: Int? = nil, on device: Device
        ) throws(PlanningError) {
            let whole = EmptyWeights(types: types)
            let matrices: [ParameterDescription]
            do {
                _ = try Model(architecture, Scope(whole))
                matrices = try architecture.inventory().entries.filter { $0.shape.rank > 1 }
            } catch { throw .impossible(error.description) }
            let pool = EmptyWeights.Pool(bytes: min(whole.packedBytes, EngineForecast.mostPool) + (1 << 20))
            let sample = LayerSample(architecture, matrices: matrices, types: types)
            (forms, packedBytes, self.device) = (sample.forms, whole.packedBytes, device)
            (self.request, self.architecture) = (request, architecture)
            // Decoders read in passes of so many rows, encoders all at once.
            let isDecoder = if case .decoder = architecture.body { true } else { false }
            timedPrompt = isDecoder ? min(request.prompt, EngineForecast.timedPrompt) : request.prompt
            self.context = context ?? request.prompt
            var shorter = request
            shorter.prompt = timedPrompt
            let base = try sample.model().bytes
            var (variants, layerBytes) = ([(form: Int, more: Int, bytes: Int, run: EngineRun)](), [Int]())
            func add(_ form: Int, _ more: Int) throws(PlanningError) {
                let bytes = try sample.model(adding: more, ofForm: form).bytes
                let turns = max(1, min(8, (pool.storage.bytes - 1) / max(bytes, 1)))
                var models: [Model] = []
                for _ in 0..<turns { models.append(try sample.model(adding: more, ofForm: form, from: pool).model) }
                variants.append((form, more, bytes, EngineRun(models, shorter, on: device)))
            }
            try add(0, 0)
            for (index, form) in forms.enumerated() {
                let bytes = try sample.model(adding: 1, ofForm: index).bytes - base
                layerBytes.append(bytes)
                if form.count > 1 { try add(index, TimingRuns.copies(of: bytes, count: form.count)) }
            }
            (self.variants, self.layerBytes) = (variants, layerBytes)
        }

        /// The number of layers besides the first: all of a small model, of a large one enough to be told from the
        /// rest.
        private static func copies(of bytes: Int, count: Int) -> Int {
            let wanted = max(2, (128 << 20) / max(bytes, 1))
            return min(count - 1, wanted)
        }
    }

    /// Reads the times of a timed's runs, in their order.
    package init(_ timed: TimingRuns, _ timings: [EngineRun.Timing]) {
        (request, context, packedBytes) = (timed.request, timed.context, timed.packedBytes)
        timedPrompt = timed.timedPrompt
        let base = timings[0]
        ends = base
        for (index, form) in timed.forms.enumerated() {
            let variant = timed.variants.indices.dropFirst().first { timed.variants[$0].form == index }
            let more = variant.map { Double(timed.variants[$0].more) } ?? 1
            let longer = variant.map { timings[$0] } ?? base
            func layer(_ of: (EngineRun.Timing) -> Double?) -> Double? {
                guard let with = of(longer), let without = of(base) else { return nil }
                return max(0, with - without) / more
            }
            let timing = EngineRun.Timing(read: layer(\.read) ?? 0, write: layer(\.write))
            parts.append(
                Part(
                    name: "\(form.role.rawValue) layer like \(form.example)", count: form.count,
                    bytes: timed.layerBytes[index], timing: timing))
            // Forms with one layer stay in the ends, where they were timed.
            if variant != nil {
                ends.read -= timing.read
                if let write = ends.write, let own = timing.write { ends.write = write - own }
            }
        }
        addLength(timed)
    }

    private mutating func addLength(_ runs: TimingRuns) {
        guard request.prompt > runs.timedPrompt || context > runs.timedPrompt + EngineForecast.writtenTokens
        else { return }
        let probe = AttentionProbe(device: runs.device)
        let timed = runs.timedPrompt
        var write = 0.0
        for (role, stack) in runs.architecture.stacks where role == .decoder {
            for form in Set(stack.layers.map(\.attention)) {
                let count = Double(stack.layers.count { $0.attention == form } * request.sequences)
                write +=
                    count * (probe.seconds(form, rows: 1, start: context) - probe.seconds(form, rows: 1, start: timed))
                guard request.prompt > timed else { continue }
                let first = probe.seconds(form, rows: timed, start: 0)
                for start in stride(from: timed, to: request.prompt, by: timed) {
                    let rows = min(timed, request.prompt - start)
                    let later = probe.seconds(form, rows: rows, start: start)
                    longer.read += count * (later - first * Double(rows) / Double(timed))
                }
            }
        }
        longer.write = max(0, write)
    }

    private func total(_ of: (EngineRun.Timing) -> Double?) -> Double? {
        guard let ends = of(ends) else { return nil }
        return parts.reduce(ends) { $0 + (of($1.timing) ?? 0) * Double($1.count) }
    }

    /// The time in seconds until everything is read (prefill).
    package var read: Double {
        (total(\.read) ?? 0) * Double(request.prompt) / Double(timedPrompt) + longer.read
    }

    /// The time per output token in seconds; nil for encoders.
    package var write: Double? { total(\.write).map { $0 + (longer.write ?? 0) } }

    /// Times the runs of a timed for about so many seconds in all.
    package init(_ timed: TimingRuns, seconds: Double = 1) {
        let runs = timed.runs
        self.init(
            timed,
            EngineRun.compare(runs, seconds: seconds / Double(runs.count), tokens: EngineForecast.writtenTokens))
    }
}
