// Audits of whole clusters by a client, among servers that lie to it.

import ErasureCode
import Fingerprint
import Foundation
import QuorumClient
import QuorumOperations
import QuorumProtocol
import QuorumServer
import Synchronization
import Testing

@Suite("An audit of a cluster", .serialized)
struct ClusterAuditTests {
    /// A server that is honest but to auditors.
    private final class AuditLiar: ServerInterposer {
        private let tell: @Sendable (AuditQuery, AuditAnswer) -> AuditAnswer?
        private let answer = Mutex<(@Sendable (RequestTag, Reply?) -> Void)?>(nil)

        init(_ tell: @escaping @Sendable (AuditQuery, AuditAnswer) -> AuditAnswer?) {
            self.tell = tell
        }

        func begin(signer: StatementSigner, answer: @escaping @Sendable (RequestTag, Reply?) -> Void) {
            self.answer.withLock { $0 = answer }
        }
        func receive(_ request: Request, from principal: Principal, tag: RequestTag) -> Request? {
            request
        }
        func send(_ reply: Reply, tag: RequestTag) { answer.withLock { $0 }?(tag, reply) }
        func keeps(_ change: ObjectChange) -> Bool { true }
        func audit(_ query: AuditQuery, _ answer: AuditAnswer) -> AuditAnswer? { tell(query, answer) }
    }

    private static let count = 30
    private static let liar = NodeID(1)

    private static func put(_ client: ObjectClient, count: Int = count) async throws {
        for number in 0..<count {
            _ = try await client.put(
                try ObjectKey("audited/\(number)"), testBytes(2000, seed: UInt64(number) + 1))
        }
    }

    /// What an audit finds of objects that were written to all servers, while server 1 answers so.
    private static func audit(
        _ tell: @escaping @Sendable (AuditQuery, AuditAnswer) -> AuditAnswer?
    ) async throws -> ClusterAudit {
        let found = Mutex<ClusterAudit?>(nil)
        try await withCluster(interposers: [1: AuditLiar(tell)]) { cluster, _ in
            try await cluster.withClient(ClientOptions()) { client in
                try await Self.put(client)
                let audit = await client.audit(bucket: nil) { _, _ in }
                found.withLock { $0 = audit }
            }
        }
        return try #require(found.withLock { $0 })
    }

    @Test("counts every fragment as good where all is well, and leaves out what writers left out")
    func whole() async throws {
        try await withCluster { cluster, partial in
            try await cluster.withClient(ClientOptions()) { try await Self.put($0) }
            var audit = await partial.audit(bucket: "audited") { _, _ in }
            #expect(audit.failures.isEmpty && audit.tally.stripeCount == UInt64(Self.count))
            #expect(audit.tally.troubles.isEmpty && audit.tally.standings.isEmpty)
            for node in (0..<4).map({ NodeID($0) }) {
                #expect(audit.tally.goodCount(of: node) == UInt64(Self.count))
            }

            for number in 0..<8 {
                _ = try await partial.put(
                    try ObjectKey("partial/\(number)"), testBytes(2000, seed: UInt64(number) + 1))
            }
            audit = await partial.audit(bucket: "partial") { _, _ in }
            #expect(audit.tally.stripeCount == 8 && audit.tally.troubles.isEmpty)
            let spared = audit.tally.standings.values.flatMap(\.self)
            #expect(spared.allSatisfy { $0.key == .spare })
            // A server that was slow to answer was brought its fragment by a spare.
            #expect((1...8).contains(spared.reduce(0) { $0 + $1.value }))
            audit = await partial.audit(bucket: "nothing") { _, _ in }
            #expect(audit.tally.stripeCount == 0 && audit.failures.isEmpty)
        }
    }

