/// PyTorch's element types, by the names of classes and of types.
enum PyTorchTypes {
    static let storages: [String: StoredType] = {
        let names = [
            "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16", "DoubleStorage": "F64",
            "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8",
            "BoolStorage": "BOOL",
        ]
        return named(names)
    }()

    static let elements: [String: StoredType] = {
        let names = [
            "float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64", "int64": "I64", "int32": "I32",
            "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL", "float8_e4m3fn": "F8_E4M3",
            "float8_e5m2": "F8_E5M2",
        ]
        return named(names)
    }()

    private static func named(_ names: [String: String]) -> [String: StoredType] {
        var types: [String: StoredType] = [:]
        for (name, type) in names { types["torch." + name] = Safetensors.types[type] }
        return types
    }
}
