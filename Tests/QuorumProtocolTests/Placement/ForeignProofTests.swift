// Proofs of other groups, epochs and lives: each is judged by what it names, and counts for nothing anywhere else.

import Crypto
import Fingerprint
import QuorumProtocol
import Testing

@Suite("A proof among overlapping groups")
struct OverlappingGroupsTests {
    let cluster = OverlappingCluster()

    /// Any two groups, the object's own first.
    static let pairs = (0..<5).flatMap { first in
        (0..<5).filter { $0 != first }.map { (UInt32(first), UInt32($0)) }
    }

    @Test("of another group is none, although q nodes of that group are the object's as well", arguments: pairs)
    func foreignCertificate(own: UInt32, other: UInt32) throws {
        let (own, other) = (cluster.group(own), cluster.group(other))
        let version = cluster.version(cluster.object(of: own))
        let common = own.members.filter(other.contains)
        #expect(common.count == OverlappingCluster.quorums.quorum)
        let verifier = cluster.verifier()
        // The same nodes' certificate in the object's own group is one.
        let genuine = cluster.certificate(of: version, by: common, in: own)
        #expect(try verifier.verify(genuine, key: version.key).timestamp == version.timestamp)

        let foreign = cluster.certificate(of: version, by: common, in: other)
        let error = CertificateError.foreignGroup(other.id, expected: own.id)
        #expect(!error.isIgnorance)
        #expect(throws: error) { try verifier.verify(foreign, key: version.key) }
        #expect(throws: error) {
            try verifier.verify(
                cluster.certificate(of: version, by: Array(other.members.prefix(3)), in: other), key: version.key)
        }
        // Neither do the statements pass under the right group's name, nor the right ones under the other's.
        let lowest = try #require(common.min())
        let relabelled = Certificate(
            epoch: 1, group: own.id, timestamp: version.timestamp, statements: foreign.statements)
        #expect(throws: CertificateError.invalidSignature(lowest)) {
            try verifier.verify(relabelled, key: version.key)
        }
        let misnamed = Certificate(
            epoch: 1, group: other.id, timestamp: version.timestamp, statements: genuine.statements)
        #expect(throws: error) { try verifier.verify(misnamed, key: version.key) }
    }

    @Test("of a group that does not exist is none")
    func unknownGroup() {
        let own = cluster.group(0)
        let version = cluster.version(cluster.object(of: own))
        let genuine = cluster.certificate(of: version, by: Array(own.members.prefix(3)), in: own)
        for number in [5, .max] as [UInt32] {
            let certificate = Certificate(
                epoch: 1, group: GroupID(number), timestamp: version.timestamp, statements: genuine.statements)
            #expect(throws: CertificateError.foreignGroup(GroupID(number), expected: own.id)) {
                try cluster.verifier().verify(certificate, key: version.key)
            }
        }
    }

    @Test("by a node of the cluster that is no member is none, however well it signs", arguments: 0..<5)
    func outsider(number: UInt32) throws {
        let own = cluster.group(number)
        let version = cluster.version(cluster.object(of: own))
        let outsider = try #require(OverlappingCluster.nodes.first { !own.contains($0) })
        let certificate = cluster.certificate(of: version, by: own.members.prefix(2) + [outsider], in: own)
        #expect(throws: CertificateError.unknownServer(outsider)) {
            try cluster.verifier().verify(certificate, key: version.key)
        }
        let statement = cluster.statement(of: outsider, on: version, in: own)
        #expect(throws: CertificateError.unknownServer(outsider)) {
            try cluster.verifier().verify(statement, key: version.key, timestamp: version.timestamp)
        }
    }

    @Test("which is one statement of another group, is none", arguments: pairs)
    func foreignStatement(own: UInt32, other: UInt32) throws {
        let (own, other) = (cluster.group(own), cluster.group(other))
        let version = cluster.version(cluster.object(of: own))
        for node in own.members where other.contains(node) {
            let statement = cluster.statement(of: node, on: version, in: other)
            #expect(throws: CertificateError.invalidSignature(node)) {
                try cluster.verifier().verify(statement, key: version.key, timestamp: version.timestamp)
            }
        }
    }

    @Test("comes from one signature for all groups that a node is in, and counts in each for its own object only")
    func oneSignature() throws {
        let node = NodeID(12)
        let groups = cluster.configuration.groups(of: node)
        #expect(groups.count == 4)
        let versions = groups.map { cluster.version(cluster.object(of: $0)) }
        let signed = cluster.sign(
            zip(groups, versions).map { group, version in
                Statement(
                    scope: cluster.scope(group), node: node, incarnation: Incarnation(1), key: version.key,
                    timestamp: version.timestamp, claim: .stored)
            })
        #expect(Set(signed.map(\.signature)).count == 1)
        let verifier = cluster.verifier()
        for (index, version) in versions.enumerated() {
            for (other, statement) in signed.enumerated() {
                if index == other {
                    #expect(throws: Never.self) {
                        try verifier.verify(statement, key: version.key, timestamp: version.timestamp)
                    }
                } else {
                    #expect(throws: CertificateError.invalidSignature(node)) {
                        try verifier.verify(statement, key: version.key, timestamp: version.timestamp)
                    }
                }
            }
        }
    }
}

