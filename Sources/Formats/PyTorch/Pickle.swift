/// A reader of a PyTorch checkpoint's pickle that executes nothing: it knows dictionaries, tuples, numbers, texts and
/// tensors; whatever else a pickle would call or build becomes a value without meaning.
///
/// Source: the opcodes of Python's `pickletools`, protocols 2 to 5, as `torch.save` writes them. Containers stand in
/// lists of their own and refer to each other by number, so that nothing recurses, however a file nests them.
struct Pickle {
    /// A value on the stack of the pickle machine.
    enum Value {
        case integer(Int)
        case text(String)
        /// A class or function by its full name.
        case global(String)
        case tuple(Int), list(Int), dictionary(Int)
        case storage(TensorStorage)
        case tensor(TensorView)
        /// A value that is not needed.
        case other
    }

    /// The memory behind tensors, by its name in the file.
    struct TensorStorage {
        let key: String
        /// The class of the storage, or nil where the tensor says what it holds.
        let type: StoredType?
    }

    /// A tensor as a view of a storage, in elements.
    struct TensorView {
        let storage: TensorStorage
        let type: StoredType
        let offset: Int
        let extents: [Int]
        let strides: [Int]
    }

    private(set) var tuples: [[Value]] = []
    /// The lists, of which only the texts are kept: the names of storages.
    private(set) var lists: [[String]] = []
    private(set) var dictionaries: [[(key: String, value: Value)]] = []
    private let reader: ByteReader
    private let end: Int
    private(set) var offset: Int
    private var stack: [Value] = []
    private var marks: [Int] = []
    private var memo: [Int: Value] = [:]

    init(_ reader: ByteReader, _ range: Range<Int>) {
        (self.reader, offset, end) = (reader, range.lowerBound, range.upperBound)
    }

    /// Reads one pickle, after which ``offset`` stands behind it.
    ///
    /// - Returns: nil when it is cut off or uses what no checkpoint uses.
    mutating func read() -> Value? {
        (stack, marks, memo) = ([], [], [:])
        while let code = takeByte() {
            if code == UInt8(ascii: ".") { return stack.popLast() }
            guard step(code) else { return nil }
        }
        return nil
    }

    // MARK: - Taking bytes

    private mutating func takeByte() -> UInt8? {
        guard offset < end, let byte = reader.byte(offset) else { return nil }
        offset += 1
        return byte
    }

    private mutating func takeNumber(bytes: Int) -> Int? {
        guard offset <= end - bytes else { return nil }
        defer { offset += bytes }
        switch bytes {
        case 1: return reader.byte(offset).map { Int($0) }
        case 2: return reader.word16(offset)
        case 4: return reader.word32(offset).map { Int($0) }
        default: return reader.word64(offset)
        }
    }

    private mutating func takeText(lengthBytes: Int) -> Value? {
        guard let length = takeNumber(bytes: lengthBytes), length <= end - offset else { return nil }
        defer { offset += length }
        return reader.text(offset, length).map { .text($0) } ?? .other
    }

    private mutating func takeLine() -> String? {
        let start = offset
        while let byte = takeByte() {
            if byte == UInt8(ascii: "\n") { return reader.text(start, offset - 1 - start) }
        }
        return nil
    }

    private mutating func skip(_ count: Int?) -> Bool {
        guard let count, count <= end - offset else { return false }
        offset += count
        return true
    }

    // MARK: - Opcodes

    private mutating func step(_ code: UInt8) -> Bool {
        if let value = scalar(code) {
            stack.append(value)
            return true
        }
        switch code {
        case 0x80: return takeByte() != nil  // PROTO
        case 0x95: return skip(8)  // FRAME
        case UInt8(ascii: "("): marks.append(stack.count)
        case UInt8(ascii: "0"): return stack.popLast() != nil
        case UInt8(ascii: "1"): return takeToMark() != nil
        case UInt8(ascii: "2"):
            guard let top = stack.last else { return false }
            stack.append(top)
        case UInt8(ascii: "q"): return remember(takeNumber(bytes: 1))
        case UInt8(ascii: "r"): return remember(takeNumber(bytes: 4))
        case 0x94: return remember(memo.count)
        case UInt8(ascii: "h"): return recall(takeNumber(bytes: 1))
        case UInt8(ascii: "j"): return recall(takeNumber(bytes: 4))
        default: return container(code)
        }
        return true
    }

