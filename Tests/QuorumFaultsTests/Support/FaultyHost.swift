// One server in memory: an honest replica for each of its groups, its store, and a liar around both, or none.

import ErasureCode
import Fingerprint
import QuorumFaults
import QuorumProtocol

final class FaultyHost {
    private struct StagedPlace: Hashable {
        let key: ObjectKey
        let attempt: AttemptName
        let stripe: UInt32
    }

    let group: FaultGroup
    let server: NodeID
    private var replicas: [Replica]
    private var accounts = Accounts()
    private var records: [ObjectKey: ObjectRecord] = [:]
    private var parts: [Timestamp: HeldParts] = [:]
    private var staged: [StagedPlace: StagedStripe] = [:]
    private var requestCount: UInt64 = 0
    private var fault: (any ServerFault)?
    private var context: FaultContext
    /// How many durable changes the replica wanted, and how many were made.
    private(set) var changes = (wanted: 0, made: 0)

    init(
        _ group: FaultGroup, _ kind: ServerFaultKind?, at server: NodeID = NodeID(0), seed: UInt64 = 1,
        conspiracy: Conspiracy? = nil
    ) {
        self.group = group
        self.server = server
        replicas = group.parameters.configuration.groups(of: server).map {
            Replica(parameters: group.parameters, group: $0, node: server, incarnation: Incarnation(1))
        }
        fault = kind?.make()
        let signer = group.signer(server)
        context = FaultContext(
            parameters: group.parameters, node: server, signer: signer, generator: SeededGenerator(seed: seed),
            conspiracy: conspiracy ?? Conspiracy(signers: [signer]))
    }

    func record(_ key: ObjectKey) -> ObjectRecord { records[key] ?? ObjectRecord() }

    /// Whether the server really has fragments of a version.
    func holds(_ timestamp: Timestamp) -> Bool { parts[timestamp]?.fragments != nil }

    /// All that comes back for a request.
    ///
    /// - Parameter route: the epoch and the group that it names; those of its object when it is nil.
    func send(_ request: Request, from client: ClientID = .alice, route: Route? = nil) -> [Reply] {
        let route = route ?? group.placement(request.key).route
        guard fault != nil else { return honest(request, from: client, route: route) }
        switch fault!.receive(request, from: client, &context) {
        case .swallow: return []
        case .answer(let replies): return replies
        case .pass(let passed):
            return honest(passed, from: client, route: route).flatMap {
                fault!.send($0, to: client, answering: passed, &context)
            }
        }
    }

    private func honest(_ request: Request, from client: ClientID, route: Route) -> [Reply] {
        let configuration = group.parameters.configuration
        guard route.epoch == configuration.epoch else {
            return [.refused(.unknownEpoch(route.epoch, newest: configuration.epoch))]
        }
        guard let replica = replicas.firstIndex(where: { $0.group.id == route.group }) else {
            return [.refused(.foreignGroup(route.group, expected: group.placement(request.key).group.id))]
        }
        requestCount += 1
        let tag = RequestTag(session: 0, request: requestCount)
        var effects: [ReplicaEffect] = []
        replicas[replica].handle(
            .request(tag, from: .client(client), request), accounts: &accounts, into: &effects)
        var replies: [Reply] = []
        while !effects.isEmpty {
            var input: ReplicaInput?
            let outcome = effects.removeFirst().perform(
                in: self, verifier: group.verifier, parameters: group.parameters, node: server)
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
            case .verifyVersions, .repairEnded, .restate, .forgotten:
                break
            }
            if let input { replicas[replica].handle(input, accounts: &accounts, into: &effects) }
            replicas[replica].checkInvariants()
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
                timestamp: put.timestamp, position: group.position(server, change.key), descriptor: put.descriptor,
                fragments: put.descriptor.descriptor.stripes.isEmpty ? [] : fragments)
        }
        for drop in change.drops { parts[drop] = nil }
        for drop in change.stagedDrops {
            staged = staged.filter { place, _ in
                let chunk = place.stripe / StagedLimits.stripesPerChunk
                return place.key != change.key || place.attempt != drop.attempt
                    || !drop.chunks.contains { $0.contains(chunk) }
            }
        }
        for put in change.stagedPuts {
            staged[StagedPlace(key: change.key, attempt: put.attempt, stripe: put.stripe)] = put
        }
    }
}

extension FaultyHost: ReplicaStore {
    func record(of key: ObjectKey) -> StoredParts<ObjectRecord> { records[key].map(StoredParts.held) ?? .absent }

    func descriptor(of timestamp: Timestamp, key: ObjectKey) -> StoredParts<SealedDescriptor> {
        (parts[timestamp]?.descriptor).map(StoredParts.held) ?? .absent
    }

    func fragments(of timestamp: Timestamp, key: ObjectKey, stripeCount: Int) -> StoredParts<[SharedBytes]> {
        (parts[timestamp]?.fragments).map(StoredParts.held) ?? .absent
    }