@Suite("A proof of another epoch")
struct ForeignEpochTests {
    let cluster = OverlappingCluster()

    /// The cluster's second epoch: all five nodes are one group, number 1, of which it takes four to make a quorum.
    private static func later() throws -> Configuration {
        try Configuration(
            cluster: OverlappingCluster.cluster, epoch: 2, mode: .fingerprint,
            quorums: OverlappingCluster.quorums(faults: 1, dataFragmentCount: 3),
            nodes: OverlappingCluster.nodes.map { Node(id: $0) },
            groups: [Group(id: GroupID(1), members: OverlappingCluster.nodes)],
            slots: Array(repeating: GroupID(1), count: Slot.count))
    }

    private func history() throws -> ConfigurationHistory {
        var history = cluster.parameters.history
        let isTaken = history.add(try Self.later())
        #expect(isTaken)
        return history
    }

    @Test("that is not known is refused as that, which says nothing against who shows it; once known, it is judged")
    func unknownEpoch() throws {
        let later = try #require(try Self.later().group(GroupID(1)))
        let version = cluster.version(cluster.object(of: cluster.group(0)))
        let certificate = cluster.certificate(of: version, by: Array(later.members.prefix(4)), in: later, epoch: 2)
        let verifier = cluster.verifier()
        #expect(CertificateError.unknownEpoch(2).isIgnorance)
        for _ in 0..<2 {
            #expect(throws: CertificateError.unknownEpoch(2)) { try verifier.verify(certificate, key: version.key) }
        }
        for epoch in [0, 3, .max] as [UInt64] {
            let other = Certificate(
                epoch: epoch, group: certificate.group, timestamp: version.timestamp,
                statements: certificate.statements)
            #expect(throws: CertificateError.unknownEpoch(epoch)) { try verifier.verify(other, key: version.key) }
        }
        verifier.learn(history: try history(), keys: OverlappingCluster.statementKeys())
        #expect(try verifier.verify(certificate, key: version.key).timestamp == version.timestamp)
        // Who comes late with less makes nothing forgotten.
        verifier.learn(history: cluster.parameters.history, keys: StatementKeys())
        #expect(try verifier.verify(certificate, key: version.key).timestamp == version.timestamp)
        let earlier = cluster.group(0)
        let old = cluster.certificate(of: version, by: Array(earlier.members.prefix(3)), in: earlier)
        verifier.learn(history: ConfigurationHistory(try Self.later()), keys: StatementKeys())
        #expect(try verifier.verify(old, key: version.key).timestamp == version.timestamp)
    }

