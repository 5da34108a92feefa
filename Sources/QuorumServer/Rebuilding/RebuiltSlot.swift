// What others have committed in one slot, taken over by a server that has lost its memory: by certificates, which are
// restated where they do not count.

import NIOCore
import ProtocolStorage
import QuorumOperations
import QuorumProtocol

struct RebuiltSlot {
    /// A server that lists more is not listened to: no slot has so many objects. Of bytes of their names.
    private static let namesSizeBytesMax = 32 << 20
    /// What an object takes beside its name.
    private static let objectSizeBytes = 64
    /// How long the slower servers are waited for once q have told all.
    private static let grace = Duration.seconds(2)
    private static let objectsAtOnce = 16
    /// The same while clients ask for something, and how long it then rests beside the time that these took.
    private static let busyObjectsAtOnce = 2
    private static let busyRest = 3
    /// How many versions a server may name of a slot, and not prove.
    private static let unprovenMax = 4

    struct Outcome {
        let slot: Slot
        /// Who has listed the slot after its promise, and has proven what it named.
        var listed: Set<NodeID> = []
        /// Those of them of whose versions each is committed here, or outranked.
        var settled: Set<NodeID> = []
        var openCount = 0
    }

    private let slot: Slot
    private let servers: Set<NodeID>
    private let keysVersion: UInt64
    private let reads: PeerReads
    private let host: ReplicaHost
    private let store: ProtocolStore
    private let restates: Bool
    private let isBusy: @Sendable () -> Bool

    /// - Parameters:
    ///   - keysVersion: the list of keys by which a server must go so that it counts this one's earlier lives no more.
    ///   - restates: whether what does not count is restated; else it stays open.
    ///   - isBusy: whether clients ask for something meanwhile: they come first.
    init(
        _ slot: Slot, asking servers: Set<NodeID>, keysVersion: UInt64, restates: Bool, reads: PeerReads,
        host: ReplicaHost, store: ProtocolStore, isBusy: @escaping @Sendable () -> Bool
    ) {
        self.store = store
        self.isBusy = isBusy
        self.restates = restates
        self.slot = slot
        self.servers = servers
        self.keysVersion = keysVersion
        self.reads = reads
        self.host = host
    }

    /// Asks, and commits what is told and proven.
    func adopt() async -> Outcome {
        var outcome = Outcome(slot: slot)
        let told = await tellings()
        outcome.listed = Set(told.keys)
        var named: [ObjectKey: [Timestamp: [NodeID]]] = [:]
        for (server, objects) in told {
            for object in objects { named[object.key, default: [:]][object.timestamp, default: []].append(server) }
        }
        outcome.settled = outcome.listed
        var unproven: [NodeID: Int] = [:]
        let open = await open(named)
        let keys = open.keys.sorted()
        var start = 0
        while start < keys.count {
            guard !Task.isCancelled else { return Outcome(slot: slot) }
            let (isBusy, began) = (isBusy(), ContinuousClock.now)
            let some = keys[start..<min(start + (isBusy ? Self.busyObjectsAtOnce : Self.objectsAtOnce), keys.count)]
            start = some.endIndex
            let ignored = Set(unproven.filter { $0.value >= Self.unprovenMax }.keys)
            let found = await withTaskGroup(of: Found.self) { group in
                for key in some {
                    let versions = (open[key] ?? [:]).mapValues { $0.filter { !ignored.contains($0) } }
                    group.addTask { await self.adopt(key, versions) }
                }
                return await group.reduce(into: [Found]()) { $0.append($1) }
            }
            for found in found {
                outcome.openCount += found.open.isEmpty ? 0 : 1
                outcome.settled.subtract(found.open)
                for server in found.unproven { unproven[server, default: 0] += 1 }
            }
            if isBusy { try? await Task.sleep(for: (.now - began) * Self.busyRest) }
        }
        outcome.listed.subtract(unproven.keys)
        outcome.settled.subtract(unproven.keys)
        return outcome
    }

    /// Those that are neither committed here nor outranked. By the next pass that is hardly any.
    private func open(_ named: [ObjectKey: [Timestamp: [NodeID]]]) async -> [ObjectKey: [Timestamp: [NodeID]]] {
        await host.inBackground { host in
            named.reduce(into: [:]) { open, object in
                let versions = object.value.filter { timestamp, _ in
                    host.hasTaken(CommittedObject(key: object.key, timestamp: timestamp)) != true
                }
                if !versions.isEmpty { open[object.key] = versions }
            }
        }
    }