    /// The value that an opcode which takes nothing from the stack puts there; nil for other opcodes, and where the
    /// text ends.
    private mutating func scalar(_ code: UInt8) -> Value? {
        switch code {
        case UInt8(ascii: "N"): .other
        case 0x88, 0x89: .other  // true, false
        case UInt8(ascii: "K"): takeNumber(bytes: 1).map { .integer($0) }
        case UInt8(ascii: "M"): takeNumber(bytes: 2).map { .integer($0) }
        case UInt8(ascii: "J"): takeNumber(bytes: 4).map { .integer(Int(Int32(truncatingIfNeeded: $0))) }
        case 0x8a: takeLong()
        case UInt8(ascii: "G"): skip(8) ? .other : nil
        case UInt8(ascii: "X"): takeText(lengthBytes: 4)
        case 0x8c, UInt8(ascii: "U"): takeText(lengthBytes: 1)
        case 0x8d: takeText(lengthBytes: 8)
        case UInt8(ascii: "T"): takeText(lengthBytes: 4)
        case UInt8(ascii: "C"): skip(takeNumber(bytes: 1)) ? .other : nil
        case UInt8(ascii: "B"): skip(takeNumber(bytes: 4)) ? .other : nil
        case 0x8e: skip(takeNumber(bytes: 8)) ? .other : nil
        case UInt8(ascii: "c"): takeLine().flatMap { module in takeLine().map { .global(module + "." + $0) } }
        case UInt8(ascii: ")"): made(tuple: [])
        case UInt8(ascii: "]"): madeList()
        case UInt8(ascii: "}"): madeDictionary()
        case 0x8f: .other  // an empty set
        default: nil
        }
    }

    private mutating func takeLong() -> Value? {
        guard let length = takeByte() else { return nil }
        var value: UInt64 = 0
        for place in 0..<Int(length) {
            guard let byte = takeByte() else { return nil }
            if place < 8 { value |= UInt64(byte) << (8 * UInt64(place)) }
        }
        guard length <= 8 else { return .other }
        // The highest bit is the sign.
        let unused = UInt64(64 - 8 * Int(length))
        return .integer(length == 0 ? 0 : Int(Int64(bitPattern: value << unused) >> Int64(unused)))
    }

    private mutating func container(_ code: UInt8) -> Bool {
        switch code {
        case 0x85, 0x86, 0x87:
            guard let items = takeLast(Int(code) - 0x84) else { return false }
            stack.append(made(tuple: items))
        case UInt8(ascii: "t"):
            guard let items = takeToMark() else { return false }
            stack.append(made(tuple: items))
        case UInt8(ascii: "l"): return takeToMark().map { append($0, to: madeList()) } ?? false
        case UInt8(ascii: "a"):
            guard let item = stack.popLast(), let list = stack.popLast() else { return false }
            return append([item], to: list)
        case UInt8(ascii: "e"), 0x90:
            guard let items = takeToMark(), let list = stack.popLast() else { return false }
            return append(items, to: list)
        case UInt8(ascii: "s"):
            guard stack.count >= 3, let pair = takeLast(2) else { return false }
            set(pair)
        case UInt8(ascii: "u"):
            guard let items = takeToMark(), !stack.isEmpty, items.count.isMultiple(of: 2) else { return false }
            set(items)
        case 0x93:
            guard case .text(let name)? = stack.popLast(), case .text(let module)? = stack.popLast() else {
                return false
            }
            stack.append(.global(module + "." + name))
        case UInt8(ascii: "Q"): return stack.popLast().map { stack.append(persistent($0)) } != nil
        case UInt8(ascii: "R"), 0x81:
            guard let arguments = stack.popLast(), let function = stack.popLast() else { return false }
            stack.append(called(function, arguments))
        // The state of an object: an ordered dictionary's metadata, or of something that has no meaning here.
        case UInt8(ascii: "b"): return stack.popLast() != nil
        default: return false
        }
        return true
    }

