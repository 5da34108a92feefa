// Liars about soundness have something to lie about only in the modes that verify later.

import Fingerprint
import QuorumFaults
import QuorumProtocol
import Testing

@Suite("A server that lies about soundness")
struct VerdictTests {
    static let group = FaultGroup(mode: .lazy)
    var group: FaultGroup { Self.group }

    private func claims(_ kind: ServerFaultKind?) -> [CommittedClaim] { answers(kind).map(\.claim) }

    private func answers(
        _ kind: ServerFaultKind?
    ) -> [(key: ObjectKey, claim: CommittedClaim, proof: Certificate?)] {
        let exchanges = FaultyHost(group, kind, seed: 3).usualDay()
        return exchanges.claims.map { place, claim, proof in (exchanges[place].request.key, claim, proof) }
    }

    @Test("vouches for versions that nobody has verified")
    func vouches() {
        #expect(claims(nil).contains { !$0.unverified.isEmpty })
        #expect(claims(.falseVouching).allSatisfy { $0.unverified.isEmpty })
        #expect(claims(.falseVouching).contains { $0.sound != nil })
    }

    @Test("signs that sound versions are poisonous, with nobody's key but its own, and forges the rest now and then")
    func poisons() throws {
        #expect(claims(nil).allSatisfy { $0.poisonous.isEmpty })
        let called = answers(.falsePoison).flatMap { key, claim, _ in claim.poisonous.map { (key, $0) } }
        #expect(!called.isEmpty)
        for (key, version) in called {
            #expect(version.statements.count { group.isValid($0, key, version.timestamp) } == 1)
            #expect(version.statements.allSatisfy { $0.claim == .poisonous })
        }
        let enough = group.parameters.quorums.vouchers
        #expect(called.contains { $0.1.statements.count == enough })
        #expect(called.contains { $0.1.statements.count < enough })
    }

    @Test("puts forged versions among those that wait to be verified")
    func forgesUnverified() {
        let forged = answers(.inflatedTimestamps).filter { key, claim, proof in
            !claim.unverified.isEmpty && proof?.timestamp == claim.timestamp && !group.isValid(proof, of: key)
        }
        #expect(!forged.isEmpty)
    }
}
