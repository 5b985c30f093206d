import MartletFormats
import MartletLayers
package import MartletModels
import MartletTensors

/// llama.cpp's importance matrices: a GGUF that has, for each tensor of the model's GGUF, `NAME.in_sum2` `[experts,
/// columns]` and `NAME.counts` `[experts, 1]`, in f32.
extension Importance {
    /// Reads the file at `path` for the tensors of `export`.
    ///
    /// - Throws: ``FormatError``; ``QuantizationError`` for a file of something else or of another model.
    package init(contentsOf path: String, for export: WeightExport) throws {
        let file = try GGUF(contentsOf: path)
        guard try file.metadata.string("general.type") == "imatrix" else {
            throw QuantizationError("\(path): this is no importance matrix (its general.type is not imatrix)")
        }
        var columns: [String: Columns] = [:]
        for (planned, parts) in export.contents where parts[0].shape.rank > 1 {
            guard let sums = file.tensors[planned.name + ".in_sum2"] else { continue }
            let squares = try Importance.numbers(sums), width = planned.shape.width
            let counts = try Importance.numbers(file.tensors.stored(planned.name + ".counts", of: path))
            let rows = squares.count / max(width, 1)
            guard rows * width == squares.count, counts.count == rows, rows == 1 || rows == parts.count,
                squares.allSatisfy({ $0.isFinite && $0 >= 0 }), counts.allSatisfy({ $0 >= 0 && $0 < 1e15 })
            else {
                throw QuantizationError("\(path): \(planned.name) does not fit this model's \(planned.shape)")
            }
            for (index, part) in parts.enumerated() {
                let row = rows == 1 ? 0 : index
                columns[part.name] = Columns(
                    squares: squares[row * width..<(row + 1) * width].map(Double.init), rows: Int(counts[row]))
            }
        }
        guard !columns.isEmpty else { throw QuantizationError("\(path): it names no tensor of this model") }
        self.init(
            columns: columns, chunks: try file.metadata.integer("imatrix.chunk_count") ?? 0,
            chunkSize: try file.metadata.integer("imatrix.chunk_size") ?? 0)
    }

    private static func numbers(_ stored: StoredTensor) throws -> [Float] {
        let tensor = try stored.tensor()
        guard tensor.type == .f32 else { throw QuantizationError("\(stored.path): \(stored.name) is not in f32") }
        return tensor.values
    }

    /// Writes the file, for the tensors of `export`.
    ///
    /// - Parameter dataset: what the text is called.
    /// - Throws: ``FormatError``.
    package func write(to path: String, for export: WeightExport, dataset: String) throws {
        let metadata: GGUFMetadata = [
            "general.type": .string("imatrix"),
            "imatrix.datasets": .array(GGUFArray([dataset])),
            "imatrix.chunk_count": .uint32(UInt32(clamping: chunks)),
            "imatrix.chunk_size": .uint32(UInt32(clamping: chunkSize)),
        ]
        var tensors: [(name: String, tensor: Tensor)] = []
        for (planned, parts) in export.contents {
            let known = parts.compactMap { columns[$0.name] }
            guard known.count == parts.count, let first = known.first else { continue }
            // Parts that met the same rows share one row of sums; experts each have their own.
            let kept = planned.shape.rank == 3 ? known : [first]
            let squares = kept.flatMap { $0.squares.map { Float($0) } }
            tensors.append(
                (planned.name + ".in_sum2", Tensor(squares, shape: [kept.count, first.squares.count])))
            tensors.append((planned.name + ".counts", Tensor(kept.map { Float($0.rows) }, shape: [kept.count, 1])))
        }
        try GGUF.write(tensors, metadata: metadata, to: path)
    }
}

extension StoredTensors {
    fileprivate func stored(_ name: String, of path: String) throws -> StoredTensor {
        guard let stored = self[name] else { throw QuantizationError("\(path): there is no \(name)") }
        return stored
    }
}
