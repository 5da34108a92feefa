// Listings that are driven without I/O, over servers that answer at once.

import Fingerprint
import QuorumProtocol
import Testing

/// Servers that answer at once, and what the objects really are.
struct ListedCluster {
    let parameters: ClusterParameters
    var stores: [NodeID: [ObjectKey: LiveVersion]] = [:]
    /// What a read finds.
    var truth: [ObjectKey: LiveVersion] = [:]
    var silent: Set<NodeID> = []
    var lie: (NodeID, ListingQuery, ListingAnswer) -> ListingAnswer = { $2 }

    init(faults: Int = 1, data: Int = 2, mode: VerificationMode = .fingerprint) {
        self.init(TestGroup.Shape(faults: faults, dataFragmentCount: data).group(mode))
    }

    init(_ group: TestGroup) { parameters = group.parameters }

    var nodes: [NodeID] { parameters.configuration.nodes.map(\.id) }

    static func live(_ key: ObjectKey, _ counter: UInt64 = 1) -> LiveVersion {
        LiveVersion(
            timestamp: Timestamp(counter: counter, writer: .alice, digest: Digest256.sha256(key.bytes)), isSound: true,
            head: ListedHead(lengthBytes: counter, etag: "", modifiedMilliseconds: 0))
    }

    /// Writes objects to all servers but some.
    mutating func put(_ names: [String], counter: UInt64 = 1, except: Set<NodeID> = []) {
        for name in names {
            let key = ObjectKey.of("photos/" + name)
            truth[key] = Self.live(key, counter)
            for node in nodes where !except.contains(node) { stores[node, default: [:]][key] = Self.live(key, counter) }
        }
    }

    func answer(_ query: ListingQuery, of node: NodeID) -> ListingAnswer {
        var assembly = ListingAssembly(query, node: node, parameters)
        var lowest = query.lowest
        for (key, live) in (stores[node] ?? [:]).sorted(by: { $0.key < $1.key })
        where key.bytes.starts(with: query.prefix) && !key.bytes.lexicographicallyPrecedes(lowest) {
            let step = key.bytes.withUnsafeBytes { key in
                live.bytes.withUnsafeBytes { row in try? assembly.take(key: key, live: row) }
            }
            if case .skip(let start)? = step { lowest = start }
            if case .end? = step { break }
        }
        return lie(node, query, assembly.answer)
    }
}

/// A listing that is driven to its end.
struct DrivenListing {
    var lister: Lister
    let cluster: ListedCluster
    var pages: [[ListedEntry]] = []
    var failure: ListingFailure?
    var isOver = false
    /// Who was asked in each round, and the rounds in which more was waited for.
    var asked: [[NodeID]] = []
    var queries: [ListingQuery] = []
    var waited: [Int] = []
    var reads: [ObjectKey] = []
    private var collectors: [Int: ListingCollector] = [:]
    private var openReads: [(Int, ObjectKey)] = []
    private(set) var openReadsMax = 0

    private let transcript: Transcript?

    init(_ query: ListingQuery, _ cluster: ListedCluster, readsAtATime: Int = 64, transcript: Transcript? = nil) {
        self.transcript = transcript
        lister = Lister(query, cluster.parameters, readsAtATime: readsAtATime)
        self.cluster = cluster
    }

    /// Takes pages to the end.
    mutating func run() {
        while !isOver, failure == nil { take() }
    }

    /// Takes a page.
    mutating func take() {
        let before = pages.count
        submit(.wanted)
        while pages.count == before, failure == nil {
            guard !openReads.isEmpty else {
                Issue.record("nothing is under way and there is no page")
                isOver = true
                return
            }
            finishRead()
        }
    }

    mutating func finishRead() {
        let (number, key) = openReads.removeFirst()
        let found = cluster.truth[key]
        submit(.found(read: number, found?.timestamp, found?.head))
    }

    private mutating func submit(_ input: Lister.Input) {
        var effects: [Lister.Effect] = []
        lister.handle(input, into: &effects)
        #expect(lister.brokenInvariant == nil)
        for effect in effects { perform(effect) }
    }

    private mutating func perform(_ effect: Lister.Effect) {
        switch effect {
        case .ask(let round, let query, let nodes):
            transcript?.client("lister", "asks \(TranscriptNames.names(nodes)) from '\(Self.text(query.lowest))' on")
            asked.append(nodes)
            queries.append(query)
            var collector = ListingCollector(query, nodes: nodes, cluster.parameters)
            collectors[round] = collector
            for node in nodes where !cluster.silent.contains(node) {
                guard collectors[round] != nil else { return }
                let answer = cluster.answer(query, of: node)
                transcript?.client(TranscriptNames.name(node), "tells \(Self.text(answer))")
                let step = collector.take(answer, from: node)
                collectors[round] = collector
                if step == .enough { submit(.answered(round: round, collector.outcome, isFinal: false)) }
            }
            // The hedge time, or the deadline, is over.
            if collectors.removeValue(forKey: round) != nil {
                submit(.answered(round: round, collector.outcome, isFinal: true))
            }
        case .waitForMore(let round):
            waited.append(round)
        case .leave(let round):
            collectors[round] = nil
        case .read(let number, let key):
            transcript?.client(
                "lister",
                "reads \(key), which is open: "
                    + (cluster.truth[key].map { "version \($0.timestamp.counter)" } ?? "deleted, or never was"))
            reads.append(key)
            openReads.append((number, key))
            openReadsMax = max(openReadsMax, openReads.count)
        case .page(let entries, let isLast):
            transcript?.client("lister", "shows " + entries.map(Self.text).joined(separator: ", "))
            pages.append(entries)
            isOver = isLast
        case .fail(let failure):
            self.failure = failure
        }
    }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    private static func text(_ entry: ListedEntry) -> String {
        switch entry {
        case .object(let key, let live): text(key, live)
        case .prefix(let prefix): text(prefix)
        }
    }

    private static func text(_ key: ObjectKey, _ live: LiveVersion) -> String {
        let tag = live.head.map { $0.etag.isEmpty ? "" : ", tag \($0.etag)" } ?? ""
        return "\(key) \(live.timestamp.counter) with \(live.head?.lengthBytes ?? 0) bytes\(tag)"
    }

    private static func text(_ answer: ListingAnswer) -> String {
        let items = answer.objects.map { text($0.key, $0.live) } + answer.prefixes.map { text($0.prefix) }
        let what = items.isEmpty ? "of nothing" : items.joined(separator: ", ")
        return what + (answer.below.map { ", and that this is all below '\(text($0))'" } ?? ", and that this is all")
    }

    var shown: [String] {
        pages.joined().map { String(decoding: $0.bytes.dropFirst("photos/".utf8.count), as: UTF8.self) }
    }
}