    @Test("that was before is judged by its own groups, members and thresholds, and the newer by theirs")
    func earlierEpoch() throws {
        let verifier = cluster.verifier(try history())
        let earlier = cluster.group(3)
        let later = try #require(try Self.later().group(GroupID(1)))
        let version = cluster.version(cluster.object(of: earlier))
        let outsider = try #require(OverlappingCluster.nodes.first { !earlier.contains($0) })
        func error(by signers: [NodeID], in group: Group, epoch: UInt64) -> CertificateError? {
            let certificate = cluster.certificate(of: version, by: signers, in: group, epoch: epoch)
            do throws(CertificateError) {
                _ = try verifier.verify(certificate, key: version.key)
                return nil
            } catch {
                return error
            }
        }
        let (members, everyone) = (earlier.members, later.members)
        #expect(error(by: Array(members.prefix(3)), in: earlier, epoch: 1) == nil)
        #expect(error(by: members, in: earlier, epoch: 1) == .wrongStatementCount(have: 4, need: 3))
        #expect(error(by: members.prefix(2) + [outsider], in: earlier, epoch: 1) == .unknownServer(outsider))
        #expect(
            error(by: Array(members.prefix(3)), in: later, epoch: 1) == .foreignGroup(later.id, expected: earlier.id))
        #expect(error(by: Array(everyone.prefix(4)), in: later, epoch: 2) == nil)
        #expect(error(by: members.prefix(3) + [outsider], in: later, epoch: 2) == nil)
        #expect(error(by: Array(everyone.prefix(3)), in: later, epoch: 2) == .wrongStatementCount(have: 3, need: 4))
        #expect(
            error(by: Array(members.prefix(3)), in: earlier, epoch: 2)
                == .foreignGroup(earlier.id, expected: later.id))
    }

    @Test("does not pass under another epoch's name, though group, members and thresholds are the same")
    func renamedEpoch() throws {
        var history = cluster.parameters.history
        let isTaken = history.add(OverlappingCluster.configuration(epoch: 2))
        #expect(isTaken)
        let verifier = cluster.verifier(history)
        let own = cluster.group(2)
        let version = cluster.version(cluster.object(of: own))
        let lowest = try #require(own.members.prefix(3).min())
        for (signed, named) in [(1, 2), (2, 1)] as [(UInt64, UInt64)] {
            let genuine = cluster.certificate(of: version, by: Array(own.members.prefix(3)), in: own, epoch: signed)
            #expect(throws: Never.self) { try verifier.verify(genuine, key: version.key) }
            let renamed = Certificate(
                epoch: named, group: own.id, timestamp: version.timestamp, statements: genuine.statements)
            #expect(throws: CertificateError.invalidSignature(lowest)) {
                try verifier.verify(renamed, key: version.key)
            }
        }
    }

    @Test("does not pass by a root that was signed, and checked, for another epoch")
    func rememberedRoot() throws {
        var history = cluster.parameters.history
        let isTaken = history.add(OverlappingCluster.configuration(epoch: 2))
        #expect(isTaken)
        let verifier = cluster.verifier(history)
        let own = cluster.group(2)
        let node = own.members[0]
        let version = cluster.version(cluster.object(of: own))
        // A liar signs, for epoch 1, a tree with a leaf of each epoch.
        let leaves = [1, 2].map { epoch in
            MerkleTree.leaf(
                Statement(
                    scope: cluster.scope(own, epoch: epoch), node: node, incarnation: Incarnation(1),
                    key: version.key, timestamp: version.timestamp, claim: .stored
                ).bytes)
        }
        let (root, paths) = MerkleTree.build(leaves)
        let signature = try Self.signature(of: node, onRoot: root, leafCount: 2, epoch: 1)
        func certificate(epoch: UInt64) -> Certificate {
            let lie = SignedStatement(
                node: node, incarnation: Incarnation(1), claim: .stored, leafIndex: UInt32(epoch - 1), leafCount: 2,
                path: paths[Int(epoch - 1)], signature: signature)
            let others = own.members[1...2].map { cluster.statement(of: $0, on: version, in: own, epoch: epoch) }
            return Certificate(epoch: epoch, group: own.id, timestamp: version.timestamp, statements: [lie] + others)
        }
        #expect(throws: Never.self) { try verifier.verify(certificate(epoch: 1), key: version.key) }
        #expect(throws: CertificateError.invalidSignature(node)) {
            try verifier.verify(certificate(epoch: 2), key: version.key)
        }
    }

    /// What a signature covers, made by hand as docs/protocol.md has it.
    static func signature(of node: NodeID, onRoot root: Digest256, leafCount: UInt32, epoch: UInt64) throws -> [UInt8] {
        var encoder = CanonicalEncoder()
        encoder.append(tag: "solidus.statements.2")
        encoder.append(OverlappingCluster.cluster)
        encoder.append(epoch)
        encoder.append(node.rawValue)
        encoder.append(UInt64(1))
        encoder.append(root)
        encoder.append(leafCount)
        let key = OverlappingCluster.key(of: node, life: 1)
        return Array(try key.signature(for: encoder.bytes).rawRepresentation)
    }

    // MARK: Kinds

    @Test("whose statements are of another kind is none", arguments: [0, 2, 3, 255] as [UInt8])
    func statementKind(kind: UInt8) throws {
        let own = cluster.group(2)
        let node = own.members[0]
        let version = cluster.version(cluster.object(of: own))
        func statement(kind: UInt8) throws -> SignedStatement {
            var encoder = CanonicalEncoder()
            encoder.append(tag: "solidus.statement.2")
            encoder.append(kind)
            encoder.append(OverlappingCluster.cluster)
            encoder.append(UInt64(1))
            encoder.append(own.id.rawValue)
            encoder.append(node.rawValue)
            encoder.append(UInt64(1))
            encoder.append(VerificationMode.fingerprint.rawValue)
            encoder.append(counted: version.key.bytes)
            encoder.append(version.timestamp)
            encoder.append(Claim.stored.rawValue)
            return SignedStatement(
                node: node, incarnation: Incarnation(1), claim: .stored, leafIndex: 0, leafCount: 1, path: [],
                signature: try Self.signature(
                    of: node, onRoot: MerkleTree.leaf(encoder.bytes), leafCount: 1, epoch: 1))
        }
        let genuine = try statement(kind: 1)
        #expect(throws: Never.self) {
            try cluster.verifier().verify(genuine, key: version.key, timestamp: version.timestamp)
        }
        let foreign = try statement(kind: kind)
        #expect(throws: CertificateError.invalidSignature(node)) {
            try cluster.verifier().verify(foreign, key: version.key, timestamp: version.timestamp)
        }
    }
}

