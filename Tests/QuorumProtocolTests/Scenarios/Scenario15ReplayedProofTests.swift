// Scenario 15. Mallory and a server take genuine signatures out of their context: those of other servers, objects,
// versions, epochs, clusters, groups, modes and incarnations, of another leaf of the tree, or of one leaf counted
// twice. Servers whose batch is one statement sign that leaf as the root, so a memory of checked roots must not take
// one server's root for another's.
//
// The rules (docs/protocol.md, Statements and certificates): the statement names its whole context and the signature
// covers cluster, epoch, server, incarnation, root and leaf count; a checked root is remembered with all of that and
// its signature; an odd node is promoted, never duplicated.

import Fingerprint
import QuorumProtocol
import Testing

/// A certificate that is none, made of genuine signatures.
private struct Forgery {
    let name: String
    let certificate: Certificate
    let error: CertificateError
    /// Whether the statement that bears the liar's name is one that it may well make.
    var isGenuineOfLiar = false
}

/// What can be made of what q servers signed for one version, everywhere else, and one liar signs here.
private struct Forger {
    let group: TestGroup
    /// Nobody but the liar has ever signed it here.
    let target: TestVersion
    let liar: Position

    private var signers: [Position] { Array(group.servers.prefix(group.quorums.quorum)) }

    private func elsewhere(cluster: UInt64 = 1, epoch: UInt64 = 1, group number: UInt32 = 3) -> TestGroup {
        TestGroup(
            faults: group.quorums.faults, dataFragmentCount: group.quorums.dataFragmentCount, cluster: cluster,
            epoch: epoch, group: number)
    }

    private func altered(
        _ statement: SignedStatement, server: Position? = nil, incarnation: UInt64? = nil, leafIndex: UInt32 = 0,
        leafCount: UInt32 = 1, path: [Digest256] = [], signature: [UInt8]? = nil
    ) -> SignedStatement {
        SignedStatement(
            node: server.map { group.node($0) } ?? statement.node,
            incarnation: incarnation.map { Incarnation($0) } ?? statement.incarnation, claim: statement.claim,
            leafIndex: leafIndex, leafCount: leafCount, path: path, signature: signature ?? statement.signature)
    }

    private func forgery(
        _ name: String, timestamp: Timestamp? = nil, _ statements: [SignedStatement],
        _ error: CertificateError? = nil, isGenuineOfLiar: Bool = false, of issuer: TestGroup? = nil
    ) -> Forgery {
        let certificate = (issuer ?? group).certificate(timestamp ?? target.timestamp, statements)
        return Forgery(
            name: name, certificate: certificate, error: error ?? .invalidSignature(group.node(0)),
            isGenuineOfLiar: isGenuineOfLiar)
    }

    /// - Parameter genuine: a certificate of another version of the object, known to everybody.
    func forgeries(genuine: Certificate) -> [Forgery] {
        let timestamp = target.timestamp
        let own = group.statement(of: liar, .photo, timestamp)
        let raised = Timestamp(
            counter: timestamp.counter, writer: genuine.timestamp.writer, digest: genuine.timestamp.digest)
        return [
            forgery(
                "one server's signature under everybody's name", signers.map { altered(own, server: $0) },
                isGenuineOfLiar: true),
            forgery("one server, q times", signers.map { _ in own }, .repeatedServer(group.node(liar))),
            forgery("the roots of other servers, signed by the liar", equalRoots(timestamp), isGenuineOfLiar: true),
            forgery(
                "the certificate of a lower version, under a higher timestamp", timestamp: raised, genuine.statements),
            forgery("of another object", signers.map { group.statement(of: $0, .other, timestamp) }),
            forgery("of another epoch", signers.map { elsewhere(epoch: 2).statement(of: $0, .photo, timestamp) }),
            forgery("of another cluster", signers.map { elsewhere(cluster: 2).statement(of: $0, .photo, timestamp) }),
            forgery("of another group", signers.map { elsewhere(group: 1).statement(of: $0, .photo, timestamp) }),
            forgery(
                "of another group, which it names",
                signers.map { elsewhere(group: 1).statement(of: $0, .photo, timestamp) },
                .foreignGroup(GroupID(1), expected: group.members.id), of: elsewhere(group: 1)),
            forgery("of another mode", signers.map { statement(of: $0, timestamp, mode: 2) }),
            forgery(
                "of another incarnation",
                signers.map { altered(group.statement(of: $0, .photo, timestamp), incarnation: 2) },
                .unknownIncarnation(group.node(0), Incarnation(2))),
            forgery("the fourth leaf of a tree of three", signers.map { duplicatedLeaf($0, timestamp) }),
            forgery("the fourth leaf of a tree of three, which a liar signs as one of four", duplicatedRoot(timestamp)),
        ]
    }

