// What faulty servers show when they are asked for certificates, and who brings descriptors that nobody should keep.

import Fingerprint
import QuorumFaults
import QuorumProtocol
import Testing

extension ServerFaultTests {
    /// The answers to questions, those to FETCH-CERTIFICATE that followed them, and the true claims.
    private func answers(
        _ kind: ServerFaultKind, seed: UInt64
    ) -> [(claim: CommittedClaim, truth: CommittedClaim, fetched: Exchange)] {
        let exchanges = day(kind, seed: seed).exchanges
        return exchanges.map(\.exchange).claims.compactMap { place, claim, _ in
            switch exchanges[place].honest {
            case .timestamp(let truth), .version(let truth, _): (claim, truth, exchanges[place + 1].exchange)
            case .certificate, .prepared, .committed, .staged, .discarded, .fetched, .held, .refused: nil
            }
        }
    }

    @Test("that invents digests names what is higher, and shows no certificate of that")
    func inventedDigests() {
        var inventedCount = 0
        for seed in 1...4 as ClosedRange<UInt64> {
            for (claim, truth, fetched) in answers(.inventedDigests, seed: seed)
            where claim.timestamp != truth.timestamp {
                inventedCount += 1
                #expect(truth.timestamp.precedes(claim.timestamp))
                for case .certificate(let beside, let certificate?) in fetched.replies {
                    #expect(!beside.names(certificate) && !claim.names(certificate), "seed \(seed)")
                }
            }
        }
        #expect(inventedCount > 40)
    }

    @Test("that withholds certificates tells the truth, and shows none")
    func withheldCertificates() {
        var kinds: Set<String> = []
        for seed in 1...4 as ClosedRange<UInt64> {
            for (claim, truth, fetched) in answers(.withheldCertificates, seed: seed) {
                #expect(claim == truth || claim.timestamp == truth.timestamp)
                #expect(fetched.proof == nil)
                kinds.formUnion(fetched.replies.map { if case .refused = $0 { "refuses" } else { "has none" } })
                if fetched.replies.isEmpty { kinds.insert("says nothing") }
            }
        }
        #expect(kinds == ["refuses", "has none", "says nothing"])
    }

    @Test("that swaps certificates tells the truth, and shows another one, or one that proves nothing")
    func swappedCertificates() {
        var swappedCount = 0
        for seed in 1...4 as ClosedRange<UInt64> {
            for (claim, truth, fetched) in answers(.swappedCertificates, seed: seed) {
                #expect(claim.timestamp == truth.timestamp)
                for case .certificate(let beside, let certificate?) in fetched.replies {
                    swappedCount += 1
                    let isProof = beside.names(certificate) && group.isValid(certificate, of: fetched.request.key)
                    #expect(!isProof, "seed \(seed)")
                }
            }
        }
        #expect(swappedCount > 40)
    }

    @Test("that is needy stores what it is given, and wants the descriptor again with every acknowledgement")
    func endlessNeed() {
        var described: Set<String> = []
        for seed in 1...8 as ClosedRange<UInt64> {
            let (host, exchanges) = day(.endlessNeed, seed: seed)
            #expect(host.changes.made == host.changes.wanted)
            for (exchange, _) in exchanges {
                for case .committed(_, let needsDescriptor) in exchange.replies { #expect(needsDescriptor) }
                switch exchange.request {
                case .commit: #expect(exchange.replies.count > 1)
                case .describe: described.formUnion(exchange.replies.map(Self.shape).map { String($0.prefix(7)) })
                default: break
                }
            }
        }
        #expect(described == ["refused", "committ"])
    }
}

extension ClientFaultTests {
    @Test("that describes falsely has nothing kept but what is committed, under its own descriptor")
    func falseDescriptions() {
        var refusals: [Refusal] = []
        var takenCount = 0
        for seed in 1...4 as ClosedRange<UInt64> {
            let cluster = FaultyCluster(.falseDescriptions, seed: seed)
            cluster.run()
            for (server, request, replies) in cluster.exchanges {
                guard case .describe(let describe) = request else { continue }
                for case .refused(let refusal) in replies { refusals.append(refusal) }
                for case .committed(let timestamp, let needsDescriptor) in replies {
                    takenCount += 1
                    #expect(timestamp == describe.timestamp && timestamp.digest == describe.descriptor.digest)
                    #expect(!needsDescriptor, "\(server)")
                }
            }
            let prepared = Set(cluster.prepares.map { "\($0.server) \($0.prepare.timestamp)" })
            for host in cluster.hosts {
                for key in [ObjectKey.photo, .other] {
                    let committed = host.record(key).committed?.timestamp
                    for version in host.record(key).held where committed.precedes(version.timestamp) {
                        #expect(prepared.contains("\(host.server) \(version.timestamp)"), "seed \(seed)")
                    }
                    for version in host.record(key).held {
                        #expect(
                            host.descriptor(of: version.timestamp, key: key).value?.digest == version.timestamp.digest)
                    }
                }
            }
        }
        #expect(refusals.contains(.notCommitted) && refusals.contains(.digestMismatch) && takenCount > 10)
    }
}
