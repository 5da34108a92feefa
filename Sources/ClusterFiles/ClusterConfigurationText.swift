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
            "id = \"\(parameters.configuration.cluster)\"",
            "epoch = \(parameters.configuration.epoch)",
            "mode = \"\(parameters.mode)\"",
            "# So many servers of each group may fail or lie; a group has data_fragments + 2 * faults servers.",
            "faults = \(parameters.quorums.faults)",
            "data_fragments = \(parameters.quorums.dataFragmentCount)",
            "stripe_bytes = \(parameters.limits.stripeSizeBytesMax)",
        ]
        for (server, node) in zip(servers, parameters.configuration.nodes) {
            lines += ["", "[[servers]]", "number = \(server.node.rawValue)"]
            if !node.zone.isEmpty { lines.append("zone = \"\(node.zone)\"") }
            lines += [
                "address = \"\(server.address)\"",
                "certificate_pin = \"\(server.pin)\"",
                "statement_key = \"\(Hexadecimal.text(server.statementKey.x963Representation))\"",
            ]
        }
        let slots = Dictionary(grouping: parameters.configuration.slots.indices) { slot in
            parameters.configuration.group(of: Slot(UInt16(slot))).id
        }
        for group in parameters.configuration.groups {
            lines += [
                "",
                "[[groups]]",
                "number = \(group.id.rawValue)",
                "servers = \"\(NumberList.text(group.members.map { Int($0.rawValue) }))\"",
                "slots = \"\(NumberList.text(slots[group.id] ?? []))\"",
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