    @Test("finds who tells wrong fingerprints, and blames nobody else", .timeLimit(.minutes(1)))
    func wrong() async throws {
        let audit = try await Self.audit { _, answer in
            AuditAnswer(
                versions: answer.versions.map { version in
                    let wrong = (0..<version.fragments.count).map { _ in
                        AuditedFragment.held(Fingerprint(bytes: (0..<16).map { _ in .random(in: 0...255) })!)
                    }
                    return AuditedStripes(version.name, first: version.first, fragments: wrong)
                }, next: answer.next)
        }
        #expect(audit.failures.isEmpty && audit.tally.stripeCount == UInt64(Self.count))
        #expect(audit.tally.standings == [Self.liar: [.wrong: UInt64(Self.count)]])
        #expect(audit.tally.inconclusiveCount == 0 && audit.tally.goodCount(of: Self.liar) == 0)
    }

    @Test("finds who tells of nothing, whether it names or numbers", .timeLimit(.minutes(1)))
    func nothing() async throws {
        let audit = try await Self.audit { _, answer in AuditAnswer(versions: [], next: answer.next) }
        #expect(audit.tally.stripeCount == UInt64(Self.count))
        #expect(audit.tally.standings == [Self.liar: [.missing: UInt64(Self.count)]])
    }

    @Test(
        "comes to its end beside a server that answers nothing, or what is no answer",
        .timeLimit(.minutes(2)))
    func silent() async throws {
        for isMute in [true, false] {
            let audit = try await Self.audit { query, answer in
                isMute ? nil : AuditAnswer(versions: answer.versions, next: query.from)
            }
            #expect(audit.failures.isEmpty && audit.tally.stripeCount == UInt64(Self.count))
            #expect(audit.tally.standings == [Self.liar: [.silent: UInt64(Self.count)]])
            #expect(audit.tally.troubles.isEmpty)
        }
    }

    @Test(
        "comes to its end beside a server that tells of hardly anything at a time",
        .timeLimit(.minutes(2)))
    func early() async throws {
        let audit = try await Self.audit { query, answer in
            // As little as it can be each time: up to the first object, or the next slot.
            let next =
                query.from.slot < Slot(4095)
                ? AuditPlace(Slot(query.from.slot.rawValue + 1))
                : query.from.key.map { AuditPlace($0, stripe: .max) }
            guard let next, query.contains(next) else { return answer }
            return AuditAnswer(versions: [], next: next)
        }
        #expect(audit.failures.isEmpty && audit.tally.stripeCount == UInt64(Self.count))
        #expect(audit.tally.troubles.isEmpty)
        #expect(Set(audit.tally.standings.keys).isSubset(of: [Self.liar]))
    }

    @Test(
        "misses nothing that is complete, though one names nothing and another one has it not",
        .timeLimit(.minutes(1)))
    func hidden() async throws {
        let liar = AuditLiar { _, answer in AuditAnswer(versions: [], next: answer.next) }
        try await withCluster(interposers: [1: liar]) { cluster, _ in
            try await cluster.withClient(ClientOptions()) { client in
                await cluster.stop(3)
                try await Self.put(client)
                try await cluster.start(3)
                // Whoever's turn it is to name.
                for _ in 0..<4 {
                    let audit = await client.audit(bucket: "audited") { _, _ in }
                    #expect(audit.failures.isEmpty && audit.tally.stripeCount == UInt64(Self.count))
                    // Who is right can only be told of what q have, but that something is amiss always.
                    #expect(audit.tally.inconclusiveCount == UInt64(Self.count))
                    let blamed = audit.tally.standings.filter { $0.value.contains { $0.key != .silent } }
                    #expect(blamed.isEmpty, "\(blamed)")
                }
            }
        }
    }

    @Test("ends with what it has when too few servers answer", .timeLimit(.minutes(2)))
    func tooFew() async throws {
        try await withCluster { cluster, _ in
            try await cluster.withClient(ClientOptions()) { client in
                try await Self.put(client, count: 3)
                await cluster.stop(0)
                await cluster.stop(1)
                let audit = await client.audit(bucket: nil) { _, _ in }
                #expect(audit.failures.count == 1 && audit.tally.stripeCount == 0)
                guard
                    case .tooFewAnswers(_, let answered, let needed, let refusals)? = audit.failures.first?
                        .failure
                else { return }
                #expect(answered == 2 && needed == 3 && refusals.isEmpty)
            }
        }
    }
}
