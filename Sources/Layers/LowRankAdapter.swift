package import MartletTensors
import Synchronization

/// The factors of a low-rank adapter as one projection adds them: y += scale · (x Aᵀ) Bᵀ (LoRA, arXiv:2106.09685).
package struct LowRankAdapter: Sendable {
    /// A, `[rank, inputs]`.
    let down: Parameter
    /// The factor B, `[outputs of the stored tensor, rank]`: a fused tensor holds the rows of several projections.
    let up: Parameter
    /// The rows of B that are this projection's; all when nil.
    let rows: [Int]?
    let scale: Float
    /// The number of its target in the layout: the place of its random zeros.
    let place: Int
    /// The dropout of the adapter's inputs, which a training pass sets; nil: none become zero.
    private var dropouts: AdapterDropouts?
    /// The selection of this adapter by the rows of each pass, and its number there; nil: all rows select it.
    private var selection: (rows: AdapterSelection, number: Int)?

    init(down: Parameter, up: Parameter, rows: [Int]?, scale: Float, place: Int) {
        (self.down, self.up, self.rows, self.scale, self.place) = (down, up, rows, scale, place)
    }

    /// The low-rank addend of a projection in the present pass; nil where none of its rows select this adapter.
    package var addend: LowRankAddend? {
        let selected = selection.map { $0.rows.rows(of: $0.number) }
        if selected?.isEmpty == true { return nil }
        return LowRankAddend(
            down: down.tensor, up: rows.map { up.tensor.selecting(rows: $0) } ?? up.tensor, scale: scale,
            dropout: dropouts?.dropout(place: place), rows: selected)
    }

    /// This adapter for those rows alone that select it as `number`.
    package func selected(by rows: AdapterSelection, _ number: Int) -> LowRankAdapter {
        var adapter = self
        adapter.selection = (rows, number)
        return adapter
    }

    func dropping(by dropouts: AdapterDropouts) -> LowRankAdapter {
        var adapter = self
        adapter.dropouts = dropouts
        return adapter
    }

    /// This adapter with its rows of B taken out once: for factors that do not change.
    package var sliced: LowRankAdapter {
        guard let rows else { return self }
        let up = self.up.tensor.selecting(rows: rows)
        let factor = ParameterDescription(self.up.name, up.shape, .zeros, role: self.up.role)
        return LowRankAdapter(down: down, up: Parameter(factor, value: up), rows: nil, scale: scale, place: place)
    }
}

/// The dropout of the inputs of all adapters of a model that learns (peft's `lora_dropout`): set in front of each pass,
/// read by every projection in it, the same again when a layer is computed a second time.
package final class AdapterDropouts: Sendable {
    /// The share's bits; the seed.
    private let share = Atomic<UInt32>(0)
    private let seed = Atomic<UInt64>(0)

    func set(share: Float, seed: UInt64) {
        self.share.store(share.bitPattern, ordering: .relaxed)
        self.seed.store(seed, ordering: .relaxed)
    }

    func dropout(place: Int) -> Dropout? {
        let share = Float(bitPattern: share.load(ordering: .relaxed))
        guard share > 0 else { return nil }
        // Apart from the places of layers, which are below.
        return Dropout(share: share, seed: seed.load(ordering: .relaxed), stream: 7 << 32 | UInt64(place))
    }
}
