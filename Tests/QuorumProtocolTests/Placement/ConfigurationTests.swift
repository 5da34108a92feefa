// Configurations: what fits together, what a group and a slot are looked up to be, and the bytes that are signed.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("A configuration")
struct ConfigurationTests {
    /// The parts of a configuration, each of which a test can change.
    struct Parts: Sendable {
        var cluster = ClusterID(high: 0x0102_0304_0506_0708, low: 0x090a_0b0c_0d0e_0f10)
        var epoch: UInt64 = 2
        var mode = VerificationMode.fingerprint
        var faults = 1
        var dataFragmentCount = 2
        var nodes = [
            Node(id: NodeID(300), zone: "é"), Node(id: NodeID(3)), Node(id: NodeID(5), zone: "east"),
            Node(id: NodeID(7)), Node(id: NodeID(4), zone: "east"),
        ]
        var groups: [(id: UInt32, members: [UInt16])] = [(9, [4, 7, 3, 5]), (1, [5, 3, 300, 7])]
        var slots = (0..<UInt32(Slot.count)).map { GroupID($0 % 2 == 0 ? 1 : 9) }

        func build() throws -> Configuration {
            let groups = try groups.map { try Group(id: GroupID($0.id), members: $0.members.map { NodeID($0) }) }
            return try Configuration(
                cluster: cluster, epoch: epoch, mode: mode,
                quorums: QuorumConfiguration(faults: faults, dataFragmentCount: dataFragmentCount), nodes: nodes,
                groups: groups, slots: slots)
        }
    }

    private static func changed(_ change: (inout Parts) -> Void) -> Parts {
        var parts = Parts()
        change(&parts)
        return parts
    }

    // MARK: Looking up

    @Test("finds its nodes and groups, and no others")
    func lookups() throws {
        let configuration = try Parts().build()
        #expect(configuration.nodes.map(\.id) == [3, 4, 5, 7, 300].map { NodeID($0) })
        #expect(configuration.groups.map(\.id) == [GroupID(1), GroupID(9)])
        for number in (0...310).map({ UInt16($0) }) + [.max] {
            #expect(configuration.contains(NodeID(number)) == [3, 4, 5, 7, 300].contains(number))
        }
        for number in (0...12).map({ UInt32($0) }) + [.max] {
            #expect((configuration.group(GroupID(number)) != nil) == [1, 9].contains(number))
        }
        let first = try #require(configuration.group(GroupID(1)))
        let second = try #require(configuration.group(GroupID(9)))
        #expect(first.members == [5, 3, 300, 7].map { NodeID($0) })
        #expect(first.contains(NodeID(300)) && !first.contains(NodeID(4)) && !first.contains(NodeID(301)))
        #expect(configuration.groups(of: NodeID(300)) == [first])
        #expect(configuration.groups(of: NodeID(4)) == [second])
        #expect(configuration.groups(of: NodeID(5)) == [first, second])
        #expect(configuration.groups(of: NodeID(6)).isEmpty)
    }

    @Test("gives every slot to the group that it was dealt to")
    func slots() throws {
        let parts = Parts()
        let configuration = try parts.build()
        #expect(configuration.slots == parts.slots)
        for number in 0..<Slot.count {
            #expect(configuration.group(of: Slot(UInt16(number))).id == parts.slots[number])
        }
    }

    @Test("of one group has the nodes 0 to n - 1 and all slots")
    func oneGroup() throws {
        let quorums = try QuorumConfiguration(faults: 1)
        let configuration = Configuration(cluster: ClusterID(high: 0, low: 1), quorums: quorums, group: GroupID(5))
        #expect(configuration.groups.map(\.members) == [(0...3).map { NodeID($0) }])
        #expect(configuration.epoch == 1 && Set(configuration.slots) == [GroupID(5)])
    }

    // MARK: Faults

    struct Fault: Sendable, CustomTestStringConvertible {
        let expected: ConfigurationFault
        let parts: Parts
        var testDescription: String { "\(expected)" }
    }

    static let faults = [
        Fault(expected: .epochZero, parts: changed { $0.epoch = 0 }),
        Fault(expected: .nodeCount(0), parts: changed { $0.nodes = [] }),
        Fault(
            expected: .nodeCount(4097), parts: changed { $0.nodes = (0...4096).map { Node(id: NodeID($0)) } }),
        Fault(expected: .repeatedNode(NodeID(5)), parts: changed { $0.nodes.append(Node(id: NodeID(5))) }),
        Fault(
            expected: .zoneTooLong(NodeID(8)),
            // 32 characters of two bytes each.
            parts: changed {
                $0.nodes.append(Node(id: NodeID(8), zone: String(repeating: "é", count: 32)))
            }),
        Fault(expected: .groupCount(0), parts: changed { $0.groups = [] }),
        Fault(
            expected: .groupCount(4097),
            parts: changed { $0.groups = (0...4096).map { (id: $0, members: [3, 4, 5, 7]) } }),
        Fault(expected: .repeatedGroup(GroupID(9)), parts: changed { $0.groups.append((9, [3, 4, 5, 7])) }),
        Fault(expected: .membersNotDistinct(GroupID(2)), parts: changed { $0.groups.append((2, [])) }),
        Fault(expected: .membersNotDistinct(GroupID(2)), parts: changed { $0.groups.append((2, [3, 4, 5, 3])) }),
        Fault(
            expected: .membersNotDistinct(GroupID(2)),
            parts: changed { $0.groups.append((2, (0..<256).map { $0 })) }),
        Fault(
            expected: .groupSize(GroupID(2), members: 3, needed: 4),
            parts: changed { $0.groups.append((2, [3, 4, 5])) }),
        Fault(
            expected: .groupSize(GroupID(1), members: 4, needed: 5), parts: changed { $0.dataFragmentCount = 3 }),
        Fault(
            expected: .unknownMember(GroupID(2), NodeID(6)), parts: changed { $0.groups.append((2, [3, 4, 5, 6])) }),
        Fault(expected: .slotCount(4095), parts: changed { $0.slots.removeLast() }),
        Fault(expected: .slotCount(4097), parts: changed { $0.slots.append(GroupID(1)) }),
        Fault(expected: .slotCount(0), parts: changed { $0.slots = [] }),
        Fault(expected: .unknownGroup(GroupID(2)), parts: changed { $0.slots[4095] = GroupID(2) }),
    ]

