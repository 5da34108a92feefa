// The steps that scenarios have in common.

import ErasureCode
import Fingerprint
import QuorumProtocol

extension TestGroup {
    /// f = 1 and f = 2 with the default m, and f = 1 with a wide code.
    static let scenarioGroups = [TestGroup(), TestGroup(faults: 2), TestGroup(dataFragmentCount: 8)]

    /// All servers, `first` before the others.
    func preferring(_ first: [Position]) -> [Position] { first + servers.filter { !first.contains($0) } }

    /// All servers, beginning with each of them in turn.
    var turns: [[Position]] { servers.indices.map { Array(servers[$0...] + servers[..<$0]) } }

    /// What a server says that shows `version` as the committed one, with its fragment.
    func showing(_ version: TestVersion, _ certificate: Certificate, at server: Position) -> Reply {
        .version(
            CommittedClaim(certificate: certificate),
            HeldParts(
                timestamp: version.timestamp, position: server, descriptor: version.descriptor,
                fragments: version.fragments[server.offset]))
    }
}

extension Simulation {
    /// Loses every request for which this is true.
    static func losing(_ isLost: @escaping (Position, Request) -> Bool) -> (Event) -> Bool {
        { event in
            if case .request(let server, _, let request) = event { isLost(server, request) } else { false }
        }
    }

    /// The client's COMMITs reach `servers` only, and it goes away.
    @discardableResult
    func writePartially(_ text: String?, by client: ClientID = .alice, committingAt servers: [Position]) -> Int {
        loses = Self.losing { server, request in
            if case .commit = request { !servers.contains(server) } else { false }
        }
        return startAndCrash(text, by: client)
    }

    /// The client's PREPAREs reach `servers` only, its COMMIT nobody, and it goes away.
    @discardableResult
    func prepareAndCrash(_ text: String?, by client: ClientID = .alice, at servers: [Position]) -> Int {
        loses = Self.losing { server, request in
            switch request {
            case .prepare: !servers.contains(server)
            case .commit: true
            case .read, .readTimestamp, .certificate, .describe, .stage, .discard, .fetch, .listHeld, .restate: false
            }
        }
        return startAndCrash(text, by: client)
    }

    private func startAndCrash(_ text: String?, by client: ClientID) -> Int {
        let session = startWrite(.photo, text.map { Array($0.utf8) }, by: client)
        settle()
        loses = { _ in false }
        crashClient(session)
        return session
    }

    /// PREPARE of a version at the servers, past all clients' machines; their statements, in the order asked.
    func prepare(
        _ version: TestVersion, at servers: [Position], justification: Certificate? = nil
    ) -> [SignedStatement] {
        servers.compactMap { server in
            let request = Request.prepare(version.prepare(for: server, justification: justification))
            guard case .prepared(let signed, _) = ask(server, request, as: version.timestamp.writer) else { return nil }
            return signed
        }
    }

    /// COMMIT of a version at the servers, and its descriptor for those that need it, past all clients' machines;
    /// whether all took it.
    @discardableResult
    func commit(
        _ version: TestVersion, _ certificate: Certificate, at servers: [Position], as client: ClientID = .alice
    ) -> Bool {
        servers.count { server in
            switch ask(server, version.commit(certificate), as: client) {
            case .committed(version.timestamp, needsDescriptor: true):
                ask(server, version.describe, as: client) == .committed(version.timestamp, needsDescriptor: false)
            case .committed(version.timestamp, needsDescriptor: false): true
            default: false
            }
        } == servers.count
    }
}
