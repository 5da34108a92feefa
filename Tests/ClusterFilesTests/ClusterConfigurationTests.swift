// cluster.toml: what reads back, and what is refused with which complaint.

import ClusterFiles
import Foundation
import QuorumProtocol
import QuorumTransport
import Testing

@Suite struct ClusterConfigurationTests {
    /// One way to spoil a good cluster.toml, and the key that the complaint must name.
    struct Fault: Sendable, CustomTestStringConvertible {
        let name: String
        let key: String
        let replaced: String
        let by: String
        let matches: @Sendable (ConfigurationError) -> Bool

        var testDescription: String { name }

        init(
            _ name: String, key: String, replace: String, by: String,
            _ matches: @escaping @Sendable (ConfigurationError) -> Bool
        ) {
            (self.name, self.key, replaced, self.by, self.matches) = (name, key, replace, by, matches)
        }
    }

    private static func isUnknown(_ error: ConfigurationError) -> Bool {
        if case .unknownKey = error { true } else { false }
    }
    private static func isMissing(_ error: ConfigurationError) -> Bool {
        if case .missingKey = error { true } else { false }
    }
    private static func isWrongType(_ error: ConfigurationError) -> Bool {
        if case .wrongType = error { true } else { false }
    }
    private static func isInvalid(_ error: ConfigurationError) -> Bool {
        if case .invalidValue = error { true } else { false }
    }
    private static func isDuplicate(_ error: ConfigurationError) -> Bool {
        if case .duplicate = error { true } else { false }
    }

    private static func isInconsistent(_ error: ConfigurationError) -> Bool {
        if case .inconsistent = error { true } else { false }
    }

