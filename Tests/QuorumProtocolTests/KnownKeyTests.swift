// Keys that check many signatures: the verdict must not depend on whether there are tables yet.

import Crypto
import QuorumProtocol
import Testing

@Suite("Known keys")
struct KnownKeyTests {
    private static func message(_ number: Int) -> [UInt8] {
        (0..<number).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ number) }
    }

    @Test("give the cryptographic library's verdict, with tables and without", arguments: [false, true])
    func verdicts(hasTable: Bool) throws {
        let secret = P256.Signing.PrivateKey()
        let key = KnownKey(secret.publicKey)
        if hasTable { key.makeTable() }
        #expect(key.hasTable == hasTable)
        for length in [0, 1, 31, 32, 33, 63, 64, 65, 200] {
            let message = Self.message(length)
            let signature = Array(try secret.signature(for: message).rawRepresentation)
            #expect(key.isValid(signature, for: message))
            #expect(!key.isValid(signature, for: message + [0]))
            for bit in stride(from: 0, to: 8 * signature.count, by: 37) {
                var altered = signature
                altered[bit / 8] ^= 1 << UInt8(bit % 8)
                let parsed = try P256.Signing.ECDSASignature(rawRepresentation: altered)
                #expect(key.isValid(altered, for: message) == secret.publicKey.isValidSignature(parsed, for: message))
            }
        }
    }

    @Test("refuse another key's signature, with tables and without", arguments: [false, true])
    func otherKey(hasTable: Bool) throws {
        let key = KnownKey(P256.Signing.PrivateKey().publicKey)
        if hasTable { key.makeTable() }
        let signature = Array(try P256.Signing.PrivateKey().signature(for: Self.message(40)).rawRepresentation)
        #expect(!key.isValid(signature, for: Self.message(40)))
    }

    @Test("refuse what has not the size of a signature", arguments: [false, true], [0, 1, 63, 65, 128])
    func sizes(hasTable: Bool, size: Int) {
        let key = KnownKey(P256.Signing.PrivateKey().publicKey)
        if hasTable { key.makeTable() }
        #expect(!key.isValid([UInt8](repeating: 1, count: size), for: Self.message(40)))
    }

    @Test("give the same verdicts to many at once, also while their tables are made")
    func concurrency() async throws {
        let secret = P256.Signing.PrivateKey()
        let key = KnownKey(secret.publicKey)
        let message = Self.message(100)
        let signature = Array(try secret.signature(for: message).rawRepresentation)
        await withTaskGroup(of: (Bool, Bool).self) { group in
            for number in 0..<64 {
                group.addTask {
                    if number % 16 == 3 { key.makeTable() }
                    var verdicts = (true, false)
                    for _ in 0..<20 {
                        verdicts.0 = key.isValid(signature, for: message) && verdicts.0
                        verdicts.1 = key.isValid(signature, for: message + [1]) || verdicts.1
                    }
                    return verdicts
                }
            }
            for await verdicts in group { #expect(verdicts == (true, false)) }
        }
        #expect(key.hasTable)
    }

    @Test("get their tables after many checks and none before", .timeLimit(.minutes(5)))
    func tablesByThemselves() async throws {
        let secret = P256.Signing.PrivateKey()
        let key = KnownKey(secret.publicKey)
        let message = Self.message(100)
        let signature = Array(try secret.signature(for: message).rawRepresentation)
        for _ in 1..<KnownKey.checksBeforeTable { #expect(key.isValid(signature, for: message)) }
        #expect(!key.hasTable)
        #expect(key.isValid(signature, for: message))
        while !key.hasTable { try await Task.sleep(for: .milliseconds(5)) }
        #expect(key.isValid(signature, for: message))
        #expect(!key.isValid(signature, for: message + [1]))
    }
}