    private func leaf(of server: Position, _ timestamp: Timestamp) -> Digest256 {
        MerkleTree.leaf(
            group.unsigned(of: server, .photo, timestamp).bytes)
    }

    /// What another server would have signed as the root of its batch, signed by the liar: roots are equal, servers
    /// not.
    private func equalRoots(_ timestamp: Timestamp) -> [SignedStatement] {
        signers.map { server in
            let signature = group.signature(of: liar, onRoot: leaf(of: server, timestamp))
            return altered(group.statement(of: server, .photo, timestamp), signature: signature)
        }
    }

    /// What the server would sign in a cluster that differs at most in its mode, made by hand as docs/protocol.md has
    /// it.
    func statement(of server: Position, _ timestamp: Timestamp, mode: UInt8) -> SignedStatement {
        let scope = group.placement.scope
        var encoder = CanonicalEncoder()
        encoder.append(tag: "solidus.statement.2")
        encoder.append(UInt8(1))
        encoder.append(scope.cluster)
        encoder.append(scope.epoch)
        encoder.append(scope.group.rawValue)
        encoder.append(group.node(server).rawValue)
        encoder.append(UInt64(1))
        encoder.append(mode)
        encoder.append(counted: ObjectKey.photo.bytes)
        encoder.append(timestamp)
        encoder.append(Claim.stored.rawValue)
        return altered(
            group.statement(of: server, .photo, timestamp),
            signature: group.signature(of: server, onRoot: MerkleTree.leaf(encoder.bytes)))
    }

    /// The last of a server's batch of three, shown as the fourth of four: its own sibling.
    private func duplicatedLeaf(_ server: Position, _ timestamp: Timestamp) -> SignedStatement {
        let (leaves, path) = batch(server, timestamp)
        let signature = group.signature(of: server, onRoot: MerkleTree.build(leaves).root, leafCount: 3)
        return altered(
            group.statement(of: server, .photo, timestamp), leafIndex: 3, leafCount: 4,
            path: [leaves[2]] + path.suffix(1),
            signature: signature)
    }

    /// The same from a tree that really has its last leaf twice, shown as a tree of three.
    private func duplicatedRoot(_ timestamp: Timestamp) -> [SignedStatement] {
        signers.map { server in
            let (leaves, path) = batch(server, timestamp)
            let root = MerkleTree.build(leaves + [leaves[2]]).root
            return altered(
                group.statement(of: server, .photo, timestamp), leafIndex: 2, leafCount: 3, path: path.suffix(1),
                signature: group.signature(of: server, onRoot: root, leafCount: 3))
        }
    }

    /// Three leaves, the last of which is the statement on the version, and that one's path.
    private func batch(_ server: Position, _ timestamp: Timestamp) -> (leaves: [Digest256], path: [Digest256]) {
        let leaves = [MerkleTree.leaf([1]), MerkleTree.leaf([2]), leaf(of: server, timestamp)]
        return (leaves, MerkleTree.build(leaves).paths[2])
    }
}

