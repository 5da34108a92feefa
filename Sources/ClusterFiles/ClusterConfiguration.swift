// cluster.toml: a cluster's configuration in one epoch, the same file at every server and client.
//
// The operator's public key stands in it. It is what a party trusts: the lists are believed by it, and so is the rest
// of this file, whose signature tells whether somebody has changed it.

import Crypto
import Fingerprint
import QuorumProtocol
import QuorumTransport

/// The configuration of a cluster's epoch with its limits, signed by the operator.
public struct ClusterConfiguration: Sendable {
    /// The file's name in a cluster's directory.
    package static let fileName = "cluster.toml"
    /// The directory, within a cluster's, of what is running.
    package static let runDirectoryName = "run"
    /// The format that this program reads and writes.
    static let format = 3
    /// What a stripe, and so for now a value, may measure.
    package static let stripeSizeBytesRange = (1 << 20)...(64 << 20)

    /// A power of two in that range, so that a large value's stripes can have any smaller such size.
    package static func isStripeSize(_ sizeBytes: Int) -> Bool {
        stripeSizeBytesRange.contains(sizeBytes) && sizeBytes.nonzeroBitCount == 1
    }

    /// The cluster's identity, quorums, groups and limits.
    public let parameters: ClusterParameters
    /// Whom the cluster believes its configurations and lists.
    package let operatorKey: OperatorKey
    let signature: [UInt8]

    /// Signs.
    init(parameters: ClusterParameters, signedBy key: P256.Signing.PrivateKey) throws(SigningError) {
        self.parameters = parameters
        operatorKey = OperatorKey(key.publicKey)
        signature = try OperatorSignature.make(Self.message(parameters), key)
    }

    /// What the operator signs: the list of kind *configuration*, whose version is the epoch and whose contents are the
    /// configuration's bytes and, as section 5, the limits.
    private static func message(_ parameters: ClusterParameters) -> [UInt8] {
        let configuration = parameters.configuration
        return OperatorSignature.message(
            .configuration, cluster: configuration.cluster, version: configuration.epoch,
            contents: contents(parameters))
    }

    private static func contents(_ parameters: ClusterParameters) -> [UInt8] {
        var encoder = CanonicalEncoder()
        encoder.append(raw: parameters.configuration.bytes)
        encoder.append(section: 5) { $0.append(UInt64(parameters.limits.stripeSizeBytesMax)) }
        return encoder.bytes
    }

    /// SHA-256 of what is signed without cluster, kind and version.
    var digest: Digest256 { .sha256(Self.contents(parameters)) }

    /// Tags of its parts, in the order of `ConfigurationPart`.
    var partTags: [UInt32] {
        ConfigurationPart.allCases.map { part in
            let configuration = parameters.configuration
            let text =
                switch part {
                case .mode: "\(parameters.mode)"
                case .quorums: "\(parameters.quorums.faults) \(parameters.quorums.dataFragmentCount)"
                case .stripeSize: "\(parameters.limits.stripeSizeBytesMax)"
                case .servers: configuration.nodes.map { "\($0.id.rawValue) \($0.zone)" }.joined(separator: "\n")
                case .groups:
                    (configuration.groups.map { "\($0.id.rawValue) \($0.members.map(\.rawValue))" }
                        + configuration.slots.indices.map { slot in
                            "\(configuration.group(of: Slot(UInt16(slot))).id.rawValue)"
                        }).joined(separator: "\n")
                }
            return Digest256.sha256(Array(text.utf8)).withUnsafeBytes { bytes in
                bytes.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
            }
        }
    }

    /// Reads and checks the file at `path`.
    ///
    /// - Throws: what is wrong, and where.
    public init(contentsOf path: String) throws(ConfigurationError) {
        let bytes = try TextFile.read(path, advice: "'solidus cluster init' writes it into a cluster's directory")
        try self.init(bytes: bytes, path: path)
    }

    /// Reads and checks the text of a cluster.toml; complaints name `path`.
    ///
    /// - Throws: what is wrong, and where.
    public init(toml: String, path: String) throws(ConfigurationError) {
        try self.init(bytes: Array(toml.utf8), path: path)
    }

    private init(bytes: [UInt8], path: String) throws(ConfigurationError) {
        let file = try StrictTable(
            parsing: bytes, path: path, keys: ["format", "cluster", "servers", "groups", "signature"])
        try file.checkFormat(Self.format)
        let head = try Head(
            file.section(
                "cluster", keys: ["id", "epoch", "mode", "faults", "data_fragments", "stripe_bytes", "operator_key"]))
        var uniqueness = Uniqueness(path: path)
        let nodes = try Self.nodes(file, &uniqueness)
        let (groups, slots) = try Self.groups(file, &uniqueness)
        let configuration: Configuration
        do {
            configuration = try Configuration(
                cluster: head.id, epoch: head.epoch, mode: head.mode, quorums: head.quorums, nodes: nodes,
                groups: groups, slots: slots)
        } catch {
            throw .inconsistent(path: path, reason: error.description)
        }
        parameters = ClusterParameters(configuration, limits: head.limits)
        operatorKey = head.operatorKey
        signature = try file.signature()
        guard operatorKey.isValid(signature, for: Self.message(parameters)) else {
            throw .untrusted(path: path, .wrongSignature(.configuration, version: head.epoch))
        }
    }
}

/// What [cluster] says.
private struct Head {
    let id: ClusterID
    let epoch: UInt64
    let mode: VerificationMode
    let quorums: QuorumConfiguration
    let limits: ProtocolLimits
    let operatorKey: OperatorKey

