import MartletFormats
import MartletLayers
import MartletPlatform
import MartletTensors

extension Architecture {
    /// The same model with the head that the checkpoint has: one of its own where it keeps one whose numbers are not the token table's
    /// (transformers 5 ties only what is the same, whatever the configuration says), in some families the token table where it keeps none.
    func fittingHead(_ family: any Family.Type, _ tensors: StoredTensors) -> Architecture {
        let names = family.names(self)
        func stored(_ path: String) -> StoredTensor? {
            guard let name = names.resolve(path), name.layout == .asStored else { return nil }
            return (family.prefixes + [""]).lazy.compactMap { tensors[$0 + name.name] }.first
        }
        if case .pooled = self.head {
            // Sentence encoders were also saved without the part that they do not use.
            var architecture = self
            if stored("pooled.transform.weight") == nil { architecture.head = .none }
            return architecture
        }
        guard case .tokens(var head) = self.head else { return self }
        let (own, table) = (stored("head.weight"), stored("tokens.weight"))
        switch (head.weights, own, table) {
        case (.tied, let own?, let table?) where own.extents == table.extents && !own.hasSameBytes(as: table):
            head.weights = .own
        case (.own, nil, .some) where family.tiesWhereHeadIsAbsent: head.weights = .tied
        default: return self
        }
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