    static let id = String(repeating: "ab", count: 16)
    static let faults: [Fault] = [
        Fault("unknown key at the top", key: "colour", replace: "format = 3", by: "format = 3\ncolour = 1", isUnknown),
        Fault("unknown key in a table", key: "cluster.fault", replace: "faults = 1", by: "fault = 1", isUnknown),
        Fault(
            "unknown key of a server", key: "servers[2].weight", replace: "number = 2", by: "number = 2\nweight = 1",
            isUnknown),
        Fault("no format", key: "format", replace: "format = 3", by: "", isMissing),
        Fault("no cluster", key: "cluster", replace: "[cluster]", by: "", isUnknownOrMissing),
        Fault("no epoch", key: "cluster.epoch", replace: "epoch = 1", by: "", isMissing),
        Fault("no number", key: "servers[1].number", replace: "number = 1", by: "", isMissing),
        Fault("another format", key: "format = 1", replace: "format = 3", by: "format = 1") {
            $0 == .unsupportedFormat(path: "c.toml", found: 1, supported: 3)
        },
        Fault("format as text", key: "format", replace: "format = 3", by: "format = \"3\"", isWrongType),
        Fault("faults as a fraction", key: "cluster.faults", replace: "faults = 1", by: "faults = 1.0", isWrongType),
        Fault("mode as a number", key: "cluster.mode", replace: "mode = \"fingerprint\"", by: "mode = 1", isWrongType),
        Fault("unknown mode", key: "cluster.mode", replace: "\"fingerprint\"", by: "\"trust\"", isInvalid),
        Fault("epoch 0", key: "cluster.epoch", replace: "epoch = 1", by: "epoch = 0", isInvalid),
        Fault("negative faults", key: "cluster.faults", replace: "faults = 1", by: "faults = -1", isInvalid),
        Fault(
            "too few data fragments", key: "cluster.data_fragments", replace: "data_fragments = 2",
            by: "data_fragments = 1", isInvalid),
        Fault(
            "too many data fragments", key: "cluster.data_fragments", replace: "data_fragments = 2",
            by: "data_fragments = 254", isInvalid),
        Fault(
            "huge data fragments", key: "cluster.data_fragments", replace: "data_fragments = 2",
            by: "data_fragments = 9223372036854775807", isInvalid),
        Fault(
            "huge faults", key: "cluster.faults", replace: "faults = 1", by: "faults = 9223372036854775807", isInvalid),
        Fault(
            "stripe too small", key: "cluster.stripe_bytes", replace: "stripe_bytes = 8388608",
            by: "stripe_bytes = 1048575", isInvalid),
        Fault(
            "stripe too large", key: "cluster.stripe_bytes", replace: "stripe_bytes = 8388608",
            by: "stripe_bytes = 67108865", isInvalid),
        Fault(
            "stripe no power of two", key: "cluster.stripe_bytes", replace: "stripe_bytes = 8388608",
            by: "stripe_bytes = 3145728", isInvalid),
        Fault(
            "number out of range", key: "servers[3].number", replace: "number = 3", by: "number = 65536", isInvalid),
        Fault("number twice", key: "servers[3].number", replace: "number = 3", by: "number = 2", isDuplicate),
        Fault(
            "zone without a label", key: "servers[3].zone", replace: "number = 3", by: "number = 3\nzone = \"a b\"",
            isInvalid),
        Fault("no groups", key: "others", replace: "[[groups]]", by: "[[others]]", isUnknownOrMissing),
        Fault(
            "member twice", key: "groups[0].servers", replace: "servers = \"0-3\"", by: "servers = \"0 1 1 2\"",
            isInvalid),
        Fault(
            "member that is no number", key: "groups[0].servers", replace: "servers = \"0-3\"",
            by: "servers = \"0 1 2 x\"", isInvalid),
        Fault("slot out of range", key: "groups[0].slots", replace: "\"0-4095\"", by: "\"0-4096\"", isInvalid),
        Fault("slots backwards", key: "groups[0].slots", replace: "\"0-4095\"", by: "\"4095-0\"", isInvalid),
        Fault(
            "slot that nobody has", key: "no group has slot 7", replace: "\"0-4095\"", by: "\"0-6 8-4095\"",
            isInconsistent),
        Fault(
            "a member that is not listed", key: "server 9", replace: "servers = \"0-3\"", by: "servers = \"0-2 9\"",
            isInconsistent),
        Fault("no signature", key: "signature", replace: "signature = ", by: "# ", isMissing),
        Fault("a short signature", key: "signature", replace: "signature = \"", by: "signature = \"0\" # ", isInvalid),
        Fault("no operator's key", key: "cluster.operator_key", replace: "operator_key = ", by: "# ", isMissing),
        Fault(
            "an operator's key off the curve", key: "cluster.operator_key", replace: "operator_key = \"04",
            by: "operator_key = \"04\(String(repeating: "11", count: 64))\" # ", isInvalid),
        Fault(
            "a client in the configuration", key: "clients", replace: "[[groups]]", by: "[[clients]]\n[[groups]]",
            isUnknown),
        Fault(
            "more members needed", key: "group 0 has 4 members", replace: "data_fragments = 2",
            by: "data_fragments = 3", isInconsistent),
        Fault("not TOML", key: "c.toml:3:", replace: "format = 3", by: "format 3") {
            if case .notTOML(_, 3, _, _) = $0 { true } else { false }
        },
        Fault("key listed twice", key: "c.toml:4:", replace: "format = 3", by: "format = 3\nformat = 3") {
            if case .notTOML(_, 4, _, _) = $0 { true } else { false }
        },
        Fault("NUL byte", key: "NUL", replace: "[[groups]]", by: "\0[[groups]]") {
            if case .notTOML = $0 { true } else { false }
        },
    ]

    private static func isUnknownOrMissing(_ error: ConfigurationError) -> Bool {
        isUnknown(error) || isMissing(error)
    }

