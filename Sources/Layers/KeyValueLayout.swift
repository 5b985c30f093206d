package import MartletTensors

/// The name of one sequence of a KV cache: a text that is read and written, or a beam of a search.
package struct SequenceID: Hashable, Sendable, ExpressibleByIntegerLiteral {
    package let number: Int

    package init(_ number: Int) { self.number = number }
    package init(integerLiteral number: Int) { self.number = number }
}

/// The layout of a decoder's KV cache: layers of one reach share a table of blocks, cross-attention has one of its own.
package struct KeyValueLayout: Sendable, Hashable {
    /// A layer's place in the cache: the index of its table, and its number among the layers of that table's blocks.
    package struct Place: Sendable, Hashable {
        package let table: Int
        package let layer: Int
    }

    package let type: ElementType
    /// Tables of blocks, one for each different reach.
    package let tables: [BlockLayout]
    /// For each layer of the stack; that of another one where a layer attends to its keys and values.
    package let places: [Place]
    /// The encoder output's keys and values, f32; nil in a stack without cross-attention.
    package let source: BlockLayout?
    /// The number of each layer of the stack among those with cross-attention.
    package let sourceLayers: [Int?]

    /// - Precondition: heads can be kept as `type` (see `Architecture.offences(cache:)`).
    package init(_ stack: Architecture.Stack, type: ElementType = .f32) {
        self.type = type
        var (windows, layers) = ([Int?](), [[BlockLayout.Layer]]())
        var places: [Place] = []
        for layer in stack.layers {
            if case .layer(let other) = layer.attention.keyValues {
                places.append(places[other])
                continue
            }
            let window = layer.attention.reach.cacheWindow
            let table = windows.firstIndex(of: window) ?? windows.count
            if table == windows.count {
                windows.append(window)
                layers.append([])
            }
            places.append(Place(table: table, layer: layers[table].count))
            layers[table].append(layer.attention.cacheLayer)
        }
        self.places = places
        tables = zip(windows, layers).map { BlockLayout($1, type: type, window: $0) }
        let across = stack.layers.compactMap { $0.crossAttention?.cacheLayer }
        source = across.isEmpty ? nil : BlockLayout(across)
        var count = 0
        sourceLayers = stack.layers.map { layer in
            guard layer.crossAttention != nil else { return nil }
            defer { count += 1 }
            return count
        }
    }

    /// The size in bytes of one block of every table, without cross-attention.
    package var blockBytes: Int { tables.reduce(0) { $0 + $1.bytes } }
}

extension Architecture.Attention {
    fileprivate var cacheLayer: BlockLayout.Layer {
        .init(keyHeads: keyHeads, headWidth: headWidth, valueWidth: valueWidth)
    }
}

extension Architecture.Reach {
    /// The attention window, the number of positions that a row sees of the past, its own included; nil where it sees
    /// all.
    fileprivate var cacheWindow: Int? { if case .window(let size) = self { size } else { nil } }
}

extension BlockTable {
    /// The KV cache of one layer for one sequence, filled at once with rows `rows` of `keys` and `values`.
    package init(_ form: Architecture.Attention, keys: Tensor, values: Tensor, rows: Range<Int>, on device: Device) {
        self.init(keyHeads: form.keyHeads, headWidth: form.headWidth, valueWidth: form.valueWidth)
        append(keys: keys, values: values, rows: rows, on: device)
    }
}
