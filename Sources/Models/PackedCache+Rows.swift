import MartletFormats
import MartletJSON
import MartletPlatform
package import MartletTensors

extension PackedCache {
    /// The file that keeps the limits of ``PackedRows`` that were measured on this processor.
    static let rowsName = "rows.json"

    /// Sets the limits of ``PackedRows`` for products with weights of `types`: as they were measured before, or now,
    /// once for a processor and an instruction set.
    package func chooseRows(for types: Set<ElementType>) {
        let path = "\(folder)/\(PackedCache.rowsName)"
        var kept = PackedCache.isOwn(path) ? PackedCache.rows(at: path) : [:]
        var isNew = false
        for type in types.sorted(by: { $0.rawValue < $1.rawValue }) {
            if let rows = kept[type] {
                PackedRows.set(rows, type)
            } else {
                PackedRows.measure(type)
                kept[type] = PackedRows.limit(type)
                isNew = true
            }
        }
        if isNew { PackedCache.write(kept, to: path) }
    }

    /// The limits in the file at `path`; none where it is of another processor or cannot be read.
    private static func rows(at path: String) -> [ElementType: Int] {
        guard let json = try? JSON(contentsOf: path), json["processor"]?.stringValue == Processor.name,
            json["kernels"]?.stringValue == Processor.kernels
        else { return [:] }
        var rows: [ElementType: Int] = [:]
        for type in ElementType.allCases {
            guard let value = json[type.rawValue]?.integerValue, (1...Int(UInt16.max)).contains(value) else { continue }
            rows[type] = value
        }
        return rows
    }

    /// A file that cannot be written costs a measurement the next time, and nothing else.
    private static func write(_ rows: [ElementType: Int], to path: String) {
        var object = JSONObject()
        object["processor"] = .string(Processor.name)
        object["kernels"] = .string(Processor.kernels)
        for type in ElementType.allCases { if let limit = rows[type] { object[type.rawValue] = .integer(limit) } }
        guard (try? Folder.make(String(path.dropLast(rowsName.utf8.count + 1)))) != nil,
            var file = try? AtomicFile(path), (try? file.append(JSON.object(object).serialized())) != nil
        else { return }
        try? file.commit()
    }
}
