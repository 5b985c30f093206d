import MartletFormats
import MartletLayers
import MartletTensors

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

extension Architecture {
    /// The same model with a head of its own where the checkpoint keeps one whose numbers are not the token table's: transformers 5 ties
    /// only what is the same, whatever the configuration says.
    func separatingHead(_ family: any Family.Type, _ tensors: StoredTensors) -> Architecture {
        guard case .tokens(var head) = self.head, head.weights == .tied else { return self }
        let names = family.names(self)
        func stored(_ path: String) -> StoredTensor? {
            guard let name = names.resolve(path), name.layout == .asStored else { return nil }
            return (family.prefixes + [""]).lazy.compactMap { tensors[$0 + name.name] }.first
        }
        guard let own = stored("head.weight"), let table = stored("tokens.weight"), own.extents == table.extents,
            !own.hasSameBytes(as: table)
        else { return self }
        head.weights = .own
        var architecture = self
        architecture.head = .tokens(head)
        return architecture
    }
}

extension StoredTensor {
    /// Whether two tensors have one type and the same elements.
    fileprivate func hasSameBytes(as other: StoredTensor) -> Bool {
        guard type == other.type, bytes == other.bytes else { return false }
        defer { withExtendedLifetime((storage, other.storage)) {} }
        return unsafe memcmp(storage.pointer + byteOffset, other.storage.pointer + other.byteOffset, bytes) == 0
    }
}
