import ErasureCode
import NIOCore
import QuorumProtocol

/// What costs a server processor time before it can refuse it: large fragments of which the last byte is wrong, and
/// certificates whose statements are real but for their signatures.
struct ForgedProofs: Attack {
    /// Fragments are checked by hash and fingerprint to their last byte.
    private static let fragmentSizeBytes = 1 << 20
    private static let smallSizeBytes = 100
    private static let largeUnansweredMax = 4
    private static let smallUnansweredMax = 256

    func run(by attacker: Attacker) async {
        let parameters = attacker.parameters
        let code = parameters.quorums.code
        let large = EncodedBlock(
            sizeBytes: min(Self.fragmentSizeBytes * code.dataFragmentCount, parameters.limits.stripeSizeBytesMax),
            parameters)
        let small = EncodedBlock(sizeBytes: Self.smallSizeBytes, parameters)
        await attacker.besiege(placesPerServer: 2) { server, place in
            await attacker.persist(at: server) { session in
                if place == 0 {
                    try await Self.sendFragments(large, session, attacker)
                } else {
                    try await Self.sendCertificates(small, session, attacker)
                }
            }
        }
    }

    private static func sendFragments(
        _ block: EncodedBlock, _ session: HostileSession, _ attacker: Attacker
    ) async throws {
        let server = session.server.node
        guard let key = attacker.key("fragments", at: server),
            let request = HostileVersion(block, of: key, by: attacker).prepare(at: server, changing: Self.spoiled)
        else { return await session.waitForEnd() }
        let frame = session.frame(request)
        while !Task.isCancelled { try await session.send(frame, unansweredMax: largeUnansweredMax) }
    }

    private static func spoiled(_ fragment: SharedBytes) -> SharedBytes {
        SharedBytes(count: fragment.count) { target in
            fragment.withUnsafeBytes { target.copyMemory(from: $0) }
            target[fragment.count - 1] ^= 1
        }
    }

    private static func sendCertificates(
        _ block: EncodedBlock, _ session: HostileSession, _ attacker: Attacker
    ) async throws {
        guard let key = attacker.key("certificates", at: session.server.node) else {
            return await session.waitForEnd()
        }
        let version = HostileVersion(block, of: key, by: attacker)
        let placement = attacker.parameters.placement(of: key)
        let real = try await attacker.withAllSessions { try await attacker.statements(version, over: $0) }
        var generator = SystemRandomNumberGenerator()
        while !Task.isCancelled {
            let forged = real.map { $0.forged(using: &generator) }
            let certificate = placement.certificate(of: version.timestamp, forged)
            try await session.send(
                .commit(Commit(key: key, certificate: certificate)), unansweredMax: smallUnansweredMax)
        }
    }
}

extension SignedStatement {
    /// The same under a signature that nobody made.
    fileprivate func forged(using generator: inout some RandomNumberGenerator) -> SignedStatement {
        SignedStatement(
            node: node, incarnation: incarnation, claim: claim, leafIndex: leafIndex, leafCount: leafCount, path: path,
            signature: (0..<signature.count / 8).flatMap { _ in withUnsafeBytes(of: generator.next(), Array.init) })
    }
}
