package import MartletLayers
package import MartletTensors

extension ModelFile {
    /// The checkpoint of another model that has this one's body and a head of its own, and the names of the head's
    /// parameters that the file does not hold, or holds in another shape: those begin anew.
    ///
    /// - Throws: ``CheckpointError`` for a file that does not fit its own configuration, or lacks a part of the body.
    package func checkpoint(under other: Architecture) throws -> (checkpoint: Checkpoint, new: Set<String>) {
        _ = try checkpoint()
        let inventory = try other.inventory()
        var new: Set<String> = []
        for entry in inventory.entries where entry.isPartOfHead {
            do throws(CheckpointError) {
                _ = try checkpoint(of: other, Inventory([entry]), ignoring: ["*"])
            } catch {
                new.insert(entry.name)
            }
        }
        let held = Inventory(inventory.entries.filter { !new.contains($0.name) })
        return (try checkpoint(of: other, held, ignoring: ["*"]), new)
    }
}

extension ParameterDescription {
    /// True where the parameter stands behind a model's last hidden states.
    package var isPartOfHead: Bool {
        switch role {
        case .head, .headTransform, .pooler: true
        case .norm: place == nil
        default: false
        }
    }
}

/// A model whose head, or a part of it, is new: what the checkpoint does not have comes from a seed.
package final class NewHeadSource: ParameterSource {
    private let checkpoint: CheckpointSource
    private let fresh: SeededInitialiser
    private let new: Set<String>

    package init(_ checkpoint: CheckpointSource, new: Set<String>, from fresh: SeededInitialiser) {
        (self.checkpoint, self.new, self.fresh) = (checkpoint, new, fresh)
    }

    package func parameter(_ description: ParameterDescription) -> Parameter {
        new.contains(description.name) ? fresh.parameter(description) : checkpoint.parameter(description)
    }

    package func packed(_ parameter: Parameter) -> PackedMatrix? {
        new.contains(parameter.name) ? fresh.packed(parameter) : checkpoint.packed(parameter)
    }

    package func decoded(_ parameter: Parameter) -> Parameter { checkpoint.decoded(parameter) }
}
