// Every client policy does what its name says, to honest servers, which give what they must and refuse the rest.

import ErasureCode
import Fingerprint
import QuorumFaults
import QuorumProtocol
import Testing

@Suite("A Byzantine client")
struct ClientFaultTests {
    private func run(_ kind: ClientFaultKind, seed: UInt64 = 1, ticks: Int = 40) -> FaultyCluster {
        let cluster = FaultyCluster(kind, seed: seed)
        cluster.run(ticks: ticks)
        return cluster
    }

    private func isStored(_ replies: [Reply]) -> Bool {
        replies.contains { if case .prepared = $0 { true } else { false } }
    }

    /// Whether the commit was taken by somebody who had the version's descriptor.
    private func isCommitted(_ replies: [Reply], _ commit: Commit) -> Bool {
        replies == [.committed(commit.certificate.timestamp, needsDescriptor: false)]
    }

    private func isRefused(_ replies: [Reply]) -> Bool {
        replies.contains { if case .refused = $0 { true } else { false } }
    }

    @Test("is the same under the same seed, and another under another", arguments: ClientFaultKind.allCases)
    func isDeterministic(kind: ClientFaultKind) {
        func transcript(_ seed: UInt64) -> [String] {
            run(kind, seed: seed).exchanges.map { server, request, replies in
                let what =
                    switch request {
                    case .readTimestamp(let key): "read-timestamp \(key)"
                    case .read(let read): "read \(read)"
                    case .prepare(let prepare):
                        "prepare \(prepare.key) \(prepare.timestamp) \(prepare.fragments.map(\.array))"
                    case .commit(let commit): "commit \(commit.key) \(commit.certificate.timestamp)"
                    case .certificate(let key, let timestamp): "fetch-certificate \(key) \(timestamp)"
                    case .describe(let describe):
                        "describe \(describe.key) \(describe.timestamp) \(describe.descriptor.digest)"
                    case .stage(let stage): "stage \(stage.key) \(stage.attempt) \(stage.stripe)"
                    case .discard(let discard): "discard \(discard.key) \(discard.upload)"
                    case .listHeld(let list): "list \(list.key) \(list.kind)"
                    case .restate(let restate): "restate \(restate.key) \(restate.certificate.timestamp)"
                    case .fetch(let fetch): "fetch \(fetch.key) \(fetch.attempt) \(String(describing: fetch.stripe))"
                    }
                return "\(server) \(what) \(replies.map(ServerFaultTests.shape))"
            }
        }
        let once = transcript(3)
        #expect(once == transcript(3))
        #expect(once != transcript(4))
        #expect(once.count > 20)
    }

