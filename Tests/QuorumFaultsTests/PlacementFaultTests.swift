// Liars about groups, epochs and positions, to servers of groups that overlap or have nothing in common.

import Fingerprint
import QuorumFaults
import QuorumProtocol
import Testing

@Suite("A liar about groups, epochs and positions")
struct PlacementFaultTests {
    /// Two groups of four with a quorum in common.
    static let overlapping: [[UInt16]] = [[0, 1, 2, 3], [1, 2, 3, 4]]
    static let disjoint: [[UInt16]] = [[0, 1, 2, 3], [4, 5, 6, 7]]

    /// What is claimed of an object by a liar that is told of a commit, and asked again and again.
    private func claims(
        _ kind: ServerFaultKind, _ group: FaultGroup, at server: NodeID? = nil, conspirators: [NodeID] = []
    ) -> [(claim: CommittedClaim, proof: Certificate?)] {
        let member = server ?? group.placement(.photo).node(at: Position(1))
        let conspiracy = Conspiracy(signers: ([member] + conspirators).map { group.signer($0) })
        let host = FaultyHost(group, kind, at: member, seed: 7, conspiracy: conspiracy)
        let version = group.version(.photo, "a photo", counter: 1)
        _ = host.send(version.prepare(for: host.position(.photo)))
        _ = host.send(version.commit(group.certificate(of: version)))
        return (0..<60).compactMap { _ in host.claim(of: .photo) }
    }

    private func errors(
        _ claims: [(claim: CommittedClaim, proof: Certificate?)], _ group: FaultGroup
    ) -> [CertificateError?] {
        claims.compactMap(\.proof).map { certificate in
            do throws(CertificateError) {
                _ = try group.verifier.verify(certificate, key: .photo)
                return nil
            } catch {
                return error
            }
        }
    }

    // MARK: Servers

    @Test("shows certificates of a group that has a quorum in common with the object's, of which none counts")
    func foreignGroups() throws {
        let group = FaultGroup(groups: Self.overlapping)
        let own = group.placement(.photo).group
        let other = try #require(group.parameters.configuration.groups.first { $0.id != own.id })
        let claims = claims(.foreignGroups, group, at: NodeID(2))
        let errors = errors(claims, group)
        #expect(errors.count == 60 && errors.allSatisfy { $0 != nil })
        #expect(errors.contains(.foreignGroup(other.id, expected: own.id)))
        #expect(errors.contains { if case .invalidSignature = $0 { true } else { false } })
    }

    @Test("shows certificates of epochs that were or never were, of which none counts")
    func foreignEpochs() {
        let group = FaultGroup(dataFragmentCount: 3, earlier: 2)
        let errors = errors(claims(.foreignEpochs, group), group)
        #expect(errors.count == 60 && errors.allSatisfy { $0 != nil })
        #expect(errors.contains(.unknownEpoch(3)) && errors.contains(.unknownEpoch(.max)))
        #expect(errors.contains { if case .invalidSignature = $0 { true } else { false } }, "of the epoch before")
    }

    @Test("has conspirators of other groups sign, truly, which counts for nothing")
    func strangers() {
        let group = FaultGroup(groups: Self.disjoint)
        let placement = group.placement(.photo)
        let stranger = group.servers.first { !placement.group.contains($0) } ?? NodeID(0)
        let claims = claims(.strangers, group, conspirators: [stranger])
        #expect(errors(claims, group).allSatisfy { $0 == .unknownServer(stranger) || $0 != nil })
        #expect(errors(claims, group).contains(.unknownServer(stranger)))
        let signed = claims.compactMap(\.proof).flatMap { certificate in
            certificate.statements.filter { $0.node == stranger }.map { (certificate.timestamp, $0) }
        }
        for (timestamp, statement) in signed {
            let genuine = group.signer(stranger)
            let expected = Statement(
                scope: placement.scope, node: stranger, incarnation: Incarnation(1), key: .photo,
                timestamp: timestamp, claim: .stored)
            // Signatures are drawn anew each time; the leaf's place in a tree of one is not.
            let again = (try? genuine.sign([expected]))?.first
            #expect(statement.path == again?.path && statement.claim == .stored)
        }
        #expect(!signed.isEmpty)
    }

    @Test("has conspirators of other groups call versions poisonous, where versions are verified later")
    func poisoningStrangers() {
        let group = FaultGroup(mode: .lazy, groups: Self.disjoint)
        let stranger = group.servers.first { !group.placement(.photo).group.contains($0) } ?? NodeID(0)
        let called = claims(.strangers, group, conspirators: [stranger]).flatMap(\.claim.poisonous)
        #expect(!called.isEmpty)
        for version in called {
            #expect(version.statements.count == group.quorums.vouchers)
            #expect(version.statements.count { group.isValid($0, .photo, version.timestamp) } == 1)
        }
    }

