import NIOCore
import QuorumProtocol

/// PREPAREs that are refused as too many pending, of many objects: each of them asks for the list of what the client
/// has left there, which takes reads and signatures to make.
struct PendingLists: Attack {
    private static let valueSizeBytes = 1000
    private static let objectCount = 256
    private static let unansweredMax = 256

    func run(by attacker: Attacker) async {
        // One more than a server takes, each with a digest of its own.
        let blocks = (0...attacker.parameters.limits.pendingVersionsPerClientMax).map { _ in
            EncodedBlock(sizeBytes: Self.valueSizeBytes, attacker.parameters)
        }
        let keys = (0..<Self.objectCount).map { attacker.key("listed/\($0)") }
        await attacker.besiege { server, _ in
            await attacker.persist(at: server) { session in
                var refused: [ByteBuffer] = []
                for key in keys {
                    let requests = blocks.compactMap {
                        HostileVersion($0, of: key, by: attacker).prepare(at: server.node)
                    }
                    guard let last = requests.last else { continue }
                    for request in requests.dropLast() {
                        try await session.send(request, unansweredMax: Self.unansweredMax)
                    }
                    let frame = session.frame(last)
                    try await session.send(frame, unansweredMax: Self.unansweredMax)
                    refused.append(frame)
                }
                guard !refused.isEmpty else { return await session.waitForEnd() }
                while !Task.isCancelled {
                    for frame in refused { try await session.send(frame, unansweredMax: Self.unansweredMax) }
                }
            }
        }
    }
}
