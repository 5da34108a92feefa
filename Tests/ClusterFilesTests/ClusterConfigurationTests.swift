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
        Fault("unknown key at the top", key: "colour", replace: "format = 2", by: "format = 2\ncolour = 1", isUnknown),
        Fault("unknown key in a table", key: "cluster.fault", replace: "faults = 1", by: "fault = 1", isUnknown),
        Fault(
            "unknown key of a server", key: "servers[2].weight", replace: "number = 2", by: "number = 2\nweight = 1",
            isUnknown),
        Fault("no format", key: "format", replace: "format = 2", by: "", isMissing),
        Fault("no cluster", key: "cluster", replace: "[cluster]", by: "", isUnknownOrMissing),
        Fault("no epoch", key: "cluster.epoch", replace: "epoch = 1", by: "", isMissing),
        Fault("no number", key: "servers[1].number", replace: "number = 1", by: "", isMissing),
        Fault("another format", key: "format = 1", replace: "format = 2", by: "format = 1") {
            $0 == .unsupportedFormat(path: "c.toml", found: 1, supported: 2)
        },
        Fault("format as text", key: "format", replace: "format = 2", by: "format = \"2\"", isWrongType),
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
            "number out of range", key: "servers[3].number", replace: "number = 3", by: "number = 65536", isInvalid),
        Fault("number twice", key: "servers[3].number", replace: "number = 3", by: "number = 2", isDuplicate),
        Fault(
            "zone without a label", key: "servers[3].zone", replace: "number = 3", by: "number = 3\nzone = \"a b\"",
            isInvalid),
        Fault("no groups", key: "groups", replace: "[[groups]]", by: "[[others]]", isUnknownOrMissing),
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
        Fault("address twice", key: "servers[3].address", replace: ":7403", by: ":7400", isDuplicate),
        Fault(
            "address without a port", key: "servers[0].address", replace: "127.0.0.1:7400", by: "127.0.0.1", isInvalid),
        Fault("port 0", key: "servers[0].address", replace: "127.0.0.1:7400", by: "127.0.0.1:0", isInvalid),
        Fault("port 65536", key: "servers[0].address", replace: "127.0.0.1:7400", by: "127.0.0.1:65536", isInvalid),
        Fault("bare IPv6 address", key: "servers[0].address", replace: "127.0.0.1:7400", by: "::1:7400", isInvalid),
        Fault(
            "client's name with a slash", key: "clients[0].name", replace: "\"first\"", by: "\"../first\"", isInvalid),
        Fault(
            "more members needed", key: "group 0 has 4 members", replace: "data_fragments = 2",
            by: "data_fragments = 3", isInconsistent),
        Fault("not TOML", key: "c.toml:2:", replace: "format = 2", by: "format 2") {
            if case .notTOML(_, 2, _, _) = $0 { true } else { false }
        },
        Fault("key listed twice", key: "c.toml:3:", replace: "format = 2", by: "format = 2\nformat = 2") {
            if case .notTOML(_, 3, _, _) = $0 { true } else { false }
        },
        Fault("NUL byte", key: "NUL", replace: "[[clients]]", by: "\0[[clients]]") {
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

    @Test("Pins, statement keys, ids and names must be well-formed and all different")
    func refusesRepeatedKeys() throws {
        let cluster = try TemporaryCluster { $0.clientNames = ["first", "second"] }
        let good = try ClusterConfiguration(contentsOf: cluster.clusterFile)
        let text = good.toml()
        let spoilt: [(old: String, new: String, key: String, isDuplicate: Bool)] = [
            (good.servers[1].pin.description, good.servers[0].pin.description, "servers[1].certificate_pin", true),
            (good.clients[1].pin.description, good.servers[0].pin.description, "clients[1].certificate_pin", true),
            (good.clients[1].id.description, good.clients[0].id.description.uppercased(), "clients[1].id", true),
            ("\"second\"", "\"first\"", "clients[1].name", true),
            (good.servers[2].pin.description, "abc", "servers[2].certificate_pin", false),
            (good.clients[0].id.description, "abc", "clients[0].id", false),
            (good.parameters.configuration.cluster.description, "abc", "cluster.id", false),
        ]
        for (old, new, key, isDuplicate) in spoilt {
            let error = try #require(throws: ConfigurationError.self) {
                try ClusterConfiguration(toml: text.replacingOccurrences(of: old, with: new), path: "c.toml")
            }
            switch error {
            case .duplicate(_, key, _, _): #expect(isDuplicate)
            case .invalidValue(_, key, _, _): #expect(!isDuplicate)
            default: Issue.record("\(key): \(error)")
            }
        }
        let keys = text.split(separator: "\n").filter { $0.hasPrefix("statement_key") }.map(String.init)
        try #require(keys.count == 4)
        let repeated = text.replacingOccurrences(of: keys[1], with: keys[0])
        #expect {
            try ClusterConfiguration(toml: repeated, path: "c.toml")
        } throws: { error in
            if case .duplicate(_, "servers[1].statement_key", _, _)? = error as? ConfigurationError {
                true
            } else {
                false
            }
        }
        // A point that is not on the curve.
        let offCurve = "statement_key = \"04\(String(repeating: "11", count: 64))\""
        #expect {
            try ClusterConfiguration(toml: text.replacingOccurrences(of: keys[1], with: offCurve), path: "c.toml")
        } throws: { error in
            if case .invalidValue(_, "servers[1].statement_key", _, _)? = error as? ConfigurationError {
                true
            } else {
                false
            }
        }
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
        let configuration = try ClusterConfiguration(contentsOf: cluster.clusterFile)
        let again = try ClusterConfiguration(toml: configuration.toml(), path: "again")
        #expect(again.parameters == configuration.parameters)
        #expect(again.toml() == configuration.toml())
        #expect(again.peers == configuration.peers)
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

    @Test("Servers may be listed in any order")
    func sortsServers() throws {
        let cluster = try TemporaryCluster { _ in }
        let text = try ClusterConfiguration(contentsOf: cluster.clusterFile).toml()
        let swapped = text.replacingOccurrences(of: "number = 1", with: "number = x")
            .replacingOccurrences(of: "number = 3", with: "number = 1")
            .replacingOccurrences(of: "number = x", with: "number = 3")
        let configuration = try ClusterConfiguration(toml: swapped, path: "c.toml")
        #expect(configuration.servers.map(\.node.rawValue) == [0, 1, 2, 3])
        #expect(configuration.servers.map(\.port) == [7400, 7403, 7402, 7401])
    }

    @Test("The peers of a server are the servers by number and the clients by id")
    func namesPeers() throws {
        let cluster = try TemporaryCluster { _ in }
        let configuration = try ClusterConfiguration(contentsOf: cluster.clusterFile)
        #expect(configuration.peers.count == 5)
        #expect(configuration.peers.identity(of: configuration.servers[2].pin) == .server(2))
        let client = configuration.clients[0]
        #expect(configuration.peers.identity(of: client.pin) == .client(client.id.description))
        #expect(configuration.scope.clusterID == configuration.parameters.configuration.cluster.bytes)
        #expect(configuration.scope.epoch == 1)
    }

    @Test("Without stripe_bytes a stripe has 8 MiB")
    func defaultsStripe() throws {
        let cluster = try TemporaryCluster { $0.stripeSizeBytesMax = 1 << 20 }
        let text = try ClusterConfiguration(contentsOf: cluster.clusterFile).toml()
        let without = text.replacingOccurrences(of: "stripe_bytes = 1048576", with: "")
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
            .replacingOccurrences(of: "\"first\"", with: "\"\\u0066irst\"")
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
