// What a server has of a bucket (docs/protocol.md, Listing), from the store's list of live objects.
//
// A prefix up to a delimiter is told of by the first live key of each group: as soon as every group of this node has
// shown one, the rest of the prefix is passed over. How many rows one answer may look at is bounded; it then ends early
// and says where.

import ObjectStorage
import QuorumProtocol

extension ProtocolStore {
    /// Rows that one answer looks at: enough to find a key of each group below every prefix that there is room for, of
    /// which a correct server is not to tell few at a time.
    private static var visitedMax: Int { 1 << 16 }
    /// Rows that are read at a time: few behind a prefix that was passed over, more and more as long as they are wanted.
    private static var chunkMin: Int { 8 }
    private static var chunkMax: Int { 256 }

    /// The live objects that a query asks for.
    ///
    /// - Returns: or why they cannot be told: the list of live objects is damaged there.
    package func list(_ query: ListingQuery) -> Result<ListingAnswer, Refusal> {
        var assembly = ListingAssembly(query, groupCount: parameters.configuration.groups(of: node).count) {
            parameters.configuration.group(of: $0.slot).id
        }
        var start: [UInt8]? = query.lowest
        var visitedCount = 0
        var chunk = query.delimiter.isEmpty ? Self.chunkMax : Self.chunkMin
        do {
            while let first = start {
                let rows = try store.liveObjects(from: first, below: query.end, limit: chunk)
                // The end of the range, unless there may be more behind these.
                start = rows.count < chunk ? nil : rows.last.map { $0.key + [0] }
                chunk = min(2 * chunk, Self.chunkMax)
                rows: for row in rows {
                    visitedCount += 1
                    switch assembly.take(try ObjectKey(bytes: row.key), try LiveVersion(decoding: row.head)) {
                    case .full:
                        return .success(assembly.answer(below: row.key))
                    case .taken:
                        guard visitedCount >= Self.visitedMax else { continue }
                        return .success(assembly.answer(below: row.key + [0]))
                    case .takenAllBelow(let next):
                        guard visitedCount < Self.visitedMax else {
                            return .success(assembly.answer(below: next))
                        }
                        start = next
                        chunk = Self.chunkMin
                        break rows
                    }
                }
            }
            return .success(assembly.answer(below: nil))
        } catch {
            _ = lost(.listing(error))
            return .failure(.storageFailed)
        }
    }
}

/// An answer in the making.
private struct ListingAssembly {
    enum Step {
        /// There is no room for this key.
        case full
        case taken
        /// Nothing below this is needed any more.
        case takenAllBelow([UInt8])
    }

    private let query: ListingQuery
    private let groupCount: Int
    private let group: (ObjectKey) -> GroupID
    private var listing = ListingAnswer()
    private var sizeBytes = 0
    /// Whose first key below the last prefix is known.
    private var seen: Set<GroupID> = []

    init(_ query: ListingQuery, groupCount: Int, group: @escaping (ObjectKey) -> GroupID) {
        self.query = query
        self.groupCount = groupCount
        self.group = group
    }

    mutating func take(_ key: ObjectKey, _ live: LiveVersion) -> Step {
        let object = ListedKey(key, live)
        guard let prefix = query.commonPrefix(of: key) else {
            guard makesRoom(for: object, isNew: true) else { return .full }
            listing.objects.append(object)
            return .taken
        }
        let isNew = listing.prefixes.last?.prefix != prefix
        if isNew || !seen.contains(group(key)) {
            guard makesRoom(for: object, isNew: isNew) else { return .full }
            if isNew {
                listing.prefixes.append(ListedPrefix(prefix, witnesses: []))
                seen = []
            }
            seen.insert(group(key))
            listing.prefixes[listing.prefixes.count - 1].witnesses.append(object)
        }
        return seen.count >= groupCount ? .takenAllBelow(ListingQuery.successor(ofPrefix: prefix)) : .taken
    }

    private mutating func makesRoom(for object: ListedKey, isNew: Bool) -> Bool {
        if isNew, listing.objects.count + listing.prefixes.count >= query.limit { return false }
        let size = ListingAnswer.sizeBytes(of: object)
        guard sizeBytes + size <= ListingAnswer.sizeBytesMax else { return false }
        sizeBytes += size
        return true
    }

    func answer(below end: [UInt8]?) -> ListingAnswer {
        var answer = listing
        answer.below = end
        return answer
    }
}
