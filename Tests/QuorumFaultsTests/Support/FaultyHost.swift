// One server in memory: an honest replica, its store, and a liar around both, or none.

import ErasureCode
import Fingerprint
import QuorumFaults
import QuorumProtocol

final class FaultyHost {
    let group: FaultGroup
    let server: ServerIndex
    private var replica: Replica
    private var records: [ObjectKey: ObjectRecord] = [:]
    private var parts: [Timestamp: HeldParts] = [:]
    private var requestCount: UInt64 = 0
    private var fault: (any ServerFault)?
    private var context: FaultContext
    /// How many durable changes the replica wanted, and how many were made.
    private(set) var changes = (wanted: 0, made: 0)

    init(
        _ group: FaultGroup, _ kind: ServerFaultKind?, at server: ServerIndex = ServerIndex(0), seed: UInt64 = 1,
        conspiracy: Conspiracy? = nil
    ) {
        self.group = group
        self.server = server
        replica = Replica(parameters: group.parameters, server: server, incarnation: Incarnation(1))
        fault = kind?.make()
        let signer = group.signer(server)
        context = FaultContext(
            parameters: group.parameters, server: server, signer: signer,
            foreignSigners: [group.signer(server, epoch: 2)], generator: SeededGenerator(seed: seed),
            conspiracy: conspiracy ?? Conspiracy(signers: [signer]))
    }

    func record(_ key: ObjectKey) -> ObjectRecord { records[key] ?? ObjectRecord() }

    /// Whether the server really has fragments of a version.
    func holds(_ timestamp: Timestamp) -> Bool { parts[timestamp]?.fragments != nil }

    /// All that comes back for a request.
    func send(_ request: Request, from client: ClientID = .alice) -> [Reply] {
        guard fault != nil else { return honest(request, from: client) }
        switch fault!.receive(request, from: client, &context) {
        case .swallow: return []
        case .answer(let replies): return replies
        case .pass(let passed):
            return honest(passed, from: client).flatMap {
                fault!.send($0, to: client, answering: passed, &context)
            }
        }
    }

    private func honest(_ request: Request, from client: ClientID) -> [Reply] {
        requestCount += 1
        let tag = RequestTag(session: 0, request: requestCount)
        var effects: [ReplicaEffect] = []
        replica.handle(.request(tag, from: .client(client), request), into: &effects)
        var replies: [Reply] = []
        while !effects.isEmpty {
            var input: ReplicaInput?
            let outcome = effects.removeFirst().perform(
                in: self, verifier: group.verifier, parameters: group.parameters,
                fragmentIndex: FragmentIndex(server.rawValue))
            switch outcome {
            case .reply(_, let reply):
                replies.append(reply)
            case .input(let completion):
                input = completion
            case .store(let token, let change, let statements):
                if let change { store(change) }
                guard let signed = try? group.signer(server).sign(statements) else {
                    preconditionFailure("signing failed")
                }
                input = .stored(token, .success(signed))
            case .due(let keys):
                input = .due(keys)
            case .verifyVersions:
                break
            }
            if let input { replica.handle(input, into: &effects) }
            replica.checkInvariants()
        }
        return replies
    }

    private func store(_ change: ObjectChange) {
        changes.wanted += 1
        guard fault == nil || fault!.keeps(change, &context) else { return }
        changes.made += 1
        records[change.key] = change.record
        for put in change.puts {
            let fragments = put.fragments.isEmpty ? nil : put.fragments.map(\.bytes)
            parts[put.timestamp] = HeldParts(
                timestamp: put.timestamp, descriptor: put.descriptor,
                fragments: put.descriptor.descriptor.stripes.isEmpty ? [] : fragments)
        }
        for drop in change.drops { parts[drop] = nil }
    }
}

extension FaultyHost: ReplicaStore {
    func record(of key: ObjectKey) -> Result<ObjectRecord?, StoreFailure> { .success(records[key]) }

    func descriptor(of timestamp: Timestamp, key: ObjectKey) -> SealedDescriptor? { parts[timestamp]?.descriptor }

    func fragments(of timestamp: Timestamp, key: ObjectKey, stripeCount: Int) -> [SharedBytes]? {
        parts[timestamp]?.fragments
    }

    func due(beforeMilliseconds time: UInt64, limit: Int) -> [ObjectKey] { [] }
}

/// What one server was asked, by whom, and what came back.
struct Exchange {
    let client: ClientID
    let request: Request
    let replies: [Reply]
}

extension FaultyHost {
    /// Some versions of two objects written by two clients, each read by three: a deletion, an overtaken write, a
    /// skipped counter with its justification, and a client that fills the server with pending versions.
    func usualDay() -> [Exchange] {
        var exchanges: [Exchange] = []
        func ask(_ client: ClientID, _ request: Request) {
            exchanges.append(Exchange(client: client, request: request, replies: send(request, from: client)))
        }
        func readAll() {
            for client in [ClientID.alice, .bob, .carol] {
                for key in [ObjectKey.photo, .other] {
                    ask(client, .readTimestamp(key))
                    ask(client, .read(Read(key: key, portion: .timestamp)))
                    ask(client, .read(Read(key: key, portion: .fragments)))
                }
            }
        }
        func write(_ version: ForgedVersion, justification: Certificate? = nil) {
            ask(version.timestamp.writer, version.prepare(for: server, justification: justification))
            ask(version.timestamp.writer, version.commit(group.certificate(of: version)))
        }
        readAll()
        write(group.version(.photo, "the first of all", counter: 1))
        readAll()
        write(group.version(.other, "something else entirely", counter: 1, writer: .bob))
        write(group.version(.photo, "the second version", counter: 2, writer: .bob))
        readAll()
        ask(.alice, group.version(.photo, "overtaken", counter: 1).prepare(for: server))
        let unseen = group.version(.photo, "never came here", counter: 3)
        write(group.version(.photo, "after it", counter: 4), justification: group.certificate(of: unseen))
        readAll()
        for number in 0..<10 {
            ask(.carol, group.version(.other, "pending \(number)", counter: 2, writer: .carol).prepare(for: server))
        }
        let pending = group.version(.other, "pending 1", counter: 2, writer: .carol)
        ask(.carol, .read(Read(key: .other, version: pending.timestamp, portion: .fragments)))
        write(group.version(.other, nil, counter: 2, writer: .mallory))
        readAll()
        return exchanges
    }
}