    @Test(
        "rests in the end, and names every value that a server holds of it, each once",
        arguments: ClientFaultKind.allCases)
    func attempts(kind: ClientFaultKind) {
        for seed in 1...3 as ClosedRange<UInt64> {
            let cluster = run(kind, seed: seed, ticks: 120)
            let exchangeCount = cluster.exchanges.count
            let attempts = cluster.context.attempts
            let values = attempts.compactMap(\.value)
            #expect(Set(values).count == values.count && Set(attempts).count == attempts.count)
            for (_, prepare, replies) in cluster.prepares where isStored(replies) {
                #expect(
                    attempts.contains { $0.timestamp == prepare.timestamp && $0.key == prepare.key }
                        || prepare.timestamp.writer == .alice, "seed \(seed): \(prepare.timestamp)")
            }
            #expect(cluster.prepares.count > 0 && exchangeCount < 20_000)
            let last = cluster.exchanges.count
            #expect(last == exchangeCount)
        }
    }

    // MARK: Versions

    @Test("that is inconsistent is caught by the servers that get other fragments than the cross-checksum's")
    func inconsistentFragments() {
        let cluster = run(.inconsistentFragments)
        var goodCount = 0
        var badCount = 0
        for (server, prepare, replies) in cluster.prepares {
            let stripe = prepare.descriptor.descriptor.stripes[0]
            let index = FragmentIndex(cluster.group.position(server, prepare.key).rawValue)
            let isGood = (try? stripe.verify(prepare.fragments[0], at: index)) != nil
            if isGood { goodCount += 1 } else { badCount += 1 }
            #expect(isGood == isStored(replies))
        }
        #expect(goodCount > 0 && badCount > 0)
        #expect(!cluster.commits.isEmpty, "a version finds its quorum all the same")
    }

    @Test("of stripes that are not the same everywhere is stored by those that have just what it names, and kept so")
    func otherStripes() {
        let cluster = run(.otherStripes)
        var reasons: Set<RefusalKind> = []
        for (_, request, replies) in cluster.exchanges {
            guard case .refused(let refusal)? = replies.first, let kind = refusal.kind else { continue }
            switch request {
            case .prepare: #expect(kind == .stripesMissing)
            case .stage: reasons.insert(kind)
            default: break
            }
        }
        #expect(cluster.prepares.contains { !isStored($0.replies) })
        #expect(cluster.prepares.contains { isStored($0.replies) })
        #expect(!cluster.commits.isEmpty, "a version finds its quorum all the same")
        // What a version holds is not replaced, before its COMMIT and after.
        #expect(reasons == [.stripeHeld, .uploadEnded])
    }

    @Test("that an earlier life of the cluster signed, in another mode, is taken by nobody")
    func earlierLife() {
        let cluster = run(.earlierLife)
        #expect(!cluster.commits.isEmpty)
        let invalid = cluster.refusals.filter {
            if case .invalidCertificate(.invalidSignature) = $0 { true } else { false }
        }
        #expect(invalid.count >= cluster.commits.count)
    }

    @Test("that poisons is caught by the one server whose garbage has the right hash")
    func poisoned() {
        let cluster = run(.poisonedCrossChecksums)
        let mismatches = cluster.refusals.filter {
            if case .invalidFragment(_, .fingerprintMismatch) = $0 { true } else { false }
        }
        let versionCount = Set(cluster.prepares.map(\.prepare.timestamp)).count
        #expect(versionCount > 1 && mismatches.count == versionCount)
        #expect(!cluster.commits.isEmpty)
    }

    @Test("that poisons with a server's help has its garbage signed, certified and served")
    func colludingGarbage() {
        let liar = NodeID(2)
        let cluster = FaultyCluster(.poisonedCrossChecksums, liars: [liar: .colludingGarbage])
        cluster.run()
        let group = cluster.group
        var servedCount = 0
        for (server, prepare, replies) in cluster.prepares {
            #expect(isStored(replies), "\(server)")
            guard server == liar, case .prepared(let signed, _)? = replies.first else { continue }
            #expect(group.isValid(signed, prepare.key, prepare.timestamp))
            #expect(!cluster.hosts[Int(liar.rawValue)].holds(prepare.timestamp))
            let read = Request.read(Read(key: prepare.key, version: prepare.timestamp, portion: .fragments))
            guard case .version(_, let parts?)? = cluster.hosts[Int(liar.rawValue)].send(read).first,
                let fragments = parts.fragments
            else {
                Issue.record("the garbage is not served")
                continue
            }
            let stripe = parts.descriptor.descriptor.stripes[0]
            let index = FragmentIndex(group.position(liar, prepare.key).rawValue)
            #expect(throws: FragmentVerificationError.fingerprintMismatch(index)) {
                try stripe.verify(fragments[0], at: index)
            }
            servedCount += 1
        }
        #expect(servedCount > 1)
        #expect(cluster.commits.contains { isCommitted($0.replies, $0.commit) })
    }

    @Test("that invents fingerprints or writes in another's name is signed by nobody, whatever it claims then")
    func signedByNobody() {
        for kind in [ClientFaultKind.arbitraryFingerprints, .foreignIdentity] {
            for liars in [[:], [NodeID(1): ServerFaultKind.signsWithoutStoring]] {
                let cluster = FaultyCluster(kind, liars: liars)
                cluster.run()
                let others = cluster.prepares.filter { liars[$0.server] == nil }
                #expect(others.count > 4 && others.allSatisfy { isRefused($0.replies) })
                #expect(cluster.context.attempts.isEmpty)
                for (server, _, replies) in cluster.commits where liars[server] == nil {
                    #expect(isRefused(replies))
                }
                for host in cluster.hosts where liars[host.server] == nil {
                    #expect(host.record(.photo).committed?.timestamp.counter == 1)
                }
                if kind == .foreignIdentity {
                    #expect(others.allSatisfy { $0.prepare.timestamp.writer != .mallory })
                }
            }
        }
    }

    @Test("that splits descriptors sends several versions of one counter, each server one of them")
    func splitDescriptors() {
        let cluster = run(.splitDescriptors)
        let byCounter = Dictionary(grouping: cluster.prepares) { "\($0.prepare.key) \($0.prepare.timestamp.counter)" }
        #expect(byCounter.values.contains { Set($0.map(\.prepare.timestamp.digest)).count > 1 })
        #expect(cluster.prepares.allSatisfy { isStored($0.replies) })
        #expect(cluster.commits.contains { isRefused($0.replies) }, "statements of different versions certify none")
    }

    @Test("that breaks requests meets every refusal of their shape")
    func malformed() {
        let refusals = (1...4 as ClosedRange<UInt64>).flatMap { run(.malformedRequests, seed: $0).refusals }
        for expected in [Refusal.digestMismatch, .foreignDescriptor, .tooManyStripes(got: 2, limit: 1)] {
            #expect(refusals.contains(expected), "\(expected)")
        }
        for count in [0, 2, 300] {
            #expect(refusals.contains(.wrongFragmentCount(got: count, expected: 1)), "\(count)")
        }
        #expect(refusals.contains(.wrongFragmentCount(got: 1, expected: 0)))
        #expect(
            refusals.contains(.invalidCertificate(.wrongStatementCount(have: 0, need: 3))))
    }

    // MARK: Commits

    @Test("that prepares partially reaches some servers and commits nothing")
    func partialPrepare() {
        let cluster = run(.partialPrepare)
        let reached = Dictionary(grouping: cluster.prepares, by: \.prepare.timestamp).mapValues(\.count)
        #expect(reached.count == 6 && reached.values.allSatisfy { $0 < 4 })
        #expect(cluster.commits.isEmpty)
    }

    @Test("that commits partially does so at one server, genuinely")
    func partialCommit() {
        let cluster = run(.partialCommit)
        let reached = Dictionary(grouping: cluster.commits, by: \.commit.certificate.timestamp)
        #expect(reached.count > 3 && reached.values.allSatisfy { $0.count == 1 })
        for (_, commit, replies) in cluster.commits {
            #expect(cluster.group.isValid(commit.certificate, of: commit.key))
            #expect(isCommitted(replies, commit))
        }
        let deletions = (1...5 as ClosedRange<UInt64>).flatMap { run(.partialCommit, seed: $0).context.attempts }
        #expect(deletions.contains { $0.value == nil } && deletions.contains { $0.value != nil })
    }

    @Test("that hides a certificate commits long after it was complete")
    func hiddenCertificates() {
        let cluster = run(.hiddenCertificates, ticks: 100)
        #expect(!cluster.commits.isEmpty)
        for (_, commit, _) in cluster.commits {
            #expect(cluster.group.isValid(commit.certificate, of: commit.key))
        }
        // Two ticks at least lie between: nothing is committed in the client's first tick.
        #expect(run(.hiddenCertificates, ticks: 1).commits.isEmpty)
        #expect(run(.hiddenCertificates, ticks: 1).prepares.count >= 3)
    }

    @Test("that hides a chain has justifications committed that it never sent as COMMITs")
    func hiddenChain() {
        let cluster = run(.hiddenChain, ticks: 5)
        #expect(cluster.commits.isEmpty)
        let key = cluster.prepares[0].prepare.key
        #expect(cluster.hosts.allSatisfy { $0.record(key).committed?.timestamp.counter == 4 })
        #expect(cluster.prepares.map(\.prepare.timestamp.counter).max() == 5)
        #expect(run(.hiddenChain, ticks: 12).commits.count == 1)
    }

    @Test("that forges certificates has every one of them refused")
    func forgedCertificates() {
        for seed in 1...3 as ClosedRange<UInt64> {
            let cluster = run(.forgedCertificates, seed: seed)
            #expect(cluster.commits.count > 20)
            for (_, commit, replies) in cluster.commits {
                #expect(!cluster.group.isValid(commit.certificate, of: commit.key))
                #expect(isRefused(replies), "seed \(seed)")
            }
            let justified = cluster.prepares.filter { prepare in
                prepare.prepare.justification.map { !cluster.group.isValid($0, of: prepare.prepare.key) } ?? false
            }
            #expect(justified.count > 20 && justified.allSatisfy { isRefused($0.replies) })
        }
    }

    @Test("that resurrects sends old certificates after a deletion, and the deletion stands")
    func resurrection() {
        let cluster = run(.resurrection, ticks: 9)
        guard let deletion = cluster.context.attempts.first(where: { $0.value == nil }) else {
            Issue.record("nothing is deleted")
            return
        }
        let positions = cluster.exchanges.indices.filter { position in
            guard case .commit(let commit) = cluster.exchanges[position].request else { return false }
            return commit.certificate.timestamp == deletion.timestamp
        }
        #expect(positions.count == 3, "f servers miss the deletion")
        let late = cluster.exchanges[(positions.last ?? 0)...].filter {
            guard case .commit(let commit) = $0.request else { return false }
            return commit.key == deletion.key && commit.certificate.timestamp < deletion.timestamp
        }
        #expect(late.count >= 8)
        for position in cluster.group.quorums.positions.prefix(3) {
            let host = cluster.hosts[Int(cluster.group.placement(deletion.key).node(at: position).rawValue)]
            #expect(host.record(deletion.key).committed?.timestamp == deletion.timestamp)
        }
    }

    // MARK: Counters

    @Test("that skips counters is refused for it, with every kind of justification")
    func skippedCounters() {
        let cluster = run(.skippedCounters)
        #expect(cluster.prepares.count > 20 && cluster.prepares.allSatisfy { isRefused($0.replies) })
        #expect(cluster.prepares.contains { $0.prepare.timestamp.counter == .max })
        let refusals = cluster.refusals
        #expect(refusals.contains(.justificationRequired(committedCounter: 1)))
        #expect(refusals.contains { if case .counterSkipped = $0 { true } else { false } })
        #expect(refusals.contains { if case .invalidCertificate = $0 { true } else { false } })
    }

    @Test("that reuses counters has one name for several values, none of them twice")
    func reusedCounters() {
        let cluster = run(.reusedCounters)
        let names = Dictionary(grouping: cluster.context.attempts) { "\($0.key) \($0.timestamp.counter)" }
        #expect(names.values.contains { $0.count > 1 })
        #expect(cluster.context.attempts.contains { $0.timestamp.counter == 1 })
        let claims = cluster.exchanges.flatMap(\.replies).compactMap { reply -> Claim? in
            if case .prepared(let signed, _) = reply { signed.claim } else { nil }
        }
        #expect(claims.contains(.superseded) && claims.contains(.stored))
    }

    @Test("that abuses the pending limit meets it, and forces no admission")
    func pendingAbuse() {
        let cluster = run(.pendingAbuse)
        #expect(cluster.refusals.contains { if case .tooManyPending = $0 { true } else { false } })
        for key in [ObjectKey.photo, .other] {
            for host in cluster.hosts { #expect(host.record(key).pending(of: .mallory).count <= 8) }
        }
        let limit = FaultyCluster(.pendingAbuse, liars: [NodeID(3): .signsWithoutStoring])
        limit.run()
        #expect(limit.refusals.contains { if case .invalidAdmission = $0 { true } else { false } })
        for host in limit.hosts { #expect(host.record(.photo).pending(of: .mallory).count <= 8) }
    }

    // MARK: Replays

    @Test("that replays sends others' certificates at their own objects and at others")
    func replays() {
        let clusters = (1...4 as ClosedRange<UInt64>).map { run(.replays, seed: $0) }
        let commits = clusters.flatMap(\.commits)
        let foreign = commits.filter { $0.commit.certificate.timestamp.writer == .alice }
        #expect(foreign.contains { !isRefused($0.replies) })
        let group = clusters[0].group
        let misplaced = commits.filter { exchange in
            let other = exchange.commit.key == .photo ? ObjectKey.other : .photo
            return group.isValid(exchange.commit.certificate, of: other)
        }
        #expect(!misplaced.isEmpty && misplaced.allSatisfy { isRefused($0.replies) })
        let prepares = clusters.flatMap(\.prepares)
        #expect(prepares.contains { $0.prepare.timestamp.writer == .alice && isRefused($0.replies) })
        let repeated = Dictionary(grouping: prepares) { "\($0.server) \($0.prepare.timestamp)" }
        #expect(repeated.values.contains { $0.count > 1 })
    }

    @Test("that floods sends one server hundreds of requests for one object at once")
    func flood() {
        let cluster = run(.flood, ticks: 0)
        let byServer = Dictionary(grouping: cluster.exchanges, by: \.server).mapValues(\.count)
        #expect((byServer.values.max() ?? 0) >= 200 && byServer.values.sorted()[2] < 20)
        #expect(Set(cluster.exchanges.map(\.request.key)).count == 1)
    }

    @Test("that does all of it changes what it does from campaign to campaign")
    func mixture() {
        var transcripts: Set<String> = []
        for seed in 1...8 as ClosedRange<UInt64> {
            let cluster = run(.mixture, seed: seed, ticks: 80)
            transcripts.insert("\(cluster.prepares.count) \(cluster.commits.count) \(cluster.refusals.count)")
        }
        #expect(transcripts.count > 5)
    }
}