    init(_ table: StrictTable) throws(ConfigurationError) {
        id = try table.cluster("id")
        epoch = try table.ordinal("epoch", expected: "the configuration's epoch", of: "epochs")
        let names = VerificationMode.allCases.map(\.description)
        let modeText = try table.text("mode", expected: "one of: \(names.joined(separator: ", "))")
        guard let mode = VerificationMode.allCases.first(where: { $0.description == modeText }) else {
            throw table.invalid("mode", modeText, "there is only \(names.joined(separator: ", "))")
        }
        let faults = try table.integer("faults", expected: "the number of servers that may fail, an integer")
        let dataFragments = try table.integer(
            "data_fragments", expected: "the number of fragments that make a stripe, an integer")
        let quorums: QuorumConfiguration
        do {
            quorums = try QuorumConfiguration(faults: faults, dataFragmentCount: dataFragments)
        } catch {
            let key = if case .faultsOutOfRange = error { "faults" } else { "data_fragments" }
            throw table.invalid(key, key == "faults" ? faults : dataFragments, error.description)
        }
        var limits = ProtocolLimits()
        limits.stripeSizeBytesMax = try table.integer(
            "stripe_bytes", expected: "a stripe's size in bytes, an integer", default: limits.stripeSizeBytesMax)
        let stripes = ClusterConfiguration.stripeSizeBytesRange
        guard ClusterConfiguration.isStripeSize(limits.stripeSizeBytesMax) else {
            throw table.invalid(
                "stripe_bytes", limits.stripeSizeBytesMax,
                "a stripe has \(stripes.lowerBound) to \(stripes.upperBound) bytes, a power of two")
        }
        operatorKey = OperatorKey(try table.publicKey("operator_key", expected: "the operator's public P-256 key"))
        self.mode = mode
        self.quorums = quorums
        self.limits = limits
    }
}

extension ClusterConfiguration {
    private static func nodes(
        _ file: StrictTable, _ uniqueness: inout Uniqueness
    ) throws(ConfigurationError) -> [Node] {
        var nodes: [Node] = []
        for table in try file.sections("servers", keys: ["number", "zone"]) {
            let node = try table.node(&uniqueness)
            let zone = try table.text("zone", expected: "what fails together with the server", default: "")
            guard zone.isEmpty || ZoneLabel.isValid(zone) else { throw table.invalid("zone", zone, ZoneLabel.rule) }
            nodes.append(Node(id: node, zone: zone))
        }
        return nodes
    }

    /// The groups, and for each slot its group. Numbers in lists stand for themselves, "3-7" for 3, 4, 5, 6 and 7.
    private static func groups(
        _ file: StrictTable, _ uniqueness: inout Uniqueness
    ) throws(ConfigurationError) -> (groups: [Group], slots: [GroupID]) {
        var groups: [Group] = []
        var slots: [GroupID?] = Array(repeating: nil, count: Slot.count)
        for table in try file.sections("groups", keys: ["number", "servers", "slots"]) {
            let number = try table.integer("number", expected: "the group's number, an integer from 0")
            guard let raw = UInt32(exactly: number) else {
                throw table.invalid("number", number, "groups' numbers are 0 to 4294967295")
            }
            let id = GroupID(raw)
            try uniqueness.claim(.group, "\(number)", at: table.name(of: "number"))
            let membersText = try table.text("servers", expected: "the numbers of the group's servers, in order")
            guard let members = NumberList.numbers(membersText, max: Int(UInt16.max)) else {
                throw table.invalid("servers", membersText, "write numbers of servers like \"0 1 2 3\" or \"0-3\"")
            }
            do {
                groups.append(try Group(id: id, members: members.map { NodeID(UInt16($0)) }))
            } catch {
                throw table.invalid("servers", membersText, error.description)
            }
            let slotsText = try table.text("slots", expected: "the slots that the group has, like \"0-2047\"")
            guard let own = NumberList.numbers(slotsText, max: Slot.count - 1) else {
                throw table.invalid(
                    "slots", slotsText, "slots are 0 to \(Slot.count - 1), written like \"0-2047 3000\"")
            }
            for slot in own {
                if let other = slots[slot] {
                    throw table.invalid("slots", slotsText, "slot \(slot) belongs to \(other) already")
                }
                slots[slot] = id
            }
        }
        var dealt: [GroupID] = []
        for (slot, group) in slots.enumerated() {
            guard let group else { throw .inconsistent(path: file.path, reason: "no group has slot \(slot)") }
            dealt.append(group)
        }
        return (groups, dealt)
    }
}

/// What a zone may be called.
package enum ZoneLabel {
    package static let rule = "a zone's label is 1 to 63 of a-z, A-Z, 0-9, '-' and '_'"

    package static func isValid(_ label: String) -> Bool {
        label.utf8.count <= Node.zoneSizeBytesMax && ClientName.isValid(label)
    }
}

/// Lists of numbers as people write them.
enum NumberList {
    /// The numbers in the text's order, each at most once and 0...max: single ones and ranges "3-7", between spaces;
    /// nil for anything else, and for none at all.
    static func numbers(_ text: String, max: Int) -> [Int]? {
        var numbers: [Int] = []
        var seen: Set<Int> = []
        for part in text.split(separator: " ") {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1],
                first >= 0, first <= last, last <= max
            else { return nil }
            for number in first...last {
                guard seen.insert(number).inserted else { return nil }
                numbers.append(number)
            }
        }
        return numbers.isEmpty ? nil : numbers
    }

    /// Ascending runs of numbers as ranges.
    static func text(_ numbers: [Int]) -> String {
        var parts: [String] = []
        var rest = numbers[...]
        while let first = rest.popFirst() {
            var last = first
            while rest.first == last + 1 {
                last += 1
                rest.removeFirst()
            }
            parts.append(last == first ? "\(first)" : "\(first)-\(last)")
        }
        return parts.joined(separator: " ")
    }
}
