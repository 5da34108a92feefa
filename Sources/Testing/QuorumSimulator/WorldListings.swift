// How a world's clients list, as the client library does: a Lister says what is asked, read and shown. And what is
// judged of that.

import QuorumFaults
import QuorumProtocol

/// A listing under way.
struct SimulatedListing {
    let query: ListingQuery
    fileprivate var lister: Lister
    /// Rounds that are not over.
    fileprivate var rounds: [Int: ListingCollector] = [:]
    /// What is read; one object at a time.
    fileprivate(set) var reading: (number: Int, key: ObjectKey)?
    fileprivate var shown: [ListedEntry] = []

    init(_ query: ListingQuery, _ parameters: ClusterParameters) {
        self.query = query
        lister = Lister(query, parameters, readsAtATime: 1)
    }

    /// Which of the machine's invariants the input breaks, or nil.
    fileprivate mutating func handle(_ input: Lister.Input, into effects: inout [Lister.Effect]) -> String? {
        lister.handle(input, into: &effects)
        return lister.brokenInvariant
    }
}

extension World {
    func query(_ planned: PlannedListing) -> ListingQuery {
        let prefix = Array((planned.directory.map { "bucket/dir-\($0)" } ?? "bucket/").utf8)
        guard
            let query = ListingQuery(
                prefix: prefix, delimiter: planned.isByDirectory ? [UInt8(ascii: "/")] : [], limit: planned.pageSize)
        else { preconditionFailure("a valid query") }
        return query
    }

    /// What the last client lists when everything is over.
    func lastListings(by client: Int) -> [PlannedOperation] {
        [
            PlannedListing(directory: nil, isByDirectory: false, pageSize: 2),
            PlannedListing(directory: nil, isByDirectory: true, pageSize: 1),
        ].map {
            PlannedOperation(
                number: -1, client: client, object: 0, kind: .list($0), pauseMicroseconds: 0, crash: nil)
        }
    }

    /// Runs an input through the listing of an operation, unless that is over, and does what follows from it.
    func feed(_ client: SimulatedClient, _ operation: Int, _ input: Lister.Input) {
        guard client.operation == operation, client.listing != nil else { return }
        var effects: [Lister.Effect] = []
        check(client.listing!.handle(input, into: &effects), of: "operation \(operation)'s listing")
        for effect in effects {
            guard client.operation == operation, client.listing != nil else { return }
            perform(effect, of: client, operation)
        }
    }

    private func perform(_ effect: Lister.Effect, of client: SimulatedClient, _ operation: Int) {
        switch effect {
        case .ask(let round, let query, let nodes):
            client.listing?.rounds[round] = ListingCollector(query, nodes: nodes, parameters)
            for node in nodes { send(query, to: node, client: client.number, operation, round: round) }
        case .waitForMore(let round):
            heap.add(
                .listingHedge(client: client.number, operation: operation, round: round),
                at: nowMicroseconds + plan.patience.hedgeMicroseconds)
        case .leave(let round):
            client.listing?.rounds[round] = nil
        case .read(let number, let key):
            client.machineNumber += 1
            client.listing?.reading = (number, key)
            client.reader = Reader(
                parameters: parameters, key: key, wantsValue: false, preference: parameters.quorums.positions)
            feed(client, operation, Reader.Input.start)
        case .page(let entries, let isLast):
            client.listing?.shown += entries
            if isLast {
                concludeListing(operation, by: client)
            } else {
                feed(client, operation, Lister.Input.wanted)
            }
        case .fail(let failure):
            let observations = ServerObservations()
            let answered = failure.outcome.answers.keys.sorted()
            finish(
                client, operation,
                .failed(
                    .unavailable(
                        .read, answered: answered, need: ListingJudge.answersNeeded(parameters),
                        observations: observations)))
        }
    }

    /// A read of the listing is over.
    func found(_ outcome: ReadOutcome, of client: SimulatedClient, _ operation: Int) {
        guard let reading = client.listing?.reading else { return }
        client.listing?.reading = nil
        client.reader = nil
        var head: ListedHead?
        if case .version(_, let sealed, _) = outcome.found { head = sealed.descriptor.listedHead }
        feed(client, operation, Lister.Input.found(read: reading.number, outcome.found.timestamp, head))
    }

    // MARK: Messages

    private func send(_ query: ListingQuery, to node: NodeID, client: Int, _ operation: Int, round: Int) {
        note("\(name(client)) → \(node): LIST \(Transcript.describe(query)), round \(round)")
        for delay in delays(node) {
            heap.add(
                .list(query, client: client, operation: operation, round: round, node), at: nowMicroseconds + delay)
        }
    }

    /// How long a message to or from a server takes, and its copy if there is one; nothing when it is lost.
    private func delays(_ node: NodeID) -> [UInt64] {
        let (first, second) = network.delays(server: node)
        if first == nil { note("  lost") }
        return first.map { [$0] + (second.map { [$0] } ?? []) } ?? []
    }