    /// What the servers tell: of all of them, or of q and whoever else has told all a little later.
    private func tellings() async -> [NodeID: [CommittedObject]] {
        await withTaskGroup(of: (NodeID, [CommittedObject]?)?.self) { group in
            var told: [NodeID: [CommittedObject]] = [:]
            var silent = servers
            var isWaiting = false
            for server in servers { group.addTask { (server, await self.list(of: server)) } }
            for await telling in group {
                guard let telling else { break }
                told[telling.0] = telling.1
                silent.remove(telling.0)
                // Nobody is left to be waited for.
                if silent.isEmpty { break }
                guard told.count >= reads.context.parameters.quorums.quorum, !isWaiting else { continue }
                isWaiting = true
                group.addTask {
                    try? await Task.sleep(for: Self.grace)
                    return nil
                }
            }
            group.cancelAll()
            return told
        }
    }

    /// All that a server has committed in the slot; nil when it does not say, or has not promised.
    private func list(of server: NodeID) async -> [CommittedObject]? {
        var all: [CommittedObject] = []
        var sizeBytes = 0
        while !Task.isCancelled {
            let query = SlotQuery.objects(slot, after: all.last?.key)
            guard case .slots(let answer)? = await PeerQuestion.ask(query, of: server, reads.context),
                answer.answers(query), case .objects(let objects, let hasMore, let version) = answer,
                version >= keysVersion
            else { return nil }
            sizeBytes += objects.reduce(0) { $0 + $1.key.bytes.count + Self.objectSizeBytes }
            guard sizeBytes <= Self.namesSizeBytesMax else { return nil }
            all += objects
            guard hasMore else { return all }
        }
        return nil
    }

    /// What came of one object.
    private struct Found {
        /// Who names a version that is neither committed here nor outranked.
        var open: Set<NodeID> = []
        /// Who did not prove what it names.
        var unproven: Set<NodeID> = []
        /// Versions that have yet to be looked at, the claims of those who proved something among them: where versions
        /// are verified later, what is listed may turn out to be poisonous, and then what is below it counts.
        var versions: [Timestamp: Set<NodeID>]
    }

    /// Commits what is proven, from the highest version down to one that is sound.
    ///
    /// - Parameter versions: open ones.
    private func adopt(_ key: ObjectKey, _ versions: [Timestamp: [NodeID]]) async -> Found {
        var found = Found(versions: versions.mapValues(Set.init))
        var isFirst = true
        while let (timestamp, namers) = found.versions.max(by: { $0.key < $1.key }) {
            found.versions[timestamp] = nil
            let object = CommittedObject(key: key, timestamp: timestamp)
            defer { isFirst = false }
            // What comes of the first one may settle the others.
            switch isFirst ? false : await host.inBackground({ $0.hasTaken(object) }) {
            case true?: continue
            case nil: found.open.formUnion(namers)
            case false?:
                if !(await commit(object, named: namers, &found)) { found.open.formUnion(namers) }
            }
        }
        return found
    }

    private func commit(_ object: CommittedObject, named namers: Set<NodeID>, _ found: inout Found) async -> Bool {
        // One of f + 1 is correct; where versions are verified later, each is asked what else it has.
        let isEnough = verifiesLater ? namers.count : reads.context.parameters.quorums.vouchers
        var isCommitted = false
        // Another one first in each slot: not all work is to be those with the lowest numbers'.
        let turn = Int(slot.rawValue) % max(1, namers.count)
        let inTurn = namers.sorted()
        for server in (inTurn[turn...] + inTurn[..<turn]).prefix(isEnough) {
            let request = Request.certificate(object.key, object.timestamp)
            guard let answer = await PeerQuestion.ask(request, of: server, reads.context) else { continue }
            guard case .reply(.certificate(let claim, let shown?)) = answer, shown.timestamp >= object.timestamp,
                let certificate = check(shown, object.key)
            else {
                found.unproven.insert(server)
                continue
            }
            if verifiesLater { note(claim, of: server, below: object.timestamp, &found) }
            guard !isCommitted else { continue }
            if reads.context.verifier.fences.fencedServer(in: shown) != nil {
                // It stays open for now. Another one may show a certificate that counts, which the next pass will see.
                guard restates else { if verifiesLater { continue } else { return false } }
                let fenced = FencedVersion(object.key, shown, reads: reads, host: host, store: store)
                isCommitted = await fenced.restate()
            } else if case .success = await host.learn(object.key, certificate) {
                isCommitted = true
            }
            if isCommitted, !verifiesLater { return true }
        }
        return isCommitted
    }

    private var verifiesLater: Bool { reads.context.parameters.mode.verifiesLater }

    /// What a server has committed below the version that it has proven.
    private func note(_ claim: CommittedClaim, of server: NodeID, below timestamp: Timestamp, _ found: inout Found) {
        for named in [claim.verified].compactMap({ $0 }) + claim.unverified.map(\.timestamp) where named < timestamp {
            found.versions[named, default: []].insert(server)
        }
    }

    private func check(_ certificate: Certificate, _ key: ObjectKey) -> VerifiedCertificate? {
        try? reads.context.verifier.verify(certificate, key: key)
    }
}
