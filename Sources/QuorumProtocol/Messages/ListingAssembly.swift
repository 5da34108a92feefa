// A server's answer to LIST in the making (docs/protocol.md, Listing), without I/O: given the rows of the list of live
// objects one after the other, it says which one is to come next.
//
// A prefix up to a delimiter is told of by the first live key of each group: as soon as every group of this node has
// shown one, the rest of the prefix is passed over. How many rows one answer may look at is bounded; it then ends early
// and says where.

/// Makes an answer of rows, which pass into it as they are.
package struct ListingAssembly {
    /// Rows that one answer looks at: enough to find a key of each group below every prefix that there is room for, of
    /// which a correct server is not to tell few at a time.
    private static let visitedMax = 1 << 16

    package enum Step {
        /// The next row is wanted.
        case next
        /// The first row from these bytes on is.
        case skip(to: [UInt8])
        /// The answer is complete.
        case end
    }

    private let query: ListingQuery
    private let configuration: Configuration
    private let groupCount: Int
    /// What there is of it.
    package private(set) var answer = ListingAnswer()
    private var check = ListedKeyCheck()
    private var sizeBytes = 0
    private var visitedCount = 0
    /// Whose first key below the last prefix is known.
    private var seen: Set<GroupID> = []

    /// - Parameter node: whose answer it is.
    package init(_ query: ListingQuery, node: NodeID, _ parameters: ClusterParameters) {
        self.query = query
        configuration = parameters.configuration
        groupCount = configuration.groups(of: node).count
    }

    /// Takes the next row, which is not below `query.lowest` and is below `query.end`: an object's key and the bytes of
    /// its `LiveVersion`.
    ///
    /// - Throws: when the row is none; the disk may have changed it.
    package mutating func take(
        key: UnsafeRawBufferPointer, live: UnsafeRawBufferPointer
    ) throws(MalformedEncoding) -> Step {
        try check.check(key: key, live: live)
        visitedCount += 1
        guard let prefixSize = query.commonPrefixSize(of: key) else {
            guard makesRoom(for: key, live, isNew: true) else { return end(below: Array(key)) }
            answer.listed.append(key: key, live: live)
            return next(below: Array(key))
        }
        let object = ListedKey(ObjectKey(valid: Array(key)), try LiveVersion(decoding: Array(live)))
        let prefix = Array(key[..<prefixSize])
        let group = configuration.group(of: object.key.slot).id
        let isNew = answer.prefixes.last?.prefix != prefix
        if isNew || !seen.contains(group) {
            guard makesRoom(for: key, live, isNew: isNew) else { return end(below: Array(key)) }
            if isNew {
                answer.prefixes.append(ListedPrefix(prefix, witnesses: []))
                seen = []
            }
            seen.insert(group)
            answer.prefixes[answer.prefixes.count - 1].witnesses.append(object)
        }
        guard seen.count >= groupCount else { return next(below: object.key.bytes) }
        let rest = ListingQuery.successor(ofPrefix: prefix)
        return visitedCount < Self.visitedMax ? .skip(to: rest) : end(below: rest)
    }

    private mutating func next(below key: @autoclosure () -> [UInt8]) -> Step {
        visitedCount < Self.visitedMax ? .next : end(below: key() + [0])
    }

    private mutating func end(below end: [UInt8]) -> Step {
        answer.below = end
        return .end
    }

    private mutating func makesRoom(
        for key: UnsafeRawBufferPointer, _ live: UnsafeRawBufferPointer, isNew: Bool
    ) -> Bool {
        if isNew, answer.itemCount >= query.limit { return false }
        let etagSize = max(0, live.count - ListedKeyCheck.liveSizeBytesWithoutEtag)
        let size = ListingAnswer.sizeBytes(ofKey: key.count, etag: etagSize)
        guard sizeBytes + size <= ListingAnswer.sizeBytesMax else { return false }
        sizeBytes += size
        return true
    }
}
