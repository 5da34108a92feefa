// Liars that know more together than each by itself, and no more than they may.

import Fingerprint
import QuorumFaults
import QuorumProtocol
import Testing

@Suite("Colluding servers")
struct CollusionTests {
    let group = FaultGroup(faults: 2)

    private func conspirators(_ kind: ServerFaultKind) -> [FaultyHost] {
        let servers = [NodeID(1), NodeID(4)]
        let conspiracy = Conspiracy(signers: servers.map { group.signer($0) })
        return servers.map { FaultyHost(group, kind, at: $0, seed: 9, conspiracy: conspiracy) }
    }

    private func claim(_ host: FaultyHost, _ key: ObjectKey = .photo) -> Certificate? {
        host.claim(of: key)?.proof
    }

    @Test("name one and the same version that nobody wrote")
    func agreedFabrication() {
        let hosts = conspirators(.agreedFabrication)
        let claims = (0..<3).flatMap { _ in hosts.map { claim($0) } }
        #expect(Set(claims.map { $0?.timestamp }).count == 1 && claims[0] != nil)
        #expect(claims.allSatisfy { !group.isValid($0, of: .photo) })
        #expect(claim(hosts[0], .other)?.timestamp != claims[0]?.timestamp)
    }

    @Test("put all their own genuine statements into a forged certificate, and no one else's")
    func colludingForgery() {
        let hosts = conspirators(.colludingForgery)
        guard let certificate = claim(hosts[0]) else {
            Issue.record("nothing is claimed")
            return
        }
        let genuine = certificate.statements.filter { group.isValid($0, .photo, certificate.timestamp) }
        #expect(genuine.map(\.node) == [NodeID(1), NodeID(4)])
        #expect(certificate.statements.count == group.quorums.quorum)
        #expect(Set(certificate.statements.map(\.node)).count == group.quorums.quorum)
    }

    @Test("claim a version that is merely pending, with the statements that there are")
    func claimedPending() {
        var claimed = 0
        for seed in 1...40 as ClosedRange<UInt64> {
            let conspiracy = Conspiracy(signers: [group.signer(NodeID(1))])
            let host = FaultyHost(group, .colludingForgery, at: NodeID(1), seed: seed, conspiracy: conspiracy)
            let version = group.version(.photo, "pending", counter: 1)
            _ = host.send(version.prepare(for: host.position(.photo)))
            if claim(host)?.timestamp == version.timestamp { claimed += 1 }
        }
        #expect(claimed > 15 && claimed < 40, "\(claimed)")
    }

    @Test("leak valid certificates of versions that a conspiring client hides from everybody")
    func leakedCertificates() {
        var leakedCount = 0
        for seed in 1...4 as ClosedRange<UInt64> {
            let liar = NodeID(0)
            let cluster = FaultyCluster(.hiddenCertificates, liars: [liar: .leakedCertificates], seed: seed)
            cluster.run(ticks: 2)
            #expect(cluster.commits.isEmpty)
            for key in [ObjectKey.photo, .other] {
                for _ in 0..<8 {
                    guard let certificate = claim(cluster.hosts[0], key),
                        certificate.timestamp.writer == .mallory
                    else { continue }
                    #expect(cluster.group.isValid(certificate, of: key))
                    leakedCount += 1
                }
            }
        }
        #expect(leakedCount > 5)
    }

    @Test("share fragments: one serves what is another's")
    func sharedFragments() {
        let hosts = conspirators(.foreignFragments)
        let version = group.version(.photo, "a value of some length, for fragments of different bytes", counter: 1)
        for host in hosts {
            _ = host.send(version.prepare(for: host.position(.photo)))
            _ = host.send(version.commit(group.certificate(of: version)))
        }
        guard
            case .version(_, let parts?)? = hosts[0].send(.read(Read(key: .photo, portion: .fragments))).first
        else {
            Issue.record("nothing is served")
            return
        }
        #expect(parts.fragments == version.fragments[group.position(NodeID(4), .photo).offset])
    }

    @Test("remember a bounded number of things, the latest")
    func memory() {
        let conspiracy = Conspiracy(signers: [group.signer(NodeID(0))], memoryMax: 5)
        let host = FaultyHost(group, .stale, conspiracy: conspiracy)
        for counter in 1...9 as ClosedRange<UInt64> {
            let version = group.version(.photo, "v\(counter)", counter: counter)
            _ = host.send(version.prepare(for: host.position(.photo)))
            _ = host.send(version.commit(group.certificate(of: version)))
        }
        #expect(conspiracy.certificates.map(\.certificate.timestamp.counter) == [5, 6, 7, 8, 9])
        #expect(conspiracy.parts.count == 5 && conspiracy.statements.count == 5)
    }
}
