// Where objects lie: slots, rotations and positions, against vectors that another implementation has to meet.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("An object's placement")
struct PlacementTests {
    struct Vector: Sendable {
        let key: String
        let slot: UInt16
        /// By the size of the group.
        let rotations: [Int: Int]
    }

    // The SHA-256 of "pictures/photo" begins with e071f862: e07 is the slot, 1f86 what the rotation is made from.
    static let vectors = [
        Vector(key: "pictures/photo", slot: 0xe07, rotations: [1: 0, 4: 2, 7: 6, 10: 0]),
        Vector(key: "pictures/other-5861", slot: 0xe5c, rotations: [1: 0, 4: 2, 7: 6, 10: 0]),
        Vector(key: "a/b", slot: 0xc14, rotations: [1: 0, 4: 0, 7: 4, 10: 0]),
        Vector(key: "b/k", slot: 0x710, rotations: [1: 0, 4: 0, 7: 6, 10: 0]),
        Vector(key: "photos/2026/ä.jpg", slot: 2041, rotations: [1: 0, 4: 1, 7: 2, 10: 5]),
        Vector(
            key: "bucket/" + String(repeating: "x", count: 1024), slot: 2456, rotations: [1: 0, 4: 0, 7: 2, 10: 4]),
    ]
    static let systems = [1: (0, 1), 4: (1, 2), 7: (2, 3), 10: (1, 8)]

    /// The members in the order 9, 2, 300, then from 40 on: neither ascending nor without gaps.
    private static func members(_ count: Int) -> [NodeID] {
        ([9, 2, 300] + (40...).prefix(max(0, count - 3))).prefix(count).map { NodeID($0) }
    }

    private static func configuration(_ count: Int) throws -> Configuration {
        let (faults, dataFragmentCount) = try #require(systems[count])
        let group = try Group(id: GroupID(6), members: members(count))
        return try Configuration(
            cluster: ClusterID(high: 0, low: 1), epoch: 1, mode: .fingerprint,
            quorums: try QuorumConfiguration(faults: faults, dataFragmentCount: dataFragmentCount),
            nodes: members(count).map { Node(id: $0) }, groups: [group],
            slots: Array(repeating: group.id, count: Slot.count))
    }

    @Test("has these slots and rotations", arguments: vectors)
    func known(vector: Vector) throws {
        let key = ObjectKey.of(vector.key)
        #expect(key.slot == Slot(vector.slot))
        for (count, rotation) in vector.rotations {
            let placement = Placement(key, in: try Self.configuration(count))
            #expect(placement.rotation == rotation, "n = \(count)")
            #expect(placement.group.id == GroupID(6))
            #expect(placement.route == Route(epoch: 1, group: GroupID(6)))
        }
    }

    @Test("has the group's member (p + rotation) mod n at position p, and nobody else anywhere", arguments: vectors)
    func positions(vector: Vector) throws {
        for (count, rotation) in vector.rotations {
            let placement = Placement(ObjectKey.of(vector.key), in: try Self.configuration(count))
            let members = Self.members(count)
            for position in 0..<count {
                let node = members[(position + rotation) % count]
                #expect(placement.node(at: Position(UInt8(position))) == node)
                #expect(placement.position(of: node) == Position(UInt8(position)))
                #expect(placement.nodes[position] == node)
            }
            for stranger in (0...400).map({ NodeID($0) }) + [NodeID(.max)] where !members.contains(stranger) {
                #expect(placement.position(of: stranger) == nil)
            }
        }
    }

    @Test("is these nodes, for pictures/photo in a group of the nodes 9, 2, 300 and 40")
    func knownNodes() throws {
        let placement = Placement(.photo, in: try Self.configuration(4))
        #expect(placement.nodes == [300, 40, 9, 2].map { NodeID($0) })
    }

    @Test("puts every node at every position of some objects, and about as often", arguments: [4, 7, 10])
    func everyPosition(count: Int) throws {
        let configuration = try Self.configuration(count)
        var held: [NodeID: [Int]] = [:]
        let objectCount = 200 * count
        for number in 0..<objectCount {
            let placement = Placement(ObjectKey.of("bucket/object-\(number)"), in: configuration)
            for (position, node) in placement.nodes.enumerated() {
                held[node, default: Array(repeating: 0, count: count)][position] += 1
            }
        }
        #expect(Set(held.keys) == Set(Self.members(count)))
        for (node, counts) in held {
            #expect(counts.reduce(0, +) == objectCount)
            #expect(counts.allSatisfy { (120...280).contains($0) }, "\(node) holds \(counts)")
        }
    }

    @Test("gives the groups their shares of many objects, each by its slot")
    func groups() {
        let configuration = OverlappingCluster().configuration
        var shares: [GroupID: Int] = [:]
        for number in 0..<2_000 {
            let key = ObjectKey.of("bucket/object-\(number)")
            let group = Placement(key, in: configuration).group
            #expect(group.id == GroupID(UInt32(key.slot.rawValue) % 5))
            shares[group.id, default: 0] += 1
        }
        #expect(shares.count == 5 && shares.values.allSatisfy { $0 > 300 }, "\(shares)")
    }

    @Test(
        "may order nodes otherwise than by number: writes, reads, recoveries and verifications go their ways",
        arguments: VerificationMode.allCases)
    func reversedNodes(mode: VerificationMode) throws {
        for faults in [1, 2] {
            let group = TestGroup(faults: faults, mode: mode, isReversed: true)
            #expect(group.node(0) > group.node(1))
            let simulation = Simulation(group)
            let wrote = try #require(simulation.write("one").wrote)
            #expect(wrote.rounds == 3 && wrote.observations.misbehaving.isEmpty)
            let signers = wrote.certificate.statements.map(\.node)
            #expect(signers == signers.sorted() && signers.count == group.quorums.quorum)
            for server in group.servers {
                let preference = group.preferring([server])
                #expect(simulation.read(preference: preference).text == "one")
            }
            for crash in 0..<group.parameters.limits.pendingVersionsPerClientMax {
                let holders = Array(group.servers.prefix(group.quorums.dataFragmentCount))
                simulation.prepareAndCrash("crash \(crash)", at: holders)
            }
            #expect(simulation.write("two").wrote != nil)
            for server in group.servers.prefix(faults) { simulation.crash(server) }
            let read = simulation.read()
            #expect(read.text == "two" && read.read?.observations.misbehaving.isEmpty == true)
        }
    }
}
