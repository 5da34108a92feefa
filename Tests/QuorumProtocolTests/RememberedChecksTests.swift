// What a verifier remembers of the signatures that it has checked.

import Fingerprint
import QuorumProtocol
import Synchronization
import Testing

@Suite("A verifier's memory")
struct RememberedChecksTests {
    /// A scheme whose checks are counted: the signature is the message's digest, twice.
    private final class CountedScheme: Sendable {
        private let count = Mutex(0)
        var checkCount: Int { count.withLock { $0 } }

        private static func signature(_ message: UnsafeRawBufferPointer) -> [UInt8] {
            let digest = Digest256.sha256([UInt8](message)).bytes
            return digest + digest
        }

        var signing: StatementKey { .scheme { Self.signature($0) } }

        var verification: StatementVerificationKey {
            .scheme { signature, message in
                self.count.withLock { $0 += 1 }
                return signature == Self.signature(message)
            }
        }
    }

    private let group = TestGroup(faults: 1)
    private let scheme = CountedScheme()
    private let verifier: StatementVerifier

    init() {
        var keys = StatementKeys()
        for server in group.servers { keys.add(scheme.verification, of: group.node(server), Incarnation(1)) }
        verifier = StatementVerifier(history: group.parameters.history, keys: keys)
    }

    private func timestamp(_ number: Int) -> Timestamp {
        Timestamp(
            counter: 1, writer: ClientID(high: 0, low: 1), digest: Digest256.sha256([UInt8]("\(number)".utf8)))
    }

    private func signer(_ server: Position) -> StatementSigner {
        StatementSigner(
            node: group.node(server), incarnation: Incarnation(1), mode: group.parameters.mode, key: scheme.signing)
    }

    private func statement(_ number: Int, of server: Position) throws -> SignedStatement {
        try signer(server).sign([group.unsigned(of: server, .photo, timestamp(number))])[0]
    }

    /// How many signatures are checked for these statements.
    private func checks(of numbers: some Sequence<Int>) throws -> Int {
        let before = scheme.checkCount
        for number in numbers {
            let server = Position(UInt8(number % 4))
            _ = try verifier.verify(statement(number, of: server), key: .photo, timestamp: timestamp(number))
        }
        return scheme.checkCount - before
    }

    @Test(
        "spares most checks of what was checked not long ago, and forgets what was long before",
        arguments: [
            50, 500, 5_000, 20_000,
        ])
    func bounded(count: Int) throws {
        #expect(try checks(of: 0..<count) == count)
        let recent = max(0, count - 500)..<count
        #expect(try checks(of: recent) <= recent.count / 5)
        if count == 20_000 { #expect(try checks(of: 0..<500) == 500) }
    }

    @Test("believes no other signature under a root that it knows")
    func alteredSignature() throws {
        let genuine = try statement(1, of: 2)
        _ = try verifier.verify(genuine, key: .photo, timestamp: timestamp(1))
        for position in [0, 31, 32, 63] {
            var signature = genuine.signature
            signature[position] ^= 1
            for altered in [signature, signature.dropLast(), signature + [0], []] as [[UInt8]] {
                let forged = SignedStatement(
                    node: group.node(2), incarnation: genuine.incarnation, claim: .stored, leafIndex: 0, leafCount: 1,
                    path: [],
                    signature: altered)
                #expect(throws: CertificateError.invalidSignature(group.node(2))) {
                    try verifier.verify(forged, key: .photo, timestamp: timestamp(1))
                }
            }
        }
        let before = scheme.checkCount
        _ = try verifier.verify(genuine, key: .photo, timestamp: timestamp(1))
        #expect(scheme.checkCount == before, "what failed has displaced what is known")
    }

    @Test("believes a root that it knows in no tree of another size")
    func alteredLeafCount() throws {
        let signed = try signer(2).sign((0..<3).map { group.unsigned(of: 2, .photo, timestamp($0)) })
        _ = try verifier.verify(signed[0], key: .photo, timestamp: timestamp(0))
        // The first leaf's path leads to the same root among three leaves and among four.
        let forged = SignedStatement(
            node: group.node(2), incarnation: Incarnation(1), claim: .stored, leafIndex: 0, leafCount: 4,
            path: signed[0].path,
            signature: signed[0].signature)
        #expect(throws: CertificateError.invalidSignature(group.node(2))) {
            try verifier.verify(forged, key: .photo, timestamp: timestamp(0))
        }
    }
}
