import MartletFormats
import MartletLayers
import MartletPlatform
import MartletTensors

extension Architecture {
    /// This architecture with the head that the checkpoint has: one of its own where it keeps one whose numbers are not
    /// the token table's (transformers 5 ties only what is the same, whatever the configuration says), in some families
    /// the token table where it keeps none.
    func fittingHead(
        _ family: any Family.Type, _ tensors: StoredTensors, isGGUF: Bool = false
    ) -> Architecture {
        let names = isGGUF ? family.ggufNames(self, modelType: "") : family.names(self)
        func stored(_ path: String) -> StoredTensor? { tensors.parameter(path, names, family) }
        if case .pooled = self.head {
            // Sentence encoders were also saved without the part that they do not use.
            var architecture = self
            if stored("pooled.transform.weight") == nil { architecture.head = .none }
            return architecture
        }
        guard case .tokens(var head) = self.head else { return self }
        if case .encoder = body, head.transform != nil, !isGGUF, stored("tokens.weight") != nil {
            let spelled = family.names(self, storedAs: tensors)
            let parts = ["head.transform.weight", "head.bias"].compactMap { tensors.parameter($0, spelled, family) }
            if parts.isEmpty {
                // So were encoders saved that name the class which trained them.
                var architecture = self
                architecture.head = .none
                return architecture
            }
        }
        let written = embedding.targetVocabulary == nil ? "tokens.weight" : "targetTokens.weight"
        let (own, table) = (stored("head.weight"), stored(written))
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

extension Architecture {
    /// This architecture with the tables of sines that the checkpoint keeps, where their numbers are not those that are
    /// computed: the reference adds what the file has.
    func fittingPositions(_ family: any Family.Type, _ tensors: StoredTensors) -> Architecture {
        guard case .encoderDecoder(var encoder, var decoder) = body else { return self }
        let names = family.names(self)
        func fit(_ stack: inout Stack, _ path: String) {
            guard case .sinusoidal(let form) = stack.positions, let stored = tensors.parameter(path, names, family),
                stored.extents.count == 2, stored.extents[1] == width,
                [.f32, .f16, .bf16].contains(stored.type.loadedType),
                let table = try? stored.tensor().decoded(on: Device(threads: 1)).values
            else { return }
            let isComputed = (0..<stored.extents[0]).allSatisfy { position in
                zip(table[(position * width)...], PositionTable.row(position, form, width: width)).allSatisfy {
                    abs($0 - $1) < 1e-5
                }
            }
            if !isComputed { stack.positions = .learned(stored.extents[0]) }
        }
        fit(&encoder, "encoder.positions.weight")
        fit(&decoder, "decoder.positions.weight")
        var architecture = self
        architecture.body = .encoderDecoder(encoder, decoder)
        return architecture
    }
}

extension StoredTensors {
    /// The tensor of a parameter that is kept as it is, whatever stands before its name.
    fileprivate func parameter(_ path: String, _ names: WeightNames, _ family: any Family.Type) -> StoredTensor? {
        guard let name = names.resolve(path), name.layout == .asStored else { return nil }
        return (family.prefixes + [""]).lazy.compactMap { self[$0 + name.name] }.first
    }
}

extension StoredTensor {
    /// Returns whether two tensors have one type and the same elements.
    fileprivate func hasSameBytes(as other: StoredTensor) -> Bool {
        guard type == other.type, bytes == other.bytes else { return false }
        defer { withExtendedLifetime((storage, other.storage)) {} }
        return unsafe memcmp(storage.pointer + byteOffset, other.storage.pointer + other.byteOffset, bytes) == 0
    }
}