    @Test("A spoilt cluster.toml is refused with the file and the key at fault", arguments: faults)
    func refuses(fault: Fault) throws {
        let cluster = try TemporaryCluster { _ in }
        let good = try ClusterConfiguration(contentsOf: cluster.clusterFile).toml()
        let bad = good.replacingOccurrences(of: fault.replaced, with: fault.by)
        try #require(bad != good)
        let error = try #require(throws: ConfigurationError.self) {
            try ClusterConfiguration(toml: bad, path: "c.toml")
        }
        #expect(fault.matches(error), "\(error)")
        #expect(error.description.contains("c.toml"), "\(error)")
        #expect(fault.name == "no cluster" || error.description.contains(fault.key), "\(error)")
    }

    @Test(
        "What was changed after it was signed is refused, whatever it is",
        arguments: [
            ("faults = 1\ndata_fragments = 2", "faults = 0\ndata_fragments = 4"),
            ("stripe_bytes = 8388608", "stripe_bytes = 4194304"),
            ("epoch = 1", "epoch = 2"), ("\"fingerprint\"", "\"lazy\""), ("\"0-3\"", "\"0 1 3 2\""),
            ("number = 3", "number = 3\nzone = \"a\""),
        ])
    func refusesChanges(old: String, new: String) throws {
        let cluster = try TemporaryCluster { _ in }
        let good = try ClusterConfiguration(contentsOf: cluster.clusterFile).toml()
        let bad = good.replacingOccurrences(of: old, with: new)
        try #require(bad != good)
        let error = try #require(throws: ConfigurationError.self) {
            try ClusterConfiguration(toml: bad, path: "c.toml")
        }
        guard case .untrusted("c.toml", .wrongSignature(.configuration, _)) = error else {
            Issue.record("\(error)")
            return
        }
    }

    @Test("Another operator's key does not make another's configuration")
    func foreignOperator() throws {
        let clusters = try [TemporaryCluster { _ in }, TemporaryCluster { _ in }]
        let both = try clusters.map { try ClusterConfiguration(contentsOf: $0.clusterFile) }
        let keys = both.map { $0.operatorKey.bytes.map { String(format: "%02x", $0) }.joined() }
        let mixed = both[0].toml().replacingOccurrences(of: keys[0], with: keys[1])
        try #require(mixed != both[0].toml())
        let error = try #require(throws: ConfigurationError.self) { try ClusterConfiguration(toml: mixed, path: "c") }
        #expect(error == .untrusted(path: "c", .wrongSignature(.configuration, version: 1)))
    }

    @Test("What is written reads back the same", arguments: [(0, nil), (1, nil), (1, 4), (2, 3)] as [(Int, Int?)])
    func readsBack(faults: Int, dataFragments: Int?) throws {
        let cluster = try TemporaryCluster {
            $0.faults = faults
            $0.dataFragmentCount = dataFragments
            $0.host = "::1"
            $0.basePort = 9000
            $0.stripeSizeBytesMax = 4 << 20
        }
        let configuration = try ClusterDescription(contentsOf: cluster.clusterFile)
        let text = configuration.configuration.toml()
        let again = try ClusterConfiguration(toml: text, path: "again")
        #expect(again.parameters == configuration.parameters)
        #expect(again.toml() == text)
        #expect(configuration.parameters.quorums.faults == faults)
        #expect(configuration.parameters.quorums.dataFragmentCount == dataFragments ?? faults + 1)
        #expect(configuration.parameters.limits.stripeSizeBytesMax == 4 << 20)
        #expect(configuration.servers.map(\.node) == configuration.parameters.configuration.nodes.map(\.id))
        #expect(configuration.servers.map(\.port) == Array(9000..<(9000 + configuration.servers.count)))
        #expect(configuration.servers.allSatisfy { $0.host == "::1" && $0.address == "[::1]:\($0.port)" })
    }

    @Test(
        "Several groups read back the same, each server in as many as the ring says",
        arguments: [(8, 2, 1), (6, 3, 2), (5, 5, 4), (12, 3, 1)])
    func severalGroups(servers: Int, groups: Int, groupsOfServer: Int) throws {
        let cluster = try TemporaryCluster { $0.serverCount = servers }
        let configuration = try ClusterConfiguration(contentsOf: cluster.clusterFile)
        let again = try ClusterConfiguration(toml: configuration.toml(), path: "again")
        #expect(again.parameters == configuration.parameters)
        let made = configuration.parameters.configuration
        #expect(made.groups.count == groups)
        for node in made.nodes { #expect(made.groups(of: node.id).count == groupsOfServer) }
    }

    @Test("Zones are kept, and no group has more than f servers of one")
    func zones() throws {
        let cluster = try TemporaryCluster {
            $0.zones = ["a", "b", "c", "d"].map { Zone(label: $0, nodeCount: 2) }
        }
        let made = try ClusterConfiguration(contentsOf: cluster.clusterFile).parameters.configuration
        let zone = Dictionary(uniqueKeysWithValues: made.nodes.map { ($0.id, $0.zone) })
        for group in made.groups { #expect(Set(group.members.compactMap { zone[$0] }).count == 4) }
    }

    @Test("Three zones cannot do for one fault unless that is accepted")
    func tooFewZones() throws {
        let zones = ["a", "b", "c"].map { Zone(label: $0, nodeCount: 2) }
        let error = #expect(throws: ConfigurationError.self) { try TemporaryCluster { $0.zones = zones } }
        #expect("\(error as Error?)".contains("the loss of zone"))
        _ = try TemporaryCluster {
            $0.zones = zones
            $0.acceptsZoneLoss = true
        }
    }

    @Test("Servers and groups may be listed in any order")
    func sortsServers() throws {
        let cluster = try TemporaryCluster { $0.serverCount = 8 }
        let good = try ClusterConfiguration(contentsOf: cluster.clusterFile)
        let swapped = good.toml().replacingOccurrences(of: "number = 2\n", with: "number = x\n")
            .replacingOccurrences(of: "number = 3\n", with: "number = 2\n")
            .replacingOccurrences(of: "number = x\n", with: "number = 3\n")
        try #require(swapped != good.toml())
        #expect(try ClusterConfiguration(toml: swapped, path: "c.toml").toml() == good.toml())
    }

    @Test("The peers of a server are the servers by number and the clients by id")
    func namesPeers() throws {
        let cluster = try TemporaryCluster { _ in }
        let configuration = try ClusterDescription(contentsOf: cluster.clusterFile)
        #expect(configuration.peers.count == 5)
        #expect(configuration.peers.identity(of: configuration.servers[2].pin) == .server(2))
        let client = configuration.clients[0]
        #expect(configuration.peers.identity(of: CertificatePin(client.pin)) == .client(client.id.description))
        #expect(configuration.scope.clusterID == configuration.parameters.configuration.cluster.bytes)
        #expect(configuration.scope.epoch == 1)
    }

    @Test("Without stripe_bytes a stripe has 8 MiB")
    func defaultsStripe() throws {
        let cluster = try TemporaryCluster { _ in }
        let text = try ClusterConfiguration(contentsOf: cluster.clusterFile).toml()
        let without = text.replacingOccurrences(of: "stripe_bytes = 8388608", with: "")
        try #require(without != text)
        let configuration = try ClusterConfiguration(toml: without, path: "c.toml")
        #expect(configuration.parameters.limits.stripeSizeBytesMax == 8 << 20)
    }

    @Test(
        "What TOML does not allow, or what is not used here, is refused with line and column",
        arguments: [
            ("[", 2), ("[[a]", 5), ("[]", 2), ("[a] b", 5), ("[a.b]", 3), ("[[=]]", 3), ("= 1", 1), ("a", 2),
            ("a =", 4),
            ("a = # 1", 5), ("a = 1 2", 7), ("a = 01", 5), ("a = 1__0", 5), ("a = _1", 5), ("a = 0x10", 5),
            ("a = 9223372036854775808", 5), ("a = nan", 5), ("a = yes", 5), ("a = 1979-05-27", 5), ("a = [1]", 5),
            ("a = [", 5), ("a = [,]", 5), ("a = [\"b\"", 9), ("a = [\"b\" 'c']", 10), ("a = [\"b\",,]", 5),
            ("a = ['b'] 1", 11),
            ("a = [[}", 5), ("a = {}", 5), ("a = \"b", 7), ("a = 'b", 7), ("a = \"\\x\"", 7), ("a = \"\\uD800\"", 12),
            ("a = \"\\u12\"", 10), ("a = \"\"\"", 7), ("a = '''", 7), ("a.b = 1", 2), ("\"a\" = 1", 1), ("a\r= 1", 2),
            ("a = \"\u{1}\"", 6), ("\u{e9} = 1", 1),
        ])
    func refusesSyntax(text: String, column: Int) throws {
        let error = try #require(throws: ConfigurationError.self) {
            try ClusterConfiguration(toml: "# first\n" + text, path: "c.toml")
        }
        guard case .notTOML("c.toml", 2, column, _) = error else {
            Issue.record("\(error)")
            return
        }
    }

    @Test("Comments, blanks, literal strings, escapes, signs, CRLF and a byte order mark read as TOML says")
    func readsSpellings() throws {
        let cluster = try TemporaryCluster { _ in }
        let configuration = try ClusterConfiguration(contentsOf: cluster.clusterFile)
        let spelled =
            "\u{FEFF}"
            + configuration.toml().replacingOccurrences(of: "\n", with: "  # remark \"[\r\n")
            .replacingOccurrences(of: "[cluster]", with: "\t[ cluster ]")
            .replacingOccurrences(of: "\"fingerprint\"", with: "'fingerprint'")
            .replacingOccurrences(of: "\"0-3\"", with: "\"\\u0030 1-2 3\"")
            .replacingOccurrences(of: "faults = 1", with: "faults=+1")
            .replacingOccurrences(of: "8388608", with: "8_388_608")
        #expect(try ClusterConfiguration(toml: spelled, path: "c.toml").toml() == configuration.toml())
    }

    @Test("The work of reading grows with the file's size only", arguments: ["[[a]]\n", "[[a]]\nb = 1\n", "a = 1\n"])
    func readsLargeFiles(line: String) throws {
        let text = String(repeating: line, count: (1 << 20) / line.utf8.count)
        #expect(throws: ConfigurationError.self) { try ClusterConfiguration(toml: text, path: "c.toml") }
    }

    @Test("Random damage to a cluster.toml gives a configuration or a typed error, never a crash")
    func survivesDamage() throws {
        let cluster = try TemporaryCluster { _ in }
        let text = try ClusterConfiguration(contentsOf: cluster.clusterFile).toml()
        let good = Array(text.utf8)
        let marks = Array("[]{}=.,\"'#\\\n\r\t 0xe_+-:TZ".utf8) + [0, 7, 11, 12, 127]
        let seed: UInt64 = 20_260_131
        var generator = SplitMix(state: seed)
        var refused = 0
        for _ in 0..<2000 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let place = Int.random(in: bytes.indices, using: &generator)
                let byte = marks.randomElement(using: &generator) ?? 0
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes[place] = byte
                case 1: bytes.insert(byte, at: place)
                default: bytes.removeSubrange(place..<min(place + 8, bytes.count - 1))
                }
            }
            let damaged = String(decoding: bytes, as: UTF8.self)
            do throws(ConfigurationError) {
                _ = try ClusterConfiguration(toml: damaged, path: "c.toml")
            } catch {
                refused += 1
                #expect(error.description.contains("c.toml"))
            }
        }
        #expect(refused > 1000, "seed \(seed)")
    }
}

/// A small generator with a fixed seed (splitmix64), so that a failure repeats.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
