import MartletFormats
import MartletJSON
import MartletLayers
import MartletPlatform
package import MartletTensors

// The model with its weights.

extension ModelFile {
    /// The decoder with its weights, packed for `device`.
    ///
    /// - Throws: ``CheckpointError`` with every missing and misshapen tensor; ``UnsupportedArchitecture``;
    ///   ``FormatError``.
    package func decoder(on device: Device) throws -> Decoder {
        var weights = PackedWeights()
        return try decoder(on: device, weights: &weights)
    }

    /// The decoder with its weights, packed for `device`, and the size of them.
    package func decoder(on device: Device, weights: inout PackedWeights) throws -> Decoder {
        guard case .decoder(let decoder) = try model(on: device, weights: &weights) else {
            throw ModelError("\(path): this model does not continue texts; it is not a decoder")
        }
        return decoder
    }

    /// The model with its weights, packed for `device`.
    ///
    /// - Throws: ``CheckpointError`` with every missing and misshapen tensor; ``UnsupportedArchitecture``;
    ///   ``FormatError``.
    package func model(on device: Device) throws -> Model {
        var weights = PackedWeights()
        return try model(on: device, weights: &weights)
    }

    package func model(on device: Device, weights: inout PackedWeights) throws -> Model {
        try checkMemory()
        let queue = PackingQueue()
        let cached = try packedIdentity()
        let kept = cached.flatMap { $0.cache.matrices(of: $0.identity, on: device) }
        let source = CheckpointSource(
            try checkpoint(), device: device, matrices: matrices, queue: queue, dividedAmong: ranks, kept: kept)
        let adapted = try adapted(source, on: device)
        let model = try Model(architecture, Scope(adapted))
        if let failure = source.failure { throw failure }
        if let routed = (adapted as? AdaptedSource)?.routed.first {
            throw ModelError(
                "\(path): an adapter of \(routed), one of a mixture's experts, cannot be used beside other adapters of "
                    + "one model; load the model with it alone")
        }
        queue.run(on: device)
        ranks?.complete()
        // What was packed was that of the file which was opened.
        try tensors.checkUnchanged()
        if let cached, kept == nil { cached.cache.keep(source.packed, of: cached.identity) }
        weights = source.weights
        if let packedCache, weights.bytes >= packedCache.least { packedCache.chooseRows(for: weights.types) }
        return model
    }

    /// The cache, and the identity of this model in it; nil where nothing is to be kept: without a cache, and of ranks,
    /// which pack parts.
    private func packedIdentity() throws(FormatError) -> (cache: PackedCache, identity: PackedCache.Identity)? {
        guard let packedCache, ranks == nil else { return nil }
        var (name, content) = (Fingerprint(), Fingerprint())
        for path in tensors.paths { name.add(Folder.absolute(path)) }
        name.add(matrices?.rawValue ?? "")
        content.add("\(name)")
        content.add(JSON.object(settings).serialized())
        do throws(FileError) {
            try tensors.identify(in: &content)
            // Another version may pack otherwise, or read other rows.
            try content.add(identityOf: "/proc/self/exe")
        } catch {
            throw FormatError(error)
        }
        return (packedCache, PackedCache.Identity(name: name, content: content))
    }

    /// - Throws: ``ModelError`` where the weights alone take more memory than there is: better told than killed.
    private func checkMemory() throws(ModelError) {
        let (available, limit) = SystemMemory.available
        let stored = tensors.all.reduce(0) { $0 + ($1.extents.count > 1 ? $1.bytes : 0) }
        // What is rounded to int8 takes at least a quarter.
        let bytes = (matrices == nil ? stored : stored / 4) / (ranks?.count ?? 1)
        guard available > 0, bytes > available else { return }
        func megabytes(_ bytes: Int) -> String { "\(bytes / 1_000_000) MB" }
        throw ModelError(
            "\(path): the weights take \(megabytes(bytes)), but \(limit.rawValue) leaves \(megabytes(available)); quantize the model (martlet quantize), or raise the limit"
        )
    }

    /// The file's tensors matched with the parameters that the model asks for.
    package func checkpoint() throws -> Checkpoint { try checkpoint(of: architecture, inventory()) }

    /// The file's tensors matched with some of the parameters of a model, `architecture`, that it may hold.
    ///
    /// - Parameter ignoring: further names that may be there and are not needed.
    func checkpoint(
        of architecture: Architecture, _ inventory: Inventory, ignoring: [String] = []
    ) throws(CheckpointError) -> Checkpoint {
        switch container {
        case .directory:
            return try Checkpoint(
                tensors, family.names(architecture, storedAs: tensors).withBias(ofHead: architecture.head, in: tensors),
                prefixes: family.prefixes,
                inventory: inventory, ignoring: family.unused + ["lm_head.weight"] + ignoring)
        case .gguf:
            let published = family.names(architecture)
            // An adapter's head that labels keeps the family's names over a GGUF too.
            let labels = ["sequence", "rows", "answers"].filter { module in
                published.resolve(module + ".weight").map { tensors[$0.name] != nil } ?? false
            }
            let head: WeightNames = architecture.writes ? [:] : published.of("head")
            return try Checkpoint(
                tensors,
                head.adding(family.ggufNames(architecture, modelType: modelType))
                    .adding(GGUFNames.older(modelType, storedAs: tensors)).adding(GGUFHead.single(storedAs: tensors))
                    .adding(GGUFHead.ranking(architecture))
                    .adding(labels.reduce([:]) { $0.adding(published.of($1)) }),
                prefixes: [""], inventory: inventory,
                ignoring: GGUFHead.unused + [
                    "rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight", "dense_#.weight",
                ] + ignoring)
        }
    }
}