@Suite("Scenario 15, replayed proof")
struct Scenario15ReplayedProofTests {
    /// Each forgery goes to every server as COMMIT and as justification, and by the liar to readers and writers.
    private func run(_ simulation: Simulation) {
        let group = simulation.group
        guard let genuine = simulation.write("honest").wrote else {
            Issue.record("the write fails")
            return
        }
        let liar = group.servers[group.quorums.quorum - 1]
        let target = group.version(.photo, "forged", counter: 2, writer: .mallory)
        let above = group.version(.photo, "above", counter: 3, writer: .mallory)
        let forger = Forger(group: group, target: target, liar: liar)
        for forgery in forger.forgeries(genuine: genuine.certificate) {
            simulation.note(
                "\(forgery.name): as COMMIT, as justification, and as \(TranscriptNames.name(liar))'s claim")
            let certificate = forgery.certificate
            let refusal = Reply.refused(.invalidCertificate(forgery.error))
            let commit = Request.commit(Commit(key: .photo, certificate: certificate))
            for server in group.servers {
                let before = simulation.host(server).store
                #expect(simulation.ask(server, commit, as: .mallory) == refusal, "\(forgery.name)")
                #expect(simulation.host(server).store == before, "\(forgery.name)")
            }
            for server in group.servers {
                let justified = Request.prepare(above.prepare(for: server, justification: certificate))
                #expect(simulation.ask(server, justified, as: .mallory) == refusal, "\(forgery.name)")
            }
            simulation.lies[liar] = { _, _, request in
                switch request {
                case .readTimestamp: [.timestamp(CommittedClaim(certificate: certificate))]
                case .read: [group.showing(target, certificate, at: liar)]
                case .certificate: [.certificate(CommittedClaim(certificate: certificate), certificate)]
                case .prepare, .commit, .describe, .stage, .discard, .fetch, .listHeld, .restate: nil
                }
            }
            let read = simulation.quietly { simulation.read(preference: group.preferring([liar])) }
            #expect(read.text == "honest", "\(forgery.name)")
            #expect(
                read.read?.observations.misbehaviours[liar]
                    == (forgery.error.isIgnorance ? nil : .invalidCertificate(forgery.error)), "\(forgery.name)")
        }
        simulation.note("a reader and a writer among such claims")
        #expect(simulation.read(preference: group.preferring([liar])).text == "honest")
        #expect(simulation.write("next").wrote?.timestamp.counter == 2)
    }

    @Test("15: genuine signatures out of their context prove nothing to any server or client")
    func transcript() {
        let transcript = Transcript("Scenario 15: replayed proof (f = 1, m = 2, servers A to D)")
        let simulation = Simulation(TestGroup(), transcript: transcript)
        run(simulation)
        simulation.note("verdict: everything is refused with its reason, nothing is changed by it")
        transcript.expectKept(as: "15-replayed-proof")
    }

    @Test("15: they prove nothing with any code, m = 8 of n = 10 included", arguments: TestGroup.scenarioGroups)
    func everyGroup(group: TestGroup) { run(Simulation(group)) }

    @Test(
        "15: one statement that was taken out of its context spoils a certificate, wherever it stands",
        arguments: TestGroup.scenarioGroups)
    func oneForgedStatement(group: TestGroup) throws {
        let target = group.version(.photo, "forged", counter: 2, writer: .mallory)
        let first = group.certificate(of: group.version(.photo, "honest", counter: 1))
        let genuine = group.certificate(of: target)
        let liar = group.servers[group.quorums.quorum - 1]
        _ = try group.verifier.verify(genuine, key: .photo)
        let forger = Forger(group: group, target: target, liar: liar)
        for server in group.servers {
            let own = forger.statement(of: server, target.timestamp, mode: VerificationMode.fingerprint.rawValue)
            _ = try group.verifier.verify(own, key: .photo, timestamp: target.timestamp)
        }
        for forgery in forger.forgeries(genuine: first) {
            guard forgery.certificate.timestamp == target.timestamp, forgery.error == .invalidSignature(group.node(0)),
                forgery.certificate.group == genuine.group
            else {
                continue
            }
            for (position, forged) in forgery.certificate.statements.enumerated()
            where forged != genuine.statements[position] {
                // The liar's own statement under its own name is genuine, made anew.
                if forged.node == group.node(liar), forgery.isGenuineOfLiar { continue }
                var statements = genuine.statements
                statements[position] = forged
                let certificate = group.certificate(target.timestamp, statements)
                #expect(throws: CertificateError.invalidSignature(forged.node), "\(forgery.name)") {
                    try group.verifier.verify(certificate, key: .photo)
                }
            }
        }
    }

    @Test(
        "15: a root that was checked for one server is not taken for another's, nor for another epoch's",
        arguments: TestGroup.scenarioGroups)
    func rememberedRoots(group: TestGroup) throws {
        let version = group.version(.photo, "x", counter: 1)
        let verifier = group.freshVerifier()
        let genuine = group.certificate(of: version)
        _ = try verifier.verify(genuine, key: .photo)
        for (first, second) in zip(genuine.statements, genuine.statements.dropFirst()) {
            let borrowed = SignedStatement(
                node: second.node, incarnation: second.incarnation, claim: second.claim, leafIndex: 0,
                leafCount: 1, path: [], signature: first.signature)
            #expect(throws: CertificateError.invalidSignature(second.node)) {
                try verifier.verify(borrowed, key: .photo, timestamp: version.timestamp)
            }
        }
    }

    @Test("15: a version written by m = 8, n = 10 survives the loss of any f servers in turn", arguments: 0..<10)
    func wide(lost: UInt8) {
        let group = TestGroup.scenarioGroups[2]
        let simulation = Simulation(group)
        #expect(simulation.write("wide").wrote != nil)
        simulation.crash(Position(lost))
        #expect(simulation.read().text == "wide")
        #expect(simulation.write("wider").wrote != nil)
        simulation.restart(Position(lost))
        simulation.crash(Position((lost + 1) % 10))
        #expect(simulation.read().text == "wider")
    }
}
