// What the tests of rebuilding have in common: a server that is said to be in its next life.

import ErasureCode
import QuorumProtocol
import Testing

extension TestGroup {
    /// From now on the group's verifier knows a key of this life of the server, as a new list of keys says it. Returns
    /// whose statements count by that.
    @discardableResult
    func renew(_ server: Position, incarnation: UInt64 = 2) -> Fences {
        var keys = StatementKeys()
        keys.add(verificationKey(of: server), of: node(server), Incarnation(incarnation))
        verifier.learn(history: parameters.history, keys: keys)
        return verifier.fences
    }

    /// The version's certificate by these servers, of which one signs in a later life.
    func certificate(of version: TestVersion, by servers: [Position], renewed: Position) -> Certificate {
        certificate(
            version.timestamp,
            servers.map {
                statement(of: $0, version.key, version.timestamp, incarnation: $0 == renewed ? 2 : 1)
            })
    }

    func fencedRefusal(_ server: Position) -> Reply { .refused(.invalidCertificate(.fenced(node(server)))) }
}

extension ReplicaHost {
    /// Goes by a list of keys that names the server's next life.
    func fence(_ server: Position) { runToEnd(.fenced(group.renew(server))) }

    /// What another server's RESTATE is answered.
    func restate(
        _ version: TestVersion, _ certificate: Certificate, describes: Bool = false,
        _ statements: [SignedStatement] = []
    ) -> Reply {
        answer(
            .restate(
                Restate(
                    key: version.key, certificate: certificate, descriptor: describes ? version.descriptor : nil,
                    statements: statements)),
            from: .server(group.node(1)))
    }

    /// Does what follows from an input up to the moment when nothing but what is stored is left to be done: that comes
    /// back undone.
    func runToStore(_ input: ReplicaInput) -> [ReplicaEffect] {
        var (effects, stores) = (handle(input), [ReplicaEffect]())
        while !effects.isEmpty {
            let effect = effects.removeFirst()
            if case .store = effect {
                stores.append(effect)
            } else if case .input(let input) = run(effect) {
                effects += handle(input)
            }
        }
        return stores
    }

    /// Does what was left, and what follows from it.
    func finish(_ stores: [ReplicaEffect]) -> [Reply] {
        stores.flatMap { effect -> [Reply] in
            if case .input(let input) = run(effect) { runToEnd(input) } else { [] }
        }
    }
}