    private mutating func takeToMark() -> [Value]? {
        guard let mark = marks.popLast() else { return nil }
        return takeLast(stack.count - mark)
    }

    private mutating func takeLast(_ count: Int) -> [Value]? {
        guard 0...stack.count ~= count else { return nil }
        let items = Array(stack.suffix(count))
        stack.removeLast(count)
        return items
    }

    private mutating func remember(_ place: Int?) -> Bool {
        guard let place, let top = stack.last else { return false }
        memo[place] = top
        return true
    }

    private mutating func recall(_ place: Int?) -> Bool {
        guard let place, let value = memo[place] else { return false }
        stack.append(value)
        return true
    }

    private mutating func made(tuple items: [Value]) -> Value {
        tuples.append(items)
        return .tuple(tuples.count - 1)
    }

    private mutating func madeList() -> Value {
        lists.append([])
        return .list(lists.count - 1)
    }

    private mutating func madeDictionary() -> Value {
        dictionaries.append([])
        return .dictionary(dictionaries.count - 1)
    }

    private mutating func append(_ items: [Value], to list: Value) -> Bool {
        stack.append(list)
        guard case .list(let number) = list else { return true }
        for case .text(let text) in items { lists[number].append(text) }
        return true
    }

    /// Puts pairs of keys and values into the dictionary on top of the stack; those whose key is no text are not
    /// needed.
    private mutating func set(_ items: [Value]) {
        guard case .dictionary(let number)? = stack.last else { return }
        for index in stride(from: 0, to: items.count - 1, by: 2) {
            if case .text(let key) = items[index] { dictionaries[number].append((key, items[index + 1])) }
        }
    }

    // MARK: - Tensors

    /// ("storage", class, key, device, elements): the memory of tensors.
    private func persistent(_ value: Value) -> Value {
        guard case .tuple(let number) = value, tuples[number].count >= 3, case .text("storage") = tuples[number][0],
            case .global(let name) = tuples[number][1], case .text(let key) = tuples[number][2]
        else { return .other }
        return .storage(TensorStorage(key: key, type: PyTorchTypes.storages[name]))
    }

    private mutating func called(_ function: Value, _ arguments: Value) -> Value {
        guard case .global(let name) = function, case .tuple(let number) = arguments else { return .other }
        let arguments = tuples[number]
        switch name {
        case "collections.OrderedDict" where arguments.isEmpty: return madeDictionary()
        case "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3":
            return tensor(arguments)
        case "torch._utils._rebuild_parameter": return arguments.first ?? .other
        default: return .other
        }
    }

    /// (storage, offset, extents, strides, …, type in the newest version).
    private func tensor(_ arguments: [Value]) -> Value {
        guard arguments.count >= 4, case .storage(let storage) = arguments[0], case .integer(let offset) = arguments[1],
            let extents = integers(arguments[2]), let strides = integers(arguments[3]), extents.count == strides.count
        else { return .other }
        var type = storage.type
        if arguments.count > 6, case .global(let name) = arguments[6] { type = PyTorchTypes.elements[name] }
        guard let type else { return .other }
        return .tensor(
            TensorView(storage: storage, type: type, offset: offset, extents: extents, strides: strides))
    }

    private func integers(_ value: Value) -> [Int]? {
        guard case .tuple(let number) = value else { return nil }
        let integers = tuples[number].compactMap { if case .integer(let integer) = $0 { integer } else { nil } }
        return integers.count == tuples[number].count ? integers : nil
    }
}
