// Writing cluster.toml.

import QuorumProtocol

extension ClusterConfiguration {
    /// The text of a cluster.toml that reads back as this configuration.
    public func toml() -> String {
        // No value needs escaping: names, hosts and digits are of letters, digits and a few marks.
        var lines = [
            "# A solidus cluster's configuration. Every server and client holds the same copy of this file; nothing in it is",
            "# secret. The operator has signed it; whoever changes it makes it worthless.",
            "format = \(Self.format)",
            "signature = \"\(Hexadecimal.text(signature))\"",
            "",
            "[cluster]",
            "id = \"\(parameters.configuration.cluster)\"",
            "epoch = \(parameters.configuration.epoch)",
            "mode = \"\(parameters.mode)\"",
            "# So many servers of each group may fail or lie; a group has data_fragments + 2 * faults servers.",
            "faults = \(parameters.quorums.faults)",
            "data_fragments = \(parameters.quorums.dataFragmentCount)",
            "stripe_bytes = \(parameters.limits.stripeSizeBytesMax)",
            "operator_key = \"\(Hexadecimal.text(operatorKey.bytes))\"",
        ]
        for node in parameters.configuration.nodes {
            lines += ["", "[[servers]]", "number = \(node.id.rawValue)"]
            if !node.zone.isEmpty { lines.append("zone = \"\(node.zone)\"") }
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
        return lines.joined(separator: "\n") + "\n"
    }
}