    @Test("serves fragments under another position's name, and those of another position")
    func foreignPositions() {
        let group = FaultGroup()
        let placement = group.placement(.photo)
        let liars = [placement.node(at: Position(0)), placement.node(at: Position(2))]
        let conspiracy = Conspiracy(signers: liars.map { group.signer($0) })
        let hosts = liars.map { FaultyHost(group, .foreignPositions, at: $0, seed: 3, conspiracy: conspiracy) }
        let version = group.version(.photo, "a value long enough for fragments that differ", counter: 1)
        for host in hosts {
            _ = host.send(version.prepare(for: host.position(.photo)))
            _ = host.send(version.commit(group.certificate(of: version)))
        }
        var seen: Set<String> = []
        for _ in 0..<60 {
            for case .version(_, let parts?) in hosts[0].send(.read(Read(key: .photo, portion: .fragments))) {
                let isOwn = parts.fragments == version.fragments[0]
                #expect(parts.position != Position(0) || !isOwn)
                seen.insert("\(parts.position) \(isOwn)")
            }
        }
        #expect(seen.contains("position 0 false"), "another's fragments as its own: \(seen)")
        #expect(seen.contains("position 2 false"), "another's as what they are")
        #expect(seen.contains("position 1 true") && seen.contains("position 3 true"), "its own as another's")
    }

    // MARK: Clients

    private func invalid(_ cluster: FaultyCluster) -> [CertificateError] {
        cluster.refusals.compactMap { if case .invalidCertificate(let error) = $0 { error } else { nil } }
    }

    @Test("that is a client is refused wherever it sends another position's fragments")
    func clientPositions() {
        let cluster = FaultyCluster(.foreignPositions)
        cluster.run()
        #expect(cluster.prepares.count >= 24)
        for (server, prepare, replies) in cluster.prepares {
            let own = cluster.group.position(server, prepare.key)
            let isStored = replies.contains { if case .prepared = $0 { true } else { false } }
            #expect(isStored == (prepare.position == own))
            if !isStored { #expect(replies == [.refused(.foreignPosition(prepare.position, expected: own))]) }
        }
        #expect(cluster.commits.isEmpty)
    }

    @Test("that is a client gets nothing stored by way of other groups, and no answer from them")
    func clientGroups() {
        let group = FaultGroup(groups: Self.overlapping)
        let cluster = FaultyCluster(.foreignGroups, group: group)
        cluster.run()
        #expect(cluster.refusals.contains { if case .foreignGroup = $0 { true } else { false } })
        #expect(cluster.refusals.contains { if case .unknownEpoch = $0 { true } else { false } })
        let byVersion = Dictionary(grouping: cluster.prepares, by: \.prepare.timestamp)
        var misdirectedCount = 0
        for prepares in byVersion.values {
            let stored = prepares.count { $0.replies.contains { if case .prepared = $0 { true } else { false } } }
            #expect(stored == 0 || stored == prepares.count)
            if stored == 0 { misdirectedCount += 1 }
        }
        #expect(misdirectedCount > 3 && misdirectedCount < byVersion.count)
    }

    @Test("that is a client commits nothing with certificates of other epochs, or of as few as sufficed before")
    func clientEpochs() {
        let group = FaultGroup(dataFragmentCount: 3, earlier: 2)
        var errors: [CertificateError] = []
        for seed in 1...4 as ClosedRange<UInt64> {
            let cluster = FaultyCluster(.foreignEpochs, seed: seed, group: group)
            cluster.run()
            errors += invalid(cluster)
            for host in cluster.hosts { #expect(host.record(.photo).committed?.timestamp.counter == 1) }
        }
        #expect(errors.contains { if case .unknownEpoch = $0 { true } else { false } })
        #expect(errors.contains(.wrongStatementCount(have: 3, need: 4)))
        #expect(errors.contains { if case .invalidSignature = $0 { true } else { false } }, "of the epoch before")
    }

    @Test("that is a client commits nothing with statements of servers of other groups")
    func clientStrangers() {
        let group = FaultGroup(groups: Self.disjoint)
        let liars = [NodeID(1): ServerFaultKind.signsWithoutStoring, NodeID(5): .signsWithoutStoring]
        let cluster = FaultyCluster(.strangers, liars: liars, group: group)
        cluster.run()
        #expect(invalid(cluster).contains { if case .unknownServer = $0 { true } else { false } })
        for host in cluster.hosts where liars[host.server] == nil {
            for key in [ObjectKey.photo, .other] where group.placement(key).group.contains(host.server) {
                #expect(host.record(key).committed?.timestamp.counter == 1)
            }
        }
    }

    @Test("that is a client with what all signed when the slot was another group's is refused for it")
    func earlierDealing() {
        let group = FaultGroup(groups: Self.overlapping)
        let errors = (1...4 as ClosedRange<UInt64>).flatMap { seed in
            let cluster = FaultyCluster(.earlierLife, seed: seed, group: group)
            cluster.run()
            return invalid(cluster)
        }
        #expect(errors.contains { if case .foreignGroup = $0 { true } else { false } })
        #expect(errors.contains { if case .invalidSignature = $0 { true } else { false } })
    }
}
