// Merkle trees, statements and certificates: nothing proves anything but exactly what was signed.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("A Merkle tree of statements")
struct MerkleTreeTests {
    static func leaves(_ count: Int) -> [Digest256] {
        (0..<count).map { MerkleTree.leaf([UInt8($0 & 255), UInt8($0 >> 8)]) }
    }

    @Test("proves every leaf at its place, and at no other, in no other count, by no other path", arguments: 1...40)
    func proofs(count: Int) {
        let leaves = Self.leaves(count)
        let (root, paths) = MerkleTree.build(leaves)
        for (index, leaf) in leaves.enumerated() {
            func proves(_ leaf: Digest256, _ index: Int, _ count: Int, _ path: [Digest256]) -> Bool {
                MerkleTree.root(leaf: leaf, index: UInt32(index), leafCount: UInt32(count), path: path) == root
            }
            #expect(proves(leaf, index, count, paths[index]))
            for other in 0..<count where other != index { #expect(!proves(leaf, other, count, paths[index])) }
            #expect(!proves(leaf, count, count, paths[index]))
            #expect(!proves(leaf, index, count, paths[index] + [leaf]))
            #expect(!proves(MerkleTree.leaf([1, 2, 3]), index, count, paths[index]))
            if !paths[index].isEmpty {
                #expect(!proves(leaf, index, count, paths[index].dropLast()))
                #expect(!proves(leaf, index, count, Array(paths[index].dropFirst())))
                var altered = paths[index]
                altered[0] = MerkleTree.leaf([9, 9, 9])
                #expect(!proves(leaf, index, count, altered))
            }
        }
    }

    @Test("gives a path only the shape that index and leaf count allow")
    func shapes() {
        let leaf = MerkleTree.leaf([1])
        #expect(MerkleTree.root(leaf: leaf, index: 0, leafCount: 0, path: []) == nil)
        #expect(MerkleTree.root(leaf: leaf, index: 1, leafCount: 1, path: []) == nil)
        #expect(MerkleTree.root(leaf: leaf, index: .max, leafCount: .max, path: []) == nil)
        #expect(MerkleTree.root(leaf: leaf, index: 0, leafCount: 65537, path: []) == nil)
        #expect(MerkleTree.root(leaf: leaf, index: 0, leafCount: 2, path: []) == nil)
        #expect(MerkleTree.root(leaf: leaf, index: 0, leafCount: 1, path: [leaf]) == nil)
    }

    @Test("promotes an odd leaf: a tree with that leaf twice has another root")
    func duplicatedOddLeaf() {
        for count in stride(from: 1, through: 39, by: 2) {
            let leaves = Self.leaves(count)
            let (root, paths) = MerkleTree.build(leaves)
            let last = leaves[count - 1]
            #expect(MerkleTree.build(leaves + [last]).root != root)
            let doubled = MerkleTree.root(
                leaf: last, index: UInt32(count), leafCount: UInt32(count + 1), path: [last] + paths[count - 1])
            #expect(doubled != root)
        }
    }

    @Test("does not take an inner node for a leaf")
    func innerNode() {
        let leaves = Self.leaves(4)
        let (root, paths) = MerkleTree.build(leaves)
        let inner = Digest256.sha256([0x01] + leaves[0].bytes + leaves[1].bytes)
        #expect(MerkleTree.root(leaf: inner, index: 0, leafCount: 2, path: [paths[0][1]]) == root)
        // The root is the same, so the signed leaf count and the leaf's own prefix are what keep the two apart.
        #expect(MerkleTree.leaf(leaves[0].bytes + leaves[1].bytes) != inner)
    }
}

@Suite("A certificate")
struct CertificateTests {
    static let groups = [TestGroup(faults: 1), TestGroup(faults: 2), TestGroup(faults: 1, dataFragmentCount: 8)]

    @Test("of q distinct servers' statements is valid, whatever mixture of stored and superseded", arguments: groups)
    func valid(group: TestGroup) throws {
        let version = group.version(.photo, "x", counter: 1)
        for claim in [Claim.stored, .superseded] {
            for servers in [
                Array(group.servers.prefix(group.quorums.quorum)), group.servers.suffix(group.quorums.quorum),
            ] {
                let certificate = group.certificate(of: version, by: servers, claim)
                let verified = try group.freshVerifier().verify(certificate, key: .photo)
                #expect(verified.timestamp == version.timestamp && verified.key == .photo)
            }
        }
    }

    @Test("of q - 1 or q + 1 statements is refused", arguments: groups)
    func count(group: TestGroup) {
        let version = group.version(.photo, "x", counter: 1)
        let q = group.quorums.quorum
        for count in [0, 1, q - 1, q + 1] where count <= group.servers.count {
            let certificate = group.certificate(of: version, by: Array(group.servers.prefix(count)))
            #expect(throws: CertificateError.wrongStatementCount(have: count, need: q)) {
                try group.verifier.verify(certificate, key: .photo)
            }
        }
    }

