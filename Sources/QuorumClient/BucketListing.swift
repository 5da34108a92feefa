// Listing a bucket (docs/protocol.md, Listing).
//
// Pages are judged by QuorumProtocol's ListingJudge. What the servers' answers leave open is read as any object is: a
// head, which also brings it to the servers that had missed it. A listing holds one page at a time.

import NIOCore
import QuorumOperations
import QuorumProtocol

/// An object in a listing.
public struct ListedObject: Sendable, Equatable {
    public let key: ObjectKey
    public let lengthBytes: UInt64
    public let timestamp: Timestamp
    /// The writer's clock, in milliseconds since 1970.
    public let modifiedMilliseconds: UInt64
    /// As `ObjectStatus.etag`.
    public let etag: String
}

/// What a listing consists of.
public enum ListingEntry: Sendable, Equatable {
    case object(ListedObject)
    /// Bytes, from the bucket on up to the delimiter, with which at least one object's key begins.
    case prefix([UInt8])

    /// The bytes by which entries are in order.
    public var bytes: [UInt8] {
        switch self {
        case .object(let object): object.key.bytes
        case .prefix(let prefix): prefix
        }
    }
}

/// The live objects of a bucket in the order of their keys' bytes.
///
/// A listing is regular for each key, and no snapshot: of every object it shows the last write that was complete before
/// it began, or a later one. A key that lives throughout appears exactly once.
public struct BucketListing: AsyncSequence, Sendable {
    public typealias Element = ListingEntry

    let client: ObjectClient
    let query: ListingQuery

    public struct AsyncIterator: AsyncIteratorProtocol {
        let client: ObjectClient
        private var query: ListingQuery
        /// In reverse order.
        private var waiting: [ListingEntry] = []
        private var isAtEnd = false
        private var inventors = Inventors()

        init(_ listing: BucketListing) {
            client = listing.client
            query = listing.query
        }

        public mutating func next() async throws(ClientError) -> ListingEntry? {
            while waiting.isEmpty {
                if isAtEnd { return nil }
                let page = try await client.measure(.list, .bucket(query.bucket)) { () throws(ClientError) in
                    try await client.page(query, &inventors)
                }
                waiting = page.entries.reversed()
                if let next = page.next { query = query.from(next) } else { isAtEnd = true }
            }
            return waiting.popLast()
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }
}

/// Which servers have named versions above all that was then found, or told of little at a time.
struct Inventors {
    /// A correct server does the one while something is written, and the other below huge prefixes; but not all the
    /// time.
    private static let inventionsMax = 64
    private static let inventionsPerEarlyEnd = 8
    /// How often those left out are asked again since too few are left. A listing must not go on for ever.
    private static let forgivenMax = 4
    private var counts: [NodeID: Int] = [:]
    private var forgivenCount = 0

    /// Takes who has named an object as what, and the version that was then found, which may be a tombstone. Who names
    /// a lower one may have missed that, and whoever names what was found is right.
    mutating func add(_ named: [NodeID: Timestamp], found: Timestamp?) {
        for (node, timestamp) in named where found.precedes(timestamp) { counts[node, default: 0] += 1 }
    }

    mutating func addEarlyEnd(of node: NodeID) { counts[node, default: 0] += Self.inventionsPerEarlyEnd }

    /// Who is left out of this listing: no more than may be faulty.
    func leftOut(_ faults: Int) -> Set<NodeID> {
        let worst = counts.filter { $0.value > Self.inventionsMax }.sorted { $0.value > $1.value }
        return Set(worst.prefix(faults).map(\.key))
    }

    /// Whether they are to be asked again.
    mutating func forgive() -> Bool {
        guard forgivenCount < Self.forgivenMax, !counts.isEmpty else { return false }
        forgivenCount += 1
        counts = [:]
        return true
    }
}

/// A part of a listing.
struct ListingPage: Sendable {
    let entries: [ListingEntry]
    /// Where the rest begins; nil when there is none.
    let next: [UInt8]?
}

extension ObjectClient {
    /// How many objects are read at a time.
    private static let headsAtATime = 16

