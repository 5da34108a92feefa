// Liars about soundness have something to lie about only in the modes that verify later.

import Fingerprint
import QuorumFaults
import QuorumProtocol
import Testing

@Suite("A server that lies about soundness")
struct VerdictTests {
    static let group = FaultGroup(mode: .lazy)
    var group: FaultGroup { Self.group }

    private func claims(_ kind: ServerFaultKind?) -> [CommittedClaim] {
        FaultyHost(group, kind, seed: 3).usualDay().flatMap(\.replies).compactMap { reply in
            switch reply {
            case .timestamp(let claim), .version(let claim, _): claim
            case .prepared, .committed, .refused: nil
            }
        }
    }

    @Test("vouches for versions that nobody has verified")
    func vouches() {
        #expect(claims(nil).contains { !$0.unverified.isEmpty })
        #expect(claims(.falseVouching).allSatisfy { $0.unverified.isEmpty })
        #expect(claims(.falseVouching).contains { $0.certificate != nil })
    }

    @Test("signs that sound versions are poisonous, with nobody's key but its own")
    func poisons() throws {
        #expect(claims(nil).allSatisfy { $0.poisonous.isEmpty })
        let called = claims(.falsePoison).flatMap(\.poisonous)
        #expect(!called.isEmpty)
        for version in called {
            #expect(version.statements.count == 1)
            #expect(version.statements.allSatisfy { $0.claim == .poisonous })
        }
    }
}