    func stagedEntry(of attempt: AttemptName, stripe: UInt32, key: ObjectKey) -> StoredParts<[UInt8]> {
        (staged[StagedPlace(key: key, attempt: attempt, stripe: stripe)]?.entry).map(StoredParts.held) ?? .absent
    }

    func stagedFragment(of attempt: AttemptName, stripe: UInt32, key: ObjectKey) -> StoredParts<SharedBytes> {
        (staged[StagedPlace(key: key, attempt: attempt, stripe: stripe)]?.fragment.bytes).map(StoredParts.held)
            ?? .absent
    }

    func bareObjects(of client: ClientID, after: ObjectKey?, limit: Int) -> [ObjectKey] { [] }

    func due(beforeMilliseconds time: UInt64, limit: Int) -> [ObjectKey] { [] }
}

/// What one server was asked, by whom, and what came back.
struct Exchange {
    let client: ClientID
    let request: Request
    let replies: [Reply]
}

extension FaultyHost {
    func position(_ key: ObjectKey) -> Position { group.position(server, key) }

    /// Some versions of two objects written by two clients, each read by three: a deletion, an overtaken write, a
    /// skipped counter with its justification, a client that fills the server with pending versions, and a commit that
    /// comes before its descriptor. Whoever is told of a version asks for its certificate.
    func usualDay() -> [Exchange] {
        var exchanges: [Exchange] = []
        func ask(_ client: ClientID, _ request: Request) {
            exchanges.append(Exchange(client: client, request: request, replies: send(request, from: client)))
            guard request.asksForClaim else { return }
            let named = exchanges.last?.claim?.timestamp ?? record(request.key).claim.timestamp
            let anything = named ?? group.version(request.key, "nothing", counter: 1).timestamp
            let fetch = Request.certificate(request.key, anything)
            exchanges.append(Exchange(client: client, request: fetch, replies: send(fetch, from: client)))
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
            ask(version.timestamp.writer, version.prepare(for: position(version.key), justification: justification))
            ask(version.timestamp.writer, version.commit(group.certificate(of: version)))
        }
        readAll()
        write(group.version(.photo, "the first of all", counter: 1))
        readAll()
        write(group.version(.other, "something else entirely", counter: 1, writer: .bob))
        write(group.version(.photo, "the second version", counter: 2, writer: .bob))
        readAll()
        ask(.alice, group.version(.photo, "overtaken", counter: 1).prepare(for: position(.photo)))
        let unseen = group.version(.photo, "never came here", counter: 3)
        write(group.version(.photo, "after it", counter: 4), justification: group.certificate(of: unseen))
        readAll()
        for number in 0..<10 {
            ask(
                .carol,
                group.version(.other, "pending \(number)", counter: 2, writer: .carol)
                    .prepare(for: position(.other)))
        }
        let pending = group.version(.other, "pending 1", counter: 2, writer: .carol)
        ask(.carol, .read(Read(key: .other, version: pending.timestamp, portion: .fragments)))
        write(group.version(.other, nil, counter: 2, writer: .mallory))
        readAll()
        let told = group.version(.photo, "prepared elsewhere", counter: 5)
        let descriptor = Describe(key: told.key, timestamp: told.timestamp, descriptor: told.descriptor)
        for _ in 0..<2 {
            ask(.alice, told.commit(group.certificate(of: told)))
            ask(.alice, .describe(descriptor))
        }
        return exchanges
    }

    /// What the server claims of an object, and the certificate that it shows when it is asked for that.
    func claim(of key: ObjectKey, from client: ClientID = .alice) -> (claim: CommittedClaim, proof: Certificate?)? {
        let question = Exchange(
            client: client, request: .readTimestamp(key), replies: send(.readTimestamp(key), from: client))
        guard let claim = question.claim else { return nil }
        guard let timestamp = claim.timestamp else { return (claim, nil) }
        let fetch = Request.certificate(key, timestamp)
        return (claim, Exchange(client: client, request: fetch, replies: send(fetch, from: client)).proof)
    }
}

extension Request {
    /// READ-TIMESTAMP or READ.
    var asksForClaim: Bool {
        switch self {
        case .readTimestamp, .read: true
        case .prepare, .commit, .certificate, .describe, .stage, .discard, .fetch, .listHeld, .restate: false
        }
    }
}

extension Exchange {
    /// What was claimed last.
    var claim: CommittedClaim? {
        replies.compactMap { reply in
            switch reply {
            case .timestamp(let claim), .version(let claim, _): claim
            case .certificate, .prepared, .committed, .staged, .discarded, .fetched, .held, .refused: nil
            }
        }.last
    }

    /// The certificate that was shown last.
    var proof: Certificate? {
        replies.compactMap { if case .certificate(_, let certificate?) = $0 { certificate } else { nil } }.last
    }
}

extension [Exchange] {
    /// What was claimed in answer to each question, and the certificate shown of the highest version claimed.
    var claims: [(place: Int, claim: CommittedClaim, proof: Certificate?)] {
        indices.dropLast().compactMap { place in
            guard self[place].request.asksForClaim, let claim = self[place].claim else { return nil }
            return (place, claim, claim.timestamp == nil ? nil : self[place + 1].proof)
        }
    }
}