    @Test("that names a server twice is refused", arguments: groups)
    func repeated(group: TestGroup) {
        let version = group.version(.photo, "x", counter: 1)
        let servers = [1] + group.servers.prefix(group.quorums.quorum - 1)
        #expect(throws: CertificateError.repeatedServer(group.node(1))) {
            try group.verifier.verify(group.certificate(of: version, by: servers), key: .photo)
        }
    }

    @Test("that names a server outside the group is refused, not trapped on", arguments: groups)
    func foreignServer(group: TestGroup) {
        let version = group.version(.photo, "x", counter: 1)
        let own = group.certificate(of: version)
        let last = own.statements.last!
        let beyond = TestGroup.firstNode + UInt16(group.servers.count)
        for stranger in [0, TestGroup.firstNode - 1, beyond, 255, .max].map({ NodeID($0) }) {
            let statement = SignedStatement(
                node: stranger, incarnation: last.incarnation, claim: last.claim, leafIndex: 0, leafCount: 1,
                path: [], signature: last.signature)
            let certificate = group.certificate(version.timestamp, own.statements.dropLast() + [statement])
            #expect(throws: CertificateError.unknownServer(stranger)) {
                try group.verifier.verify(certificate, key: .photo)
            }
        }
    }

    @Test("that one liar forged is refused, and names the first whose signature is not its own", arguments: groups)
    func forged(group: TestGroup) {
        let version = group.version(.photo, "x", counter: 1)
        #expect(throws: CertificateError.invalidSignature(group.node(0))) {
            try group.verifier.verify(group.forgedCertificate(.photo, version.timestamp, liar: 1), key: .photo)
        }
    }

    @Test("proves nothing for another object, timestamp, writer or digest", arguments: groups)
    func otherVersion(group: TestGroup) {
        let version = group.version(.photo, "x", counter: 1)
        let certificate = group.certificate(of: version)
        #expect(throws: CertificateError.invalidSignature(group.node(0))) {
            try group.verifier.verify(certificate, key: .other)
        }
        for timestamp in [
            Timestamp(counter: 2, writer: .alice, digest: version.timestamp.digest),
            Timestamp(counter: 1, writer: .bob, digest: version.timestamp.digest),
            Timestamp(counter: 1, writer: .alice, digest: Digest256.sha256([1])),
        ] {
            let replayed = group.certificate(timestamp, certificate.statements)
            #expect(throws: CertificateError.invalidSignature(group.node(0))) {
                try group.verifier.verify(replayed, key: .photo)
            }
        }
    }

    @Test(
        "proves nothing in another cluster, epoch or group of the same keys, even after it was checked here",
        arguments: [
            TestGroup(cluster: 2), TestGroup(epoch: 2), TestGroup(group: 1), TestGroup(keySeed: 5),
        ])
    func otherCluster(elsewhere: TestGroup) throws {
        let here = TestGroup()
        let version = here.version(.photo, "x", counter: 1)
        for (signing, judging) in [(elsewhere, here), (here, elsewhere)] {
            let certificate = signing.certificate(of: version)
            _ = try signing.verifier.verify(certificate, key: .photo)
            #expect(throws: Self.errorOfHead(certificate, in: judging)) {
                try judging.verifier.verify(certificate, key: .photo)
            }
            // The statements themselves are bound to all of it, too, whatever stands above them.
            let relabelled = judging.certificate(version.timestamp, certificate.statements)
            #expect(throws: CertificateError.invalidSignature(here.node(0))) {
                try judging.verifier.verify(relabelled, key: .photo)
            }
        }
    }

    private static func errorOfHead(_ certificate: Certificate, in group: TestGroup) -> CertificateError {
        if certificate.epoch != group.configuration.epoch { return .unknownEpoch(certificate.epoch) }
        if certificate.group != group.members.id {
            return .foreignGroup(certificate.group, expected: group.members.id)
        }
        return .invalidSignature(group.node(0))
    }

    @Test("binds every statement to its mode")
    func mode() {
        let version = Self.groups[0].version(.photo, "x", counter: 1)
        let statement = Self.groups[0].unsigned(of: 0, .photo, version.timestamp)
        let beforeMode = 1 + "solidus.statement.2".utf8.count + 1 + 16 + 8 + 4 + 2 + 8
        #expect(statement.bytes[beforeMode] == VerificationMode.fingerprint.rawValue)
    }

    @Test(
        "proves nothing under another claim or incarnation, another place in the tree or another signature",
        arguments: groups)
    func alteredStatement(group: TestGroup) {
        let version = group.version(.photo, "x", counter: 1)
        let own = group.certificate(of: version)
        let first = own.statements[0]
        let unsigned = [UInt8](repeating: 0, count: 64)
        let altered: [(SignedStatement, CertificateError)] = [
            (replaced(first, claim: .superseded), .invalidSignature(group.node(0))),
            (replaced(first, incarnation: 2), .unknownIncarnation(group.node(0), Incarnation(2))),
            (replaced(first, leafCount: 2), .invalidPath(group.node(0))),
            (replaced(first, leafIndex: 1), .invalidPath(group.node(0))),
            (replaced(first, leafCount: 0), .invalidPath(group.node(0))),
            (replaced(first, leafCount: 2, path: [Digest256.sha256([])]), .invalidSignature(group.node(0))),
            (replaced(first, signature: own.statements[1].signature), .invalidSignature(group.node(0))),
            (replaced(first, signature: unsigned), .invalidSignature(group.node(0))),
            (replaced(first, signature: []), .invalidSignature(group.node(0))),
            (replaced(first, signature: first.signature + [0]), .invalidSignature(group.node(0))),
        ]
        for (statement, error) in altered {
            let certificate = group.certificate(version.timestamp, [statement] + own.statements.dropFirst())
            #expect(throws: error) { try group.verifier.verify(certificate, key: .photo) }
        }
    }

    @Test("under an altered signature is refused although its root is remembered", arguments: groups)
    func rememberedRoot(group: TestGroup) throws {
        let version = group.version(.photo, "x", counter: 1)
        let own = group.certificate(of: version)
        let verifier = group.freshVerifier()
        _ = try verifier.verify(own, key: .photo)
        for position in [0, 31, 32, 63] {
            var signature = own.statements[0].signature
            signature[position] ^= 1
            let certificate = group.certificate(
                version.timestamp,
                [replaced(own.statements[0], signature: signature)] + own.statements.dropFirst())
            #expect(throws: CertificateError.invalidSignature(group.node(0))) {
                try verifier.verify(certificate, key: .photo)
            }
            #expect(throws: Never.self) { try verifier.verify(own, key: .photo) }
        }
    }

    @Test(
        "is not proven for a second server by a root that a first one signed, however equal (scenario 15)",
        arguments: groups)
    func equalRoots(group: TestGroup) throws {
        // Server 0 signs a tree whose only leaf is what server 1 would have said: the root is the one server 1 would
        // have signed.
        let version = group.version(.photo, "x", counter: 1)
        let verifier = group.freshVerifier()
        _ = try verifier.verify(group.certificate(of: version), key: .photo)
        let honest = group.statement(of: 1, .photo, version.timestamp)
        let borrowed = replaced(honest, signature: group.statement(of: 0, .photo, version.timestamp).signature)
        #expect(throws: CertificateError.invalidSignature(group.node(1))) {
            try verifier.verify(borrowed, key: .photo, timestamp: version.timestamp)
        }
        // Server 0 signs the very root of server 1's statement, as its own batch. Nothing of it passes for either.
        let root = MerkleTree.leaf(
            group.unsigned(of: 1, .photo, version.timestamp).bytes)
        let signature = group.signature(of: 0, onRoot: root)
        for server in [0, 1] as [Position] {
            let stolen = SignedStatement(
                node: group.node(server), incarnation: Incarnation(1), claim: .stored, leafIndex: 0, leafCount: 1,
                path: [],
                signature: signature)
            #expect(throws: CertificateError.invalidSignature(group.node(server))) {
                try verifier.verify(stolen, key: .photo, timestamp: version.timestamp)
            }
        }
    }

    @Test("counts statements from batches, each at its own leaf", arguments: groups)
    func batches(group: TestGroup) throws {
        let versions = (0..<7).map { group.version(.of("bucket/\($0)"), "x\($0)", counter: 1) }
        let signed = try group.servers.prefix(group.quorums.quorum).map { server in
            try group.signer(server).sign(
                versions.map { group.unsigned(of: server, $0.key, $0.timestamp) })
        }
        for (position, version) in versions.enumerated() {
            let certificate = group.certificate(version.timestamp, signed.map { $0[position] })
            #expect(throws: Never.self) { try group.verifier.verify(certificate, key: version.key) }
            let shifted = group.certificate(version.timestamp, signed.map { $0[(position + 1) % versions.count] })
            #expect(throws: CertificateError.invalidSignature(group.node(0))) {
                try group.verifier.verify(shifted, key: version.key)
            }
        }
    }

    // MARK: Making bad ones

    private func replaced(
        _ statement: SignedStatement, claim: Claim? = nil, incarnation: UInt64? = nil, leafIndex: UInt32 = 0,
        leafCount: UInt32 = 1, path: [Digest256] = [], signature: [UInt8]? = nil
    ) -> SignedStatement {
        SignedStatement(
            node: statement.node, incarnation: incarnation.map { Incarnation($0) } ?? statement.incarnation,
            claim: claim ?? statement.claim, leafIndex: leafIndex, leafCount: leafCount, path: path,
            signature: signature ?? statement.signature)
    }
}
