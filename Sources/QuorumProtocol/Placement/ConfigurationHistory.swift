// The epochs that a party knows. Whoever decodes or verifies a proof looks up the epoch that the proof names.

/// Configurations of one cluster in ascending epochs; today there is one. Never empty.
public struct ConfigurationHistory: Hashable, Sendable {
    private var configurations: [Configuration]

    public init(_ configuration: Configuration) {
        configurations = [configuration]
    }

    /// The one of the highest epoch, in which all that is new is done.
    public var newest: Configuration { configurations[configurations.count - 1] }

    public var cluster: ClusterID { newest.cluster }

    /// The configuration of that epoch; nil when it is not known.
    public func configuration(of epoch: UInt64) -> Configuration? {
        if newest.epoch == epoch { return newest }
        return configurations.last { $0.epoch == epoch }
    }

    /// Whether there is such a configuration among them.
    package func contains(where matches: (Configuration) -> Bool) -> Bool { configurations.contains(where: matches) }

    /// Takes a configuration of the same cluster and the epoch after the newest.
    ///
    /// - Returns: whether it was taken; one that is known already, or of another cluster or epoch, is not.
    package mutating func add(_ configuration: Configuration) -> Bool {
        guard configuration.cluster == cluster, configuration.epoch == newest.epoch + 1 else { return false }
        configurations.append(configuration)
        return true
    }

    /// Takes all epochs of another history that follow this one's; what is known stays.
    mutating func add(_ other: ConfigurationHistory) {
        for configuration in other.configurations { _ = add(configuration) }
    }
}
