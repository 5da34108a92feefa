// Writing cluster.toml.

import QuorumProtocol

extension ClusterConfiguration {
    /// The text of a cluster.toml that reads back as this configuration.
    public func toml() -> String {
        // No value needs escaping: names, hosts and digits are of letters, digits and a few marks.
        var lines = [
            "# A solidus cluster. Every server and client holds the same copy of this file; nothing in it is secret.",
            "format = \(Self.format)",
            "",
            "[cluster]",
            "id = \"\(parameters.identity.cluster)\"",
            "epoch = \(parameters.identity.epoch)",
            "mode = \"\(parameters.identity.mode)\"",
            "# So many servers may fail or lie; data_fragments + 2 * faults servers are needed.",
            "faults = \(parameters.quorums.faults)",
            "data_fragments = \(parameters.quorums.dataFragmentCount)",
            "stripe_bytes = \(parameters.limits.stripeSizeBytesMax)",
        ]
        for server in servers {
            lines += [
                "",
                "[[servers]]",
                "index = \(server.index.rawValue)",
                "address = \"\(server.address)\"",
                "certificate_pin = \"\(server.pin)\"",
                "statement_key = \"\(Hexadecimal.text(server.statementKey.x963Representation))\"",
            ]
        }
        for client in clients {
            lines += [
                "",
                "[[clients]]",
                "name = \"\(client.name)\"",
                "id = \"\(client.id)\"",
                "certificate_pin = \"\(client.pin)\"",
            ]
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