    @Test("whose parts do not fit together is refused by what does not", arguments: faults)
    func fault(fault: Fault) {
        #expect(throws: fault.expected) { try fault.parts.build() }
        #expect(!fault.expected.description.isEmpty)
    }

    @Test("may have as many nodes and groups, and as long a zone, as there may be")
    func largest() throws {
        let largest = try Self.changed { parts in
            parts.nodes = (0..<4096).map { Node(id: NodeID(65_535 - $0), zone: String(repeating: "z", count: 63)) }
            parts.groups = (0..<4096).map { (id: $0, members: (0..<4).map { UInt16(65_535 - $0) }) }
            parts.slots = (0..<4096).map { GroupID(4095 - $0) }
        }.build()
        #expect(largest.group(of: Slot(0)).id == GroupID(4095))
        #expect(largest.nodes.first?.id == NodeID(61_440))
        let members = (0..<255).map { NodeID(UInt16($0)) }
        #expect(try Group(id: GroupID(1), members: members).members == members)
    }

    // MARK: Canonical bytes

    @Test("has these bytes and this digest")
    func knownBytes() throws {
        let configuration = try Parts().build()
        let slots = (0..<Slot.count).map { $0 % 2 == 0 ? "00000001" : "00000009" }
        let expected = [
            "17736f6c696475732e636f6e66696775726174696f6e2e31",
            "00010000001b", "0102030405060708090a0b0c0d0e0f10", "0000000000000002", "01", "01", "02",
            "00020000002c", "00000005", "000300000000", "00040000000465617374", "00050000000465617374",
            "000700000000", "012c00000002c3a9",
            "00030000001c", "00000002", "00000001", "00050003012c0007", "00000009", "0004000700030005",
            "000400004000",
        ]
        #expect(Self.hexadecimal(configuration.bytes) == (expected + slots).joined())
        #expect(
            configuration.digest.description == "204cebcc1e38a324c09f8184e8586f6d18fe1e1e085e0dd391617dd77c024882")
        #expect(configuration.digest == Digest256.sha256(configuration.bytes))
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    @Test("is the same whatever the order in which its nodes and groups are listed")
    func order() throws {
        let configuration = try Parts().build()
        let reordered = try Self.changed {
            $0.nodes.reverse()
            $0.groups.reverse()
        }.build()
        #expect(reordered == configuration && reordered.bytes == configuration.bytes)
        #expect(reordered.hashValue == configuration.hashValue)
    }

    @Test("is another one when anything in it is another")
    func distinct() throws {
        let all = try [
            Parts(), Self.changed { $0.cluster = ClusterID(high: 1, low: 1) }, Self.changed { $0.epoch = 3 },
            Self.changed { $0.mode = .lazy }, Self.changed { $0.nodes[0] = Node(id: NodeID(300)) },
            Self.changed { $0.nodes.append(Node(id: NodeID(6))) },
            Self.changed { $0.groups[0].members.swapAt(0, 1) }, Self.changed { $0.groups[1].members[0] = 4 },
            Self.changed { $0.groups.append((2, [3, 4, 5, 7])) }, Self.changed { $0.slots[0] = GroupID(9) },
            Self.changed {
                $0.faults = 0
                $0.dataFragmentCount = 4
            },
        ].map { try $0.build() }
        #expect(Set(all.map(\.digest)).count == all.count)
        #expect(Set(all).count == all.count)
    }
}

@Suite("A history of configurations")
struct ConfigurationHistoryTests {
    private static func configuration(_ epoch: UInt64, cluster: UInt64 = 1) throws -> Configuration {
        Configuration(
            cluster: ClusterID(high: 0, low: cluster), epoch: epoch, quorums: try QuorumConfiguration(faults: 1))
    }

    @Test("takes the next epoch of its cluster, and nothing else")
    func add() throws {
        var history = ConfigurationHistory(try Self.configuration(4))
        for (epoch, cluster) in [(4, 1), (3, 1), (6, 1), (1, 1), (.max, 1), (5, 2)] as [(UInt64, UInt64)] {
            let before = history
            let isTaken = history.add(try Self.configuration(epoch, cluster: cluster))
            #expect(!isTaken, "epoch \(epoch)")
            #expect(history == before)
        }
        for epoch in 5...9 as ClosedRange<UInt64> {
            let isTaken = history.add(try Self.configuration(epoch))
            #expect(isTaken)
            #expect(history.newest.epoch == epoch)
        }
        #expect(history.cluster == ClusterID(high: 0, low: 1))
    }

    @Test("knows the epochs that it was told, and no others")
    func lookup() throws {
        var history = ConfigurationHistory(try Self.configuration(4))
        for epoch in [5, 6] as [UInt64] {
            let isTaken = history.add(try Self.configuration(epoch))
            #expect(isTaken)
        }
        for epoch in 4...6 as ClosedRange<UInt64> { #expect(history.configuration(of: epoch)?.epoch == epoch) }
        for epoch in [0, 1, 3, 7, .max] as [UInt64] { #expect(history.configuration(of: epoch) == nil) }
    }
}