@Suite("A statement of another life of its server")
struct ForeignLifeTests {
    let cluster = OverlappingCluster()
    private let node = NodeID(11)

    private func statement(
        on version: TestVersion, in group: Group, life: UInt64, signedBy key: P256.Signing.PrivateKey
    ) throws -> SignedStatement {
        let signer = StatementSigner(
            node: node, incarnation: Incarnation(life), mode: .fingerprint, key: .p256(key))
        return try signer.sign([
            Statement(
                scope: cluster.scope(group), node: node, incarnation: Incarnation(life), key: version.key,
                timestamp: version.timestamp, claim: .stored)
        ])[0]
    }

    @Test("is refused as not known here, in certificates as well, and is valid once its key is known")
    func unknownLife() throws {
        let own = cluster.group(0)
        let version = cluster.version(cluster.object(of: own))
        let second = OverlappingCluster.key(of: node, life: 2)
        let reborn = try statement(on: version, in: own, life: 2, signedBy: second)
        let others = own.members.filter { $0 != node }.prefix(2)
        let certificate = Certificate(
            epoch: 1, group: own.id, timestamp: version.timestamp,
            statements: others.map { cluster.statement(of: $0, on: version, in: own) } + [reborn])
        let verifier = cluster.verifier()
        let error = CertificateError.unknownIncarnation(node, Incarnation(2))
        #expect(error.isIgnorance)
        #expect(throws: error) { try verifier.verify(reborn, key: version.key, timestamp: version.timestamp) }
        #expect(throws: error) { try verifier.verify(certificate, key: version.key) }
        var keys = OverlappingCluster.statementKeys()
        keys.add(.p256(KnownKey(second.publicKey)), of: node, Incarnation(2))
        verifier.learn(history: cluster.parameters.history, keys: keys)
        #expect(throws: Never.self) { try verifier.verify(certificate, key: version.key) }
        // The first life's statements count as before: what it has stored, the second life may have lost.
        let earlier = cluster.statement(of: node, on: version, in: own)
        #expect(throws: Never.self) {
            try verifier.verify(earlier, key: version.key, timestamp: version.timestamp)
        }
    }

    @Test("is none by the key of this life, nor is one of this life by the other's key")
    func foreignKey() throws {
        let own = cluster.group(0)
        let version = cluster.version(cluster.object(of: own))
        var keys = OverlappingCluster.statementKeys()
        keys.add(.p256(KnownKey(OverlappingCluster.key(of: node, life: 2).publicKey)), of: node, Incarnation(2))
        // A key that comes second for a life that has one displaces nothing.
        keys.add(.p256(KnownKey(OverlappingCluster.key(of: node, life: 2).publicKey)), of: node, Incarnation(1))
        let verifier = StatementVerifier(history: cluster.parameters.history, keys: keys)
        for (life, key) in [(1, 1), (1, 2), (2, 1), (2, 2)] as [(UInt64, UInt8)] {
            let statement = try statement(
                on: version, in: own, life: life, signedBy: OverlappingCluster.key(of: node, life: key))
            if life == UInt64(key) {
                #expect(throws: Never.self) {
                    try verifier.verify(statement, key: version.key, timestamp: version.timestamp)
                }
            } else {
                #expect(throws: CertificateError.invalidSignature(node)) {
                    try verifier.verify(statement, key: version.key, timestamp: version.timestamp)
                }
            }
        }
    }
}