    /// Lists the objects of a bucket. Nothing is asked before the first entry is.
    ///
    /// - Parameters:
    ///   - prefix: what names within the bucket begin with.
    ///   - delimiter: names that go on alike up to this, behind the prefix, become one entry; nil for none.
    ///   - after: only entries behind this name, or behind all that begins with it if it ends as an entry of a prefix
    ///     does.
    /// - Returns: entries that throw `.listingUnavailable`, also of a task that is cancelled; `.listingRefused`,
    ///   `.closed`; and of an object that has to be read `.unavailable`, `.refused` and `.cancelled`.
    /// - Throws: `.invalidListing`.
    public func list(
        _ bucket: String, prefix: String = "", delimiter: String? = nil, after: String? = nil
    ) throws(ClientError) -> BucketListing {
        guard ObjectKey.isBucket(bucket) else {
            throw .invalidListing(ObjectKeyError.invalidBucket(bucket).description)
        }
        return try list(
            prefix: Array("\(bucket)/\(prefix)".utf8), delimiter: Array((delimiter ?? "").utf8),
            after: after.map { Array("\(bucket)/\($0)".utf8) })
    }

    /// The same by bytes: both begin with the bucket and a slash.
    package func list(
        prefix: [UInt8], delimiter: [UInt8] = [], after: [UInt8]? = nil, pageSize: Int = ListingQuery.itemCountMax
    ) throws(ClientError) -> BucketListing {
        guard ObjectKey.bucket(ofPrefix: prefix) != nil else {
            throw .invalidListing(
                "'\(String(decoding: prefix, as: UTF8.self).printable)' does not begin with a bucket: 1 to 63 of a-z, "
                    + "0-9, '.' and '-', beginning and ending with a letter or digit")
        }
        guard let query = ListingQuery(prefix: prefix, delimiter: delimiter, limit: pageSize) else {
            throw .invalidListing("the prefix or the delimiter is longer than any key")
        }
        guard let after else { return BucketListing(client: self, query: query) }
        // Behind a prefix is behind all that begins with it.
        let isPrefix =
            !delimiter.isEmpty && after.count > prefix.count && after.suffix(delimiter.count) == delimiter[...]
        let start = isPrefix ? ListingQuery.successor(ofPrefix: after) : after + [0]
        guard let behind = ListingQuery(prefix: prefix, delimiter: delimiter, start: start, limit: pageSize) else {
            throw .invalidListing("the name to go on behind is longer than any key")
        }
        return BucketListing(client: self, query: behind)
    }

    /// What comes first of a listing.
    func page(_ query: ListingQuery, _ inventors: inout Inventors) async throws(ClientError) -> ListingPage {
        let judge = try await judge(query, &inventors)
        let open = judge.keys.compactMap { key, verdict -> (ObjectKey, [NodeID: Timestamp])? in
            if case .open(let named) = verdict { (key, named) } else { nil }
        }
        let read = try await heads(of: Dictionary(uniqueKeysWithValues: open), &inventors)
        var entries: [ListingEntry] = judge.keys.compactMap { key, verdict in
            switch verdict {
            case .settled(let live): ListedObject(key, live).map { .object($0) }
            case .open: read[key].map { .object(ListedObject($0)) }
            }
        }
        var next = judge.below
        for (prefix, verdict) in judge.prefixes {
            guard try await isLive(prefix, verdict, &inventors) else { continue }
            entries.append(.prefix(prefix))
            // All below it is told of by this entry.
            let end = ListingQuery.successor(ofPrefix: prefix)
            if let reached = next, reached.lexicographicallyPrecedes(end), prefix.lexicographicallyPrecedes(reached) {
                next = end
            }
        }
        entries.sort { $0.bytes.lexicographicallyPrecedes($1.bytes) }
        return ListingPage(entries: entries, next: next)
    }

    private func isLive(
        _ prefix: [UInt8], _ verdict: ListingJudge.PrefixVerdict, _ inventors: inout Inventors
    ) async throws(ClientError) -> Bool {
        guard case .open(let witnesses) = verdict else { return true }
        if try await !heads(of: witnesses, &inventors).isEmpty { return true }
        guard var query = ListingQuery(prefix: prefix, limit: 1) else { return false }
        while true {
            let page = try await page(query, &inventors)
            if !page.entries.isEmpty { return true }
            // What was first is gone, and so may be much that a server behind still names.
            guard let next = page.next, let rest = ListingQuery(prefix: prefix, start: next) else { return false }
            query = rest
        }
    }

