import NIOCore
import QuorumProtocol

/// PREPAREs that are refused as too many pending, of many objects: each of them asks for the list of what the client
/// has left there, which takes reads and signatures to make.
struct PendingLists: Attack {
    private static let valueSizeBytes = 1000
    private static let unansweredMax = 256

    /// How many objects it leaves versions at.
    var objectCount = 256

    func prepare(by attacker: Attacker) async throws {
        // With the last one the list is asked for: so it is long enough.
        let blocks = Self.blocks(attacker, count: attacker.parameters.limits.pendingVersionsPerClientMax + 1)
        try await attacker.withAllSessions { sessions in
            for session in sessions {
                for number in 0..<objectCount {
                    for block in blocks {
                        let version = HostileVersion(block, of: Self.key(number, attacker), by: attacker)
                        guard let request = version.prepare(at: session.server.node) else { continue }
                        try await session.send(request, unansweredMax: Self.unansweredMax)
                    }
                }
                try await session.waitForAnswers()
            }
        }
    }

    func run(by attacker: Attacker) async {
        // One more than a server takes.
        let block = EncodedBlock(sizeBytes: Self.valueSizeBytes, attacker.parameters)
        await attacker.besiege { server, _ in
            await attacker.persist(at: server) { session in
                let frames = (0..<objectCount).compactMap {
                    HostileVersion(block, of: Self.key($0, attacker), by: attacker).prepare(at: server.node)
                }.map(session.frame)
                guard !frames.isEmpty else { return await session.waitForEnd() }
                while !Task.isCancelled {
                    for frame in frames { try await session.send(frame, unansweredMax: Self.unansweredMax) }
                }
            }
        }
    }

    private static func key(_ number: Int, _ attacker: Attacker) -> ObjectKey { attacker.key("listed/\(number)") }

    /// Each with a digest of its own.
    private static func blocks(_ attacker: Attacker, count: Int) -> [EncodedBlock] {
        (0..<count).map { _ in EncodedBlock(sizeBytes: valueSizeBytes, attacker.parameters) }
    }
}
