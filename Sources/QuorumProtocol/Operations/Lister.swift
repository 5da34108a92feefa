// A listing from its first page to its last (docs/protocol.md, Listing), without I/O: who is asked from where on, what
// the answers say together, what has to be read, whom to leave out, and what is shown.
//
// Once a second page was asked for, one more is asked for from the servers while the caller has the last one. What is
// held is bounded: two pages that were not handed out, and of the answers those that are not judged yet.

/// What is shown of a bucket.
package enum ListedEntry: Equatable, Sendable {
    /// A version that exists, with its head.
    case object(ObjectKey, LiveVersion)
    /// Bytes up to the delimiter with which at least one key begins.
    case prefix([UInt8])

    /// The bytes by which entries are in order.
    package var bytes: [UInt8] {
        switch self {
        case .object(let key, _): key.bytes
        case .prefix(let prefix): prefix
        }
    }
}

/// Why a listing goes no further.
package struct ListingFailure: Error {
    /// In which groups too few servers have answered.
    package let groups: [Group]
    /// What the servers have said that were asked last.
    package let outcome: ListingOutcome
    /// Who was asked and said nothing.
    package let silent: [NodeID]
}

/// The machine of one listing.
package struct Lister: Sendable {
    package enum Input: Sendable {
        /// The caller takes another page.
        case wanted
        /// What was answered in a round; `isFinal` when no more is waited for.
        case answered(round: Int, ListingOutcome, isFinal: Bool)
        /// What a read has found: the version's timestamp, a tombstone's too, and its head if it is a value.
        case found(read: Int, Timestamp?, ListedHead?)
    }

    package enum Effect: Sendable {
        /// Ask these servers this, and tell what they answer: once there is enough, and if more is then waited for,
        /// when all have answered or the others have had their time.
        case ask(round: Int, ListingQuery, [NodeID])
        /// Give the other servers of a round the hedge time.
        case waitForMore(round: Int)
        /// Nothing more is needed of a round.
        case leave(round: Int)
        /// Read a key's descriptor, as any read does.
        case read(Int, ObjectKey)
        /// The page that was asked for; whether it is the last.
        case page([ListedEntry], isLast: Bool)
        /// Nothing follows.
        case fail(ListingFailure)
    }

    /// How many objects are read at a time: so many hide each other's round trips, and no server takes long for each.
    package static let readsAtATimeMax = 64
    /// How many pages there are that the caller has not taken.
    private static let pagesAheadMax = 2
    /// Below how many prefixes is listed at a time whose witnesses are gone.
    private static let descentsAtATimeMax = 8

    /// A part of the bucket that is being listed: a page, or what may be left below a prefix whose witnesses are gone.
    private struct Part {
        let query: ListingQuery
        /// The page that it is to help, and for which prefix; nil for a page.
        let below: (page: Int, prefix: [UInt8])?
        /// Nil until the answers are judged.
        var judge: ListingJudge?
        /// What was found of open keys.
        var found: [ObjectKey: LiveVersion] = [:]
        /// Prefixes that are open still; how many of their witnesses are to be read.
        var openPrefixes: [[UInt8]: Int] = [:]
        var livePrefixes: Set<[UInt8]> = []
        /// Reads that are not over.
        var readCount = 0

        var isOver: Bool { judge != nil && readCount == 0 && openPrefixes.isEmpty }
    }

    private struct Read {
        let part: Int
        let key: ObjectKey
        /// The prefix whose witness it is.
        let prefix: [UInt8]?
        let named: [NodeID: Timestamp]
    }

    private enum Start {
        case at([UInt8])
        /// As soon as it is known whether there is anything below a prefix.
        case undecided
        case none
    }

    private let query: ListingQuery
    private let parameters: ClusterParameters
    private let readsAtATime: Int
    private var inventors = Inventors()
    private var parts: [Int: Part] = [:]
    private var partCount = 0
    /// Which part a round is for, and whom it left out.
    private var rounds: [Int: (part: Int, leftOut: Set<NodeID>)] = [:]
    private var roundCount = 0
    private var reads: [Int: Read] = [:]
    private var waitingReads: [Read] = []
    private var firstWaitingRead = 0
    private var startedReadCount = 0
    /// The parts below prefixes, and where others are to be listed.
    private var descents: [Int] = []
    private var waitingDescents: [(query: ListingQuery, below: (page: Int, prefix: [UInt8]))] = []
    /// The pages that were not handed out, in order.
    private var pages: [Int] = []
    /// Where the page after them begins.
    private var next: Start
    private var wantedCount = 0
    private var takenCount = 0
    private var isOver = false
    /// What was shown last.
    private var lastShown: [UInt8]?
    private var misplaced: [UInt8]?

    package init(_ query: ListingQuery, _ parameters: ClusterParameters, readsAtATime: Int = readsAtATimeMax) {
        self.query = query
        self.parameters = parameters
        self.readsAtATime = readsAtATime
        next = .at(query.lowest)
    }

    package mutating func handle(_ input: Input, into effects: inout [Effect]) {
        guard !isOver else { return }
        switch input {
        case .wanted:
            wantedCount += 1
        case .answered(let round, let outcome, let isFinal):
            answered(round, outcome, isFinal: isFinal, &effects)
        case .found(let number, let timestamp, let head):
            guard let read = reads.removeValue(forKey: number) else { return }
            found(read, timestamp, head)
        }
        advance(&effects)
    }

    /// Which of the invariants that hold between any two inputs is broken, or nil: a bug of our own.
    package var brokenInvariant: String? {
        if let misplaced { return "'\(String(decoding: misplaced, as: UTF8.self))' is shown out of order" }
        if reads.count > readsAtATime { return "\(reads.count) objects are read at a time" }
        if pages.count > Self.pagesAheadMax { return "\(pages.count) pages are held" }
        return nil
    }

    // MARK: Asking

    private mutating func begin(
        _ query: ListingQuery, below: (page: Int, prefix: [UInt8])?, _ effects: inout [Effect]
    ) -> Int {
        partCount += 1
        parts[partCount] = Part(query: query, below: below)
        ask(partCount, leavingOut: inventors.leftOut(parameters.quorums.faults), &effects)
        return partCount
    }

    private mutating func ask(_ part: Int, leavingOut: Set<NodeID>, _ effects: inout [Effect]) {
        guard let query = parts[part]?.query else { return }
        roundCount += 1
        rounds[roundCount] = (part, leavingOut)
        let nodes = parameters.configuration.nodes.map(\.id).filter { !leavingOut.contains($0) }
        effects.append(.ask(round: roundCount, query, nodes))
    }

    private mutating func answered(
        _ round: Int, _ outcome: ListingOutcome, isFinal: Bool, _ effects: inout [Effect]
    ) {
        guard let (number, leftOut) = rounds[round], let part = parts[number] else { return }
        let isShort = outcome.answers.values.contains { $0.endsEarly(part.query) }
        do {
            let judge = try ListingJudge(part.query, outcome.answers, parameters)
            // What is open now the others may settle, which costs less than a read.
            guard isFinal || judge.isSettled && !isShort else {
                effects.append(.waitForMore(round: round))
                return
            }
            if !isFinal { effects.append(.leave(round: round)) }
            rounds[round] = nil
            for (node, answer) in outcome.answers where answer.endsEarly(part.query) {
                inventors.addEarlyEnd(of: node)
            }
            judged(number, judge, &effects)
        } catch {
            guard isFinal else { return }
            rounds[round] = nil
            if !leftOut.isEmpty, inventors.forgive() {
                ask(number, leavingOut: [], &effects)
                return
            }
            isOver = true
            let silent = parameters.configuration.nodes.map(\.id).filter {
                !leftOut.contains($0) && !outcome.hasHeard(of: $0)
            }
            effects.append(.fail(ListingFailure(groups: error.groups, outcome: outcome, silent: silent)))
        }
    }

    private mutating func judged(_ number: Int, _ judge: ListingJudge, _ effects: inout [Effect]) {
        parts[number]?.judge = judge
        for (key, verdict) in judge.keys {
            guard case .open(let named) = verdict, !isPlanted(.openLeftOut) else { continue }
            if isPlanted(.openBelieved), let timestamp = named.values.max() {
                let head = ListedHead(lengthBytes: 0, etag: "", modifiedMilliseconds: 0)
                parts[number]?.found[key] = LiveVersion(timestamp: timestamp, isSound: true, head: head)
                continue
            }
            queue(Read(part: number, key: key, prefix: nil, named: named))
        }
        for (prefix, verdict) in judge.prefixes {
            switch verdict {
            case .live:
                parts[number]?.livePrefixes.insert(prefix)
            case .open(let witnesses):
                parts[number]?.openPrefixes[prefix] = witnesses.count
                for (key, named) in witnesses.sorted(by: { $0.key < $1.key }) {
                    queue(Read(part: number, key: key, prefix: prefix, named: named))
                }
            }
        }
    }

    // MARK: Reading

    private mutating func queue(_ read: Read) {
        parts[read.part]?.readCount += 1
        waitingReads.append(read)
    }

    private mutating func startReads(_ effects: inout [Effect]) {
        while firstWaitingRead < waitingReads.count, reads.count < readsAtATime {
            let read = waitingReads[firstWaitingRead]
            firstWaitingRead += 1
            if let prefix = read.prefix, parts[read.part]?.livePrefixes.contains(prefix) ?? false {
                parts[read.part]?.readCount -= 1
                continue
            }
            startedReadCount += 1
            reads[startedReadCount] = read
            effects.append(.read(startedReadCount, read.key))
        }
        if firstWaitingRead == waitingReads.count, firstWaitingRead > 0 {
            waitingReads.removeAll(keepingCapacity: true)
            firstWaitingRead = 0
        }
    }

    private mutating func found(_ read: Read, _ timestamp: Timestamp?, _ head: ListedHead?) {
        inventors.add(read.named, found: timestamp)
        parts[read.part]?.readCount -= 1
        let live = timestamp.flatMap { found in
            head.map { LiveVersion(timestamp: found, isSound: true, head: $0) }
        }
        guard let prefix = read.prefix else {
            if let live { parts[read.part]?.found[read.key] = live }
            return
        }
        guard let left = parts[read.part]?.openPrefixes[prefix] else { return }
        if live != nil {
            decide(prefix, of: read.part, isLive: true)
        } else if left > 1 {
            parts[read.part]?.openPrefixes[prefix] = left - 1
        } else if isPlanted(.goneWitnessEnough) {
            decide(prefix, of: read.part, isLive: false)
        } else if let first = ListingQuery(prefix: prefix, limit: 1) {
            parts[read.part]?.openPrefixes[prefix] = 0
            waitingDescents.append((first, (read.part, prefix)))
        }
    }

    private mutating func decide(_ prefix: [UInt8], of part: Int, isLive: Bool) {
        parts[part]?.openPrefixes[prefix] = nil
        if isLive { parts[part]?.livePrefixes.insert(prefix) }
    }

    // MARK: Going on

    private mutating func advance(_ effects: inout [Effect]) {
        while true {
            startReads(&effects)
            descend(&effects)
            handOut(&effects)
            guard !isOver, beginPage(&effects) else { return }
        }
    }

    /// Looks at what was found below prefixes, and goes on there if that was nothing and more is left.
    private mutating func descend(_ effects: inout [Effect]) {
        for number in descents {
            guard let part = parts[number], part.isOver, let (page, prefix) = part.below else { continue }
            parts[number] = nil
            if !entries(of: part).isEmpty {
                decide(prefix, of: page, isLive: true)
            } else if case .at(let rest) = end(of: part), let query = ListingQuery(prefix: prefix, start: rest) {
                // What was first is gone, and so may be much that a server behind still names.
                waitingDescents.append((query, (page, prefix)))
            } else {
                decide(prefix, of: page, isLive: false)
            }
        }
        descents.removeAll { parts[$0] == nil }
        while descents.count < Self.descentsAtATimeMax, !waitingDescents.isEmpty {
            let (query, below) = waitingDescents.removeFirst()
            descents.append(begin(query, below: below, &effects))
        }
    }

    /// Hands out what was asked for, as far as it is there.
    private mutating func handOut(_ effects: inout [Effect]) {
        while takenCount < wantedCount, let first = pages.first, let part = parts[first], part.isOver {
            learnNext()
            pages.removeFirst()
            parts[first] = nil
            takenCount += 1
            let shown = entries(of: part)
            noteOrder(shown)
            var isLast = false
            if pages.isEmpty, case .none = next { isLast = true }
            effects.append(.page(shown, isLast: isLast))
            if isLast { isOver = true }
        }
    }

    /// Begins the next page if it is wanted, or likely to be; whether it was.
    private mutating func beginPage(_ effects: inout [Effect]) -> Bool {
        learnNext()
        guard case .at(let start) = next else { return false }
        let isWanted = wantedCount - takenCount > pages.count
        let isReadingOn = wantedCount > 1 && pages.count < Self.pagesAheadMax
        guard isWanted || isReadingOn, pages.count < Self.pagesAheadMax else { return false }
        pages.append(begin(query.from(start), below: nil, &effects))
        next = .undecided
        return true
    }

    /// Where the next page begins is known when the last one is judged, unless that ends within a prefix that is open.
    private mutating func learnNext() {
        guard case .undecided = next, let last = pages.last, let part = parts[last], part.judge != nil else { return }
        next = end(of: part)
    }

    private func end(of part: Part) -> Start {
        guard let judge = part.judge, let reached = judge.below else { return .none }
        for (prefix, _) in judge.prefixes {
            let behind = ListingQuery.successor(ofPrefix: prefix)
            guard reached.lexicographicallyPrecedes(behind), prefix.lexicographicallyPrecedes(reached) else {
                continue
            }
            if part.openPrefixes[prefix] != nil { return .undecided }
            // All below it is told of by its entry.
            if part.livePrefixes.contains(prefix), !isPlanted(.prefixShownAgain) { return .at(behind) }
        }
        return .at(reached)
    }

    private func entries(of part: Part) -> [ListedEntry] {
        guard let judge = part.judge else { return [] }
        var entries: [ListedEntry] = []
        entries.reserveCapacity(judge.keys.count + part.livePrefixes.count)
        var prefixes = judge.prefixes.map(\.prefix).filter { part.livePrefixes.contains($0) }[...]
        for (key, verdict) in judge.keys {
            let live: LiveVersion
            switch verdict {
            case .settled(let settled): live = settled
            case .open:
                guard let found = part.found[key] else { continue }
                live = found
            }
            while let prefix = prefixes.first, prefix.lexicographicallyPrecedes(key.bytes) {
                entries.append(.prefix(prefix))
                prefixes.removeFirst()
            }
            entries.append(.object(key, live))
        }
        return entries + prefixes.map { .prefix($0) }
    }

    private mutating func noteOrder(_ shown: [ListedEntry]) {
        guard let first = shown.first else { return }
        if let lastShown, !lastShown.lexicographicallyPrecedes(first.bytes) { misplaced = first.bytes }
        lastShown = shown.last?.bytes
    }
}

/// Which servers have named versions above all that was then found, or told of little at a time.
private struct Inventors {
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
        let worst = counts.filter { $0.value > Self.inventionsMax }
            .sorted { ($1.value, $0.key) < ($0.value, $1.key) }
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
