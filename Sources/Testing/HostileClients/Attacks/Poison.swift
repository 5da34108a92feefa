import QuorumFaults
import QuorumProtocol

/// Versions of objects that others write, of which no value has the fragments. Where servers verify later these are
/// committed, often at one server only: readers have to find out, and go on to the version below. Where PREPARE
/// verifies, every one is refused.
struct Poison: Attack {
    private static let valueSizesBytes = [100, 3000, 100_000]
    private static let pause = Duration.milliseconds(20)

    func prepare(by attacker: Attacker) async throws {
        guard !attacker.objects.isEmpty else { throw AttackError.noObjects }
    }

    func run(by attacker: Attacker) async {
        while !Task.isCancelled {
            do {
                try await attacker.withAllSessions { sessions in
                    while !Task.isCancelled {
                        for key in attacker.objects { try await Self.poison(key, sessions, attacker) }
                    }
                }
            } catch {
                // A server has ended a session, or too few can be reached: all are opened again.
                try? await Task.sleep(for: Self.pause)
            }
        }
    }

    private static func poison(
        _ key: ObjectKey, _ sessions: [HostileSession], _ attacker: Attacker
    ) async throws {
        let parameters = attacker.parameters
        let placement = parameters.placement(of: key)
        let members = sessions.compactMap { session in
            placement.position(of: session.server.node).map { (session, $0) }
        }
        guard members.count >= parameters.quorums.quorum else {
            throw AttackError.notStored(key: "\(key)", answers: ["only \(members.count) servers can be reached"])
        }
        var below: Certificate?
        for (session, _) in members {
            guard let certificate = try await session.committed(key) else { continue }
            if below.map({ $0.timestamp < certificate.timestamp }) ?? true { below = certificate }
        }
        let mode = parameters.mode
        let version = ForgedVersion.make(
            key: key, value: (0..<valueSizesBytes.randomElement()!).map { _ in UInt8.random(in: 0...255) },
            counter: (below?.timestamp.counter ?? 0) + 1, writer: attacker.home.id, parameters: parameters,
            soundness: mode.verifiesLater && Bool.random()
                ? .garbage(at: parameters.quorums.positions.randomElement()!) : .unrelated)
        var statements: [SignedStatement] = []
        for (session, position) in members {
            let reply = try await session.ask(version.prepare(for: position, justification: below))
            if case .prepared(let statement, _) = reply { statements.append(statement) }
        }
        if mode.verifiesLater, statements.count >= parameters.quorums.quorum {
            let certificate = placement.certificate(
                of: version.timestamp, Array(statements.prefix(parameters.quorums.quorum)))
            let all = members.shuffled()
            for (session, _) in Bool.random() ? all : Array(all.prefix(1)) {
                _ = try await session.ask(version.commit(certificate))
            }
        }
        try await Task.sleep(for: pause)
    }
}