    /// LIST reaches its server.
    func receive(_ query: ListingQuery, from client: Int, operation: Int, round: Int, at server: SimulatedServer) {
        guard server.isUp, network.isConnected(Int(server.node.rawValue), plan.serverCount + client) else { return }
        trace(UInt64(server.node.rawValue) << 32 | UInt64(client))
        var told = server.disk.list(query, node: server.node, parameters)
        if case .success(let honest) = told, server.liar?.listing != nil {
            guard let lie = server.liar?.listing?.answer(query, honest) else { return }
            // What is no encoding of an answer does not get past the connection.
            var encoder = CanonicalEncoder()
            lie.encode(into: &encoder)
            var decoder = CanonicalDecoder(encoder.bytes)
            guard let read = try? ListingAnswer(from: &decoder) else { return }
            told = .success(read)
        }
        note("\(server.node) → \(name(client)): \(Transcript.describe(told)), round \(round)")
        for delay in delays(server.node) {
            heap.add(
                .listing(told, client: client, operation: operation, round: round, server.node),
                at: nowMicroseconds + delay)
        }
    }

    /// A server's answer reaches its client.
    func receive(
        _ told: Result<ListingAnswer, Refusal>, from server: NodeID, _ client: SimulatedClient, _ operation: Int,
        round: Int
    ) {
        guard network.isConnected(Int(server.rawValue), plan.serverCount + client.number),
            client.operation == operation, var collector = client.listing?.rounds[round]
        else { return }
        trace(UInt64(client.number) << 32 | UInt64(server.rawValue))
        let step =
            switch told {
            case .success(let answer): collector.take(answer, from: server)
            case .failure(let refusal): collector.take(refusal, from: server)
            }
        client.listing?.rounds[round] = collector
        switch step {
        case .wait: break
        case .enough:
            feed(client, operation, Lister.Input.answered(round: round, collector.outcome, isFinal: false))
        case .complete:
            finishRound(round, of: client, operation)
        }
    }

    /// Nothing more is waited for.
    func finishRound(_ round: Int, of client: SimulatedClient, _ operation: Int) {
        guard client.operation == operation, let collector = client.listing?.rounds.removeValue(forKey: round) else {
            return
        }
        feed(client, operation, Lister.Input.answered(round: round, collector.outcome, isFinal: true))
    }

    func retransmitListing(_ client: SimulatedClient, _ operation: Int) {
        for (round, collector) in client.listing?.rounds.sorted(by: { $0.key < $1.key }) ?? [] {
            for node in collector.silent {
                send(collector.query, to: node, client: client.number, operation, round: round)
            }
        }
    }

    /// A connection is there again: what that server has not answered is asked once more.
    func askAgain(_ node: NodeID, of client: SimulatedClient) {
        guard let operation = client.operation else { return }
        for (round, collector) in client.listing?.rounds.sorted(by: { $0.key < $1.key }) ?? []
        where collector.silent.contains(node) {
            send(collector.query, to: node, client: client.number, operation, round: round)
        }
    }

    /// The time of the operation is over: rounds end with what there is, and whatever goes on then has failed.
    func giveUpListing(_ client: SimulatedClient, _ operation: Int) {
        for round in client.listing?.rounds.keys.sorted() ?? [] { finishRound(round, of: client, operation) }
        guard client.operation == operation else { return }
        finish(
            client, operation,
            .failed(
                .unavailable(
                    .read, answered: [], need: ListingJudge.answersNeeded(parameters),
                    observations: ServerObservations())))
    }
}

// MARK: - What is judged

extension World {
    private func concludeListing(_ operation: Int, by client: SimulatedClient) {
        guard let listing = client.listing else { return }
        if let found = judge(listing.shown, listing.query, of: operation) { violation = violation ?? found }
        finish(client, operation, .listed(listing.shown))
    }

    /// What is wrong with what a listing showed over all its pages: of each object the last write that was complete
    /// before it began or a later one, everything once and in order, and nothing that nobody wrote.
    private func judge(_ shown: [ListedEntry], _ query: ListingQuery, of operation: Int) -> Violation? {
        for (first, second) in zip(shown, shown.dropFirst())
        where !first.bytes.lexicographicallyPrecedes(second.bytes) {
            return Violation(.regularity, "operation \(operation) shows \(Transcript.describe(second)) twice or late")
        }
        var prefixes: Set<[UInt8]> = []
        var objects: Set<ObjectKey> = []
        for entry in shown {
            switch entry {
            case .prefix(let prefix):
                prefixes.insert(prefix)
                guard keys.contains(where: { query.commonPrefix(of: $0) == prefix && mayBe($0, live: true, operation) })
                else {
                    return Violation(
                        .regularity,
                        "operation \(operation) shows \(Transcript.describe(entry)), below which nothing is")
                }
            case .object(let key, let live):
                objects.insert(key)
                if let found = judge(key, live, query, of: operation) { return found }
            }
        }
        for key in keys where key.bytes.starts(with: query.prefix) && !objects.contains(key) {
            guard query.commonPrefix(of: key).map({ !prefixes.contains($0) }) ?? true,
                !mayBe(key, live: false, operation)
            else { continue }
            let floor = floor(of: key, operation).map { "\($0)" } ?? "nothing"
            return Violation(
                .regularity, "operation \(operation) does not show \(key), which was there at \(floor)")
        }
        return nil
    }

