import MartletTensors

/// The `model.bin` of CTranslate2, binary version 2, as that library's converters of 2019 and 2020 wrote it.
///
/// Layout, little-endian: version u32, the specification's name, its revision u32, the number of variables u32, and for
/// each variable its name, its rank u8, its extents u32, the bytes of an element u8, the number of elements u32, the
/// elements. A name is a length u16 and as many bytes, the last one zero. Source: the reading code of CTranslate2.
package struct CTranslate2File: Sendable {
    /// The name of the specification, such as "TransformerBase".
    package let specification: String
    /// The variables, a slash in a name written as a dot.
    package let tensors: StoredTensors

    /// - Throws: ``FormatError`` for a file that cannot be read, is damaged, or holds elements other than f32.
    package init(contentsOf path: String, _ access: FileAccess = .mapped) throws(FormatError) {
        let file = try MappedFile(path, access)
        var offences = Offences()
        let (name, variables) = unsafe file.withBytes { bytes in
            var cursor = unsafe ByteCursor(bytes)
            return CTranslate2File.read(&cursor, file, &offences)
        }
        try offences.check(path, "not a CTranslate2 model of binary version 2 with f32 weights")
        specification = name
        tensors = try StoredTensors(unique: variables, path: path, files: [file])
    }

    private static func read(
        _ cursor: inout ByteCursor, _ file: MappedFile, _ offences: inout Offences
    ) -> (String, [StoredTensor]) {
        guard cursor.take(UInt32.self) == 2, let name = takeName(&cursor), cursor.take(UInt32.self) != nil,
            let count = cursor.take(UInt32.self)
        else {
            offences.add("it does not begin with version 2 and the name of a specification")
            return ("", [])
        }
        var variables: [StoredTensor] = []
        var names: Set<[UInt8]> = []
        for index in 0..<count {
            guard let variable = takeVariable(&cursor, file) else {
                offences.add("variable \(index) of \(count) is cut off, is not f32, or contradicts its extents")
                return (name, variables)
            }
            if !names.insert(Array(variable.name.utf8)).inserted {
                offences.add("two variables are called \(variable.name)")
            }
            variables.append(variable)
        }
        if cursor.remaining > 0 { offences.add("\(cursor.remaining) bytes follow the last variable") }
        return (name, variables)
    }

    private static func takeName(_ cursor: inout ByteCursor) -> String? {
        guard let length = cursor.take(UInt16.self), length > 1,
            let bytes = unsafe cursor.take(bytes: Int(length)), unsafe bytes.last == 0
        else { return nil }
        return unsafe String(validating: bytes.dropLast(), as: UTF8.self)
    }

    private static func takeVariable(_ cursor: inout ByteCursor, _ file: MappedFile) -> StoredTensor? {
        guard let name = takeName(&cursor), let rank = cursor.take(UInt8.self), rank <= Shape.maximumRank else {
            return nil
        }
        var extents: [Int] = []
        for _ in 0..<rank {
            guard let extent = cursor.take(UInt32.self) else { return nil }
            extents.append(Int(extent))
        }
        guard let itemBytes = cursor.take(UInt8.self), itemBytes == 4, let count = cursor.take(UInt32.self),
            Shape.product(extents) == Int(count)
        else { return nil }
        let offset = cursor.offset
        guard cursor.skip(Int(count) * 4) else { return nil }
        let dotted = String(decoding: name.utf8.map { $0 == UInt8(ascii: "/") ? UInt8(ascii: ".") : $0 }, as: UTF8.self)
        return StoredTensor(
            name: dotted, type: StoredType(.f32), extents: extents, byteOffset: offset, bytes: Int(count) * 4,
            storage: file.storage, path: file.path)
    }
}