    /// Asks the servers, without those that invent, unless too few are left without them.
    private func judge(
        _ query: ListingQuery, _ inventors: inout Inventors
    ) async throws(ClientError) -> ListingJudge {
        try checkOpen()
        let all = parameters.configuration.nodes.map(\.id)
        let leftOut = inventors.leftOut(parameters.quorums.faults)
        do {
            return try await ask(query, all.filter { !leftOut.contains($0) }, &inventors)
        } catch {
            guard !leftOut.isEmpty, inventors.forgive() else { throw error }
            return try await ask(query, all, &inventors)
        }
    }

    private func ask(
        _ query: ListingQuery, _ nodes: [NodeID], _ inventors: inout Inventors
    ) async throws(ClientError) -> ListingJudge {
        let round = ListingRound(
            query, nodes: nodes, deadline: context.deadline, hedge: readHedge, context: context)
        let outcome = await round.run()
        for liar in outcome.liars { context.connections.demote(liar, for: demotionTime) }
        for (node, answer) in outcome.answers where answer.endsEarly(query) { inventors.addEarlyEnd(of: node) }
        do {
            return try ListingJudge(query, outcome.answers, parameters)
        } catch {
            try checkOpen()
            let refused = outcome.refusals.sorted { $0.key < $1.key }
                .map { ServerTrouble(server: $0.key, what: "refused: \($0.value)") }
            if refused.count > parameters.quorums.faults {
                throw .listingRefused(bucket: query.bucket, refusals: refused)
            }
            let silent = nodes.filter { outcome.answers[$0] == nil && outcome.refusals[$0] == nil }
            let troubles = silent.map { node in
                let (state, peer) = context.connections.channel(to: node)
                if outcome.liars.contains(node) {
                    return ServerTrouble(server: node, what: "\(peer) answered something else than what was asked")
                }
                if case .disconnected(let error) = state {
                    return ServerTrouble(server: node, what: error.description)
                }
                return ServerTrouble(server: node, what: "\(peer) did not answer in time")
            }
            throw .listingUnavailable(
                bucket: query.bucket, groups: error.groups.map(\.id), troubles: refused + troubles)
        }
    }

    /// Reads what is to know of objects, of each of which somebody has named a version; those that do not exist are left
    /// out.
    private func heads(
        of named: [ObjectKey: [NodeID: Timestamp]], _ inventors: inout Inventors
    ) async throws(ClientError) -> [ObjectKey: ObjectStatus] {
        typealias Result = (key: ObjectKey, outcome: Swift.Result<ReadOutcome, ClientError>)
        let results = await withTaskGroup(of: Result.self, returning: [Result].self) { group in
            var results: [Result] = []
            for (number, key) in named.keys.enumerated() {
                if number >= Self.headsAtATime, let result = await group.next() {
                    results.append(result)
                    // One that cannot be read ends the listing, so no more are tried.
                    if case .failure = result.outcome { break }
                }
                group.addTask {
                    do throws(ClientError) {
                        return (key, .success(try await self.find(key, wantsValue: false)))
                    } catch {
                        return (key, .failure(error))
                    }
                }
            }
            for await result in group { results.append(result) }
            return results
        }
        var found: [ObjectKey: ObjectStatus] = [:]
        for (key, outcome) in results {
            let outcome = try outcome.get()
            inventors.add(named[key] ?? [:], found: outcome.found.timestamp)
            found[key] = ObjectStatus(key, outcome, at: parameters.placement(of: key))
        }
        return found
    }
}

extension ListedObject {
    /// Nil without a head, which a settled object has.
    fileprivate init?(_ key: ObjectKey, _ live: LiveVersion) {
        guard let head = live.head else { return nil }
        self.init(
            key: key, lengthBytes: head.lengthBytes, timestamp: live.timestamp,
            modifiedMilliseconds: head.modifiedMilliseconds,
            etag: head.etag.isEmpty ? live.timestamp.digest.description : head.etag)
    }

    fileprivate init(_ status: ObjectStatus) {
        self.init(
            key: status.key, lengthBytes: status.lengthBytes, timestamp: status.timestamp,
            modifiedMilliseconds: status.metadata.modifiedMilliseconds, etag: status.etag)
    }
}
