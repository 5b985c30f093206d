import MartletDistributed
import MartletLayers
import MartletTensors

/// The ranks that divide the experts of a model that learns (expert parallelism, arXiv:2006.16668): lanes that each
/// compute a pass of their own, at once, or the ranks that divide the rows of one.
final class ExpertTeam: RankTeam, ExpertRanks, @unchecked Sendable {
    /// This rank's experts of one layer.
    private struct Own {
        var parameters: Range<Int>
        var sum = GradientTree()
        /// The ranks whose rows have come in this pass.
        var taken = 0
    }

    private var own: [ParameterPlace: Own] = [:]
    private let device: Device
    var isIdle = false
    let joinsRows: Bool
    /// The rows of this rank that met experts of others so far, those of others that met experts here, and the layers
    /// with experts that passes have come to.
    private(set) var met = (away: 0, here: 0, layers: 0)

    init(_ team: any Communicator, _ entries: [Inventory.Entry], joiningRows joinsRows: Bool, on device: Device) {
        (self.device, self.joinsRows) = (device, joinsRows)
        super.init(team, for: .experts)
        guard !joinsRows else { return }
        for (index, entry) in entries.enumerated() where isHeld(entry) && entry.expert != nil {
            guard let place = entry.place else { continue }
            let first = own[place]?.parameters.lowerBound ?? index
            own[place] = Own(parameters: first..<index + 1)
        }
    }

    /// Returns whether a parameter is here: not one of the experts of others, which those who divide rows have too.
    func isHeld(_ entry: Inventory.Entry) -> Bool {
        guard !joinsRows, let expert = entry.expert, case .routed(_, let count) = entry.use else { return true }
        return part(of: count).contains(expert)
    }

    func count(away: Int, here: Int) {
        guard purpose == .experts else { return }
        met = (met.away + away, met.here + here, met.layers + 1)
    }

    func takeGradients(ofExpertsAt place: ParameterPlace, in gradients: Gradients) {
        guard var experts = own.removeValue(forKey: place) else { return }
        experts.sum.take(gradients.own(experts.parameters), on: device)
        gradients.open(experts.parameters, anew: true)
        experts.taken += 1
        if experts.taken == count {
            experts.sum.give(to: gradients.own(experts.parameters))
            experts.taken = 0
        }
        own[place] = experts
    }
}

extension RankMesh {
    /// The part of the experts that a parameter is of; nil for what every lane has.
    func part(ofExpertsWith entry: Inventory.Entry) -> Int? {
        guard experts > 1, let expert = entry.expert, case .routed(_, let count) = entry.use else { return nil }
        return (0..<experts).first { count * ($0 + 1) / experts > expert }
    }
}

extension Architecture {
    /// The first layer with experts that other layers read too.
    var sharedExperts: String? {
        for (stack, form) in stacks {
            for layer in form.layers {
                guard let owner = layer.sharesParametersOf, case .experts = form.layers[owner].feedForward else {
                    continue
                }
                return "\(stack.rawValue).\(owner)"
            }
        }
        return nil
    }
}