    private func judge(
        _ key: ObjectKey, _ live: LiveVersion, _ query: ListingQuery, of operation: Int
    ) -> Violation? {
        let what = "operation \(operation) shows \(key) at \(live.timestamp)"
        guard keys.contains(key), key.bytes.starts(with: query.prefix), query.commonPrefix(of: key) == nil else {
            return Violation(.forgery, "\(what), which is not there to be listed")
        }
        // Of what Byzantine clients write only the value is known.
        let (value, time): ([UInt8]?, UInt64?)
        if let client = clients.first(where: { $0.id == live.timestamp.writer }) {
            guard let author = authors[live.timestamp.digest], history[author].client == client.number,
                keys[history[author].object] == key
            else { return Violation(.forgery, "\(what), which its writer never wrote") }
            (value, time) = (history[author].bytes, UInt64(author))
        } else {
            guard let attempt = attempt(at: live.timestamp, of: key) else {
                return Violation(.forgery, "\(what), which nobody tried to write")
            }
            (value, time) = (attempt.value, nil)
        }
        guard let value else { return Violation(.regularity, "\(what), which is a deletion") }
        guard let head = live.head, head.lengthBytes == UInt64(value.count),
            time.map({ $0 == head.modifiedMilliseconds && head.etag.isEmpty }) ?? true
        else { return Violation(.integrity, "\(what) as \(String(describing: live.head))") }
        if let floor = floor(of: key, operation), live.timestamp < floor {
            return Violation(.regularity, "\(what), and \(floor) was complete before it began")
        }
        return nil
    }

    /// The highest version of an object that was complete before an operation began: written, or read.
    private func floor(of key: ObjectKey, _ operation: Int) -> Timestamp? {
        history.compactMap { earlier -> Timestamp? in
            guard keys[earlier.object] == key, let completed = earlier.completedAtStep,
                completed < history[operation].invokedAtStep
            else { return nil }
            return switch earlier.outcome {
            case .wrote(let timestamp): timestamp
            case .read(let observation): observation.timestamp
            case .running, .failed, .crashed, .listed: nil
            }
        }.max()
    }

    /// Whether a listing may take an object for being there, or for not being there.
    private func mayBe(_ key: ObjectKey, live wanted: Bool, _ operation: Int) -> Bool {
        guard let floor = floor(of: key, operation) else {
            return !wanted || writes(of: key).contains { $0.isLive }
        }
        return writes(of: key).contains { $0.isLive == wanted && ($0.timestamp.map { $0 >= floor } ?? true) }
    }

    /// What was tried of an object so far; the timestamps are those that are known.
    private func writes(of key: ObjectKey) -> [(timestamp: Timestamp?, isLive: Bool)] {
        let honest = history.filter { $0.isWrite && keys[$0.object] == key }.map { write in
            var timestamp: Timestamp?
            if case .wrote(let known) = write.outcome { timestamp = known }
            return (timestamp: timestamp, isLive: write.kind != .delete)
        }
        let byzantine = byzantineClients.flatMap { $0.context.attempts }.filter { $0.key == key }
            .map { (timestamp: Optional($0.timestamp), isLive: $0.value != nil) }
        return honest + byzantine
    }
}

extension Transcript {
    static func describe(_ query: ListingQuery) -> String {
        let delimiter = query.delimiter.isEmpty ? "" : " by '\(String(decoding: query.delimiter, as: UTF8.self))'"
        return "'\(String(decoding: query.prefix, as: UTF8.self))'\(delimiter) from "
            + "'\(String(decoding: query.start, as: UTF8.self))', \(query.limit) at most"
    }

    static func describe(_ told: Result<ListingAnswer, Refusal>) -> String {
        switch told {
        case .failure(let refusal): return "no listing since \(refusal)"
        case .success(let answer):
            let objects = answer.objects.map { "\($0.key) at \($0.live.timestamp)" }
            let prefixes = answer.prefixes.map { told in
                "'\(String(decoding: told.prefix, as: UTF8.self))' by "
                    + told.witnesses.map { "\($0.key) at \($0.live.timestamp)" }.joined(separator: " and ")
            }
            let end = answer.below.map { "below '\(String(decoding: $0, as: UTF8.self))'" } ?? "and no more"
            return "has " + (objects + prefixes + [end]).joined(separator: ", ")
        }
    }

    static func describe(_ entry: ListedEntry) -> String {
        switch entry {
        case .object(let key, let live): "\(key) at \(live.timestamp)"
        case .prefix(let prefix): "'\(String(decoding: prefix, as: UTF8.self))'"
        }
    }
}
