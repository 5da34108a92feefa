// Audits of a world's groups, in the modes that verify when something is written: while clients work, among all that
// befalls servers, and when everybody is at rest. Servers answer as StoreAudit has it; liars lie to auditors.
//
// Judged is what an audit promises (docs/protocol.md, Audit): nobody who is correct is ever found wrong, and at rest
// every stripe is found, of those servers that are whole nobody lacks any, and whoever has lost his fragments does.

import ErasureCode
import ProtocolStorage
import QuorumFaults
import QuorumProtocol

/// An audit under way.
struct RunningAudit {
    var audit: AuditPass
    let limits: AuditLimits
    let pauseMicroseconds: UInt64
}

extension World {
    /// What befalls an audit.
    enum AuditEvent {
        /// The question reaches a server, whose answer is taken at once.
        case question(NodeID, AuditQuery)
        case begin
        case goOn
    }

    private static let auditCountMax = 4

    /// Audits are drawn from a stream of their own: a seed without them tells the story that it told before there were
    /// any.
    func drawAudits() {
        guard parameters.mode == .fingerprint || parameters.mode == .full else { return }
        var generator = SeededGenerator(seed: plan.seed &* 0x9e37_79b9_7f4a_7c15 &+ 17)
        guard generator.chance(percent: 30) else { return }
        for server in servers where server.liar != nil && generator.chance(percent: 75) {
            server.liar?.audit = AuditLiar(generator.pick(AuditLie.allCases) ?? .mixture, seed: generator.next())
        }
        auditGenerator = generator
    }

    /// Now and then somebody begins to audit a group.
    func beginAudit() {
        guard var generator = auditGenerator, phase == .working, audits.count < Self.auditCountMax else { return }
        defer { auditGenerator = generator }
        guard generator.chance(percent: 10), let group = generator.pick(parameters.configuration.groups) else { return }
        var limits = AuditLimits()
        if generator.chance(percent: 50) { limits.stripes = generator.within(1...3) }
        if generator.chance(percent: 30) { limits.objects = generator.within(1...3) }
        let audit = AuditPass(group, parameters: parameters)
        let pause = [1_000, 20_000, 1_000_000][generator.below(3)]
        audits.append(RunningAudit(audit: audit, limits: limits, pauseMicroseconds: UInt64(pause)))
        note("an audit of group \(group.id) begins")
        add(.goOn, audits.count - 1, afterMicroseconds: 0)
    }

    func happen(_ event: AuditEvent, audit number: Int) {
        switch event {
        case .goOn:
            guard audits[number].audit.goOn() else { return note("an audit is done") }
            happen(.begin, audit: number)
        case .begin:
            follow(audits[number].audit.begin(at: auditPoint()), number)
        case .question(let node, let query):
            let answer = answer(query, by: server(node), limits: audits[number].limits)
            follow(audits[number].audit.take(answer, from: node), number)
        }
    }

    private func auditPoint() -> [UInt8] {
        (0..<AuditQuery.pointSizeBytes).map { _ in UInt8(auditGenerator?.below(256) ?? 0) }
    }

    private func follow(_ step: AuditPass.Step, _ number: Int) {
        let pause = audits[number].pauseMicroseconds
        switch step {
        case .ask(let questions):
            for (node, query) in questions.sorted(by: { $0.key < $1.key }) {
                let delay = auditGenerator?.within(50...20_000) ?? 0
                add(.question(node, query), number, afterMicroseconds: UInt64(delay))
            }
        case .wait, .tooFewAnswers:
            break
        case .next(let isLater):
            if let findings = audits[number].audit.firstFindings { judge(findings) }
            add(.begin, number, afterMicroseconds: isLater ? pause : 0)
        case .found(let findings):
            judge(findings)
            tell(of: findings)
            add(.goOn, number, afterMicroseconds: 9 * pause / 10)
        }
    }

    private func add(_ event: AuditEvent, _ number: Int, afterMicroseconds delay: UInt64) {
        heap.add(.audit(number, event), at: nowMicroseconds + delay)
    }

    /// What a server says, now; nil for nothing.
    private func answer(_ query: AuditQuery, by server: SimulatedServer, limits: AuditLimits) -> AuditAnswer? {
        guard server.isUp, !server.isRebuilding else { return nil }
        let group = parameters.configuration.groups.first { $0.id == query.group }
        let slots = Set(keys.map(\.slot)).filter { parameters.configuration.group(of: $0).id == group?.id }
        var lost: [(ObjectKey, [LostParts])] = []
        let read = AuditedServer(server: server, keys: keys)
        let honest = try? read.auditAnswer(query, slots: slots.sorted(), limits: limits) { lost.append(($0, $1)) }
        guard let honest else { return nil }
        if server.liar == nil {
            for (key, parts) in lost {
                note("\(server.node) finds parts of \(key) lost while it is audited")
                if let replica = replica(of: server, for: key) {
                    feed(server, replica, .lost(key, parts, answering: nil))
                }
            }
        }
        return server.liar?.audit == nil ? honest : server.liar?.audit?.answer(query, honest)
    }

    /// Nobody who does not lie has a wrong fragment.
    private func judge(_ findings: AuditFindings) {
        for trouble in findings.troubles {
            for (node, standing) in trouble.servers where standing == .wrong && server(node).liar == nil {
                violation =
                    violation
                    ?? Violation(
                        .audit, "\(node) is said to have a wrong fragment of \(trouble.key), \(trouble.timestamp)")
            }
        }
    }

    /// Who is doubted looks.
    private func tell(of findings: AuditFindings) {
        let doubted = Set(
            findings.troubles.flatMap { trouble in trouble.servers.filter { $0.value <= .missing }.map(\.key) })
        for node in doubted.sorted() where server(node).isUp { scrub(server(node)) }
    }

    // MARK: At rest

    /// What a whole pass over a group finds when nothing else happens; nil when too few answer.
    private func auditAtOnce(_ group: Group) -> AuditFindings? {
        guard auditGenerator != nil else { return nil }
        var limits = AuditLimits()
        if auditGenerator?.chance(percent: 50) ?? false { limits.stripes = auditGenerator?.within(1...5) ?? 1 }
        var audit = AuditPass(group, parameters: parameters)
        var all = AuditFindings()
        while audit.goOn() {
            var step = audit.begin(at: auditPoint())
            var questions: [(NodeID, AuditQuery)] = []
            steps: while true {
                switch step {
                case .ask(let asked): questions += asked.sorted { $0.key < $1.key }
                case .wait: break
                case .next:
                    if let findings = audit.firstFindings { judge(findings) }
                    step = audit.begin(at: auditPoint())
                    continue steps
                case .tooFewAnswers: return nil
                case .found(let findings):
                    judge(findings)
                    all.add(findings)
                    break steps
                }
                guard !questions.isEmpty else { preconditionFailure("an audit waits for nobody") }
                let (node, query) = questions.removeFirst()
                step = audit.take(answer(query, by: server(node), limits: limits), from: node)
            }
        }
        return all
    }

    /// The stripes that a server has to show, and how it must not stand to them, when all servers are at rest.
    func judgeAudits(lacking loser: NodeID? = nil) {
        guard auditGenerator != nil, violation == nil else { return }
        for group in parameters.configuration.groups where loser.map(group.contains) ?? true {
            guard let findings = auditAtOnce(group) else {
                violation = violation ?? Violation(.audit, "too few servers of group \(group.id) answer")
                return
            }
            let members = servers.filter { group.contains($0.node) && isToBeWhole($0) }
            judge(findings, of: members, lacking: loser)
            if let loser { judge(findings, of: group, lacking: loser) }
            let expected = keys.filter { parameters.configuration.group(of: $0.slot).id == group.id }.map { key in
                stripeCount(of: key, at: members)
            }.reduce(0, +)
            guard findings.stripeCount >= expected else {
                violation =
                    violation
                    ?? Violation(
                        .audit, "\(findings.stripeCount) stripes of group \(group.id) are found of \(expected)")
                return
            }
        }
    }

    private func judge(_ findings: AuditFindings, of members: [SimulatedServer], lacking loser: NodeID?) {
        for trouble in findings.troubles {
            let key = trouble.key
            let committed = members.compactMap { $0.disk.lastRecord(key)?.highestCommitted }.max()
            if committed != trouble.timestamp, !members.contains(where: { isBlocked(key, at: $0) }) {
                violation = violation ?? Violation(.audit, "\(key) is looked at at \(trouble.timestamp)")
            }
            for server in members where server.node != loser && !isBlocked(key, at: server) {
                guard let standing = trouble.servers[server.node], standing == .missing || standing == .unreadable,
                    server.disk.lastRecord(key)?.version(trouble.timestamp)?.fragments == .held
                else { continue }
                violation = violation ?? Violation(.audit, "\(server.node) is said not to have \(trouble.timestamp)")
            }
            let told = members.count { trouble.servers[$0.node] == nil }
            if !trouble.isConclusive, told >= parameters.quorums.quorum {
                violation = violation ?? Violation(.audit, "what is whole of \(trouble.timestamp) cannot be told")
            }
        }
    }

    /// Who has lost all his fragments is found to lack each of them.
    private func judge(_ findings: AuditFindings, of group: Group, lacking loser: NodeID) {
        let missing = Set(
            findings.troubles.filter { $0.servers[loser] == .missing }.map { VersionName($0.key, $0.timestamp) })
        for key in keys where parameters.configuration.group(of: key.slot).id == group.id {
            guard let record = server(loser).disk.lastRecord(key), let timestamp = record.highestCommitted,
                let version = record.version(timestamp), version.hasStripes,
                version.fragments == .held || version.fragments == .lost,
                !missing.contains(VersionName(key, timestamp))
            else { continue }
            violation = violation ?? Violation(.audit, "nobody finds that \(loser) has lost \(timestamp) of \(key)")
        }
    }

    private struct VersionName: Hashable {
        let key: ObjectKey
        let timestamp: Timestamp

        init(_ key: ObjectKey, _ timestamp: Timestamp) {
            self.key = key
            self.timestamp = timestamp
        }
    }

    /// The stripes of the highest version that the object's whole servers have committed.
    private func stripeCount(of key: ObjectKey, at members: [SimulatedServer]) -> UInt64 {
        let holders = members.filter { !isBlocked(key, at: $0) }
        guard holders.count >= parameters.quorums.quorum,
            let timestamp = holders.compactMap({ $0.disk.lastRecord(key)?.highestCommitted }).max(),
            let holder = holders.first(where: { $0.disk.lastRecord(key)?.version(timestamp)?.hasStripes ?? false }),
            let descriptor = holder.disk.descriptor(key, timestamp).value?.descriptor
        else { return 0 }
        return descriptor.staged.map { $0.parts.reduce(0) { $0 + UInt64($1.stripeCount) } }
            ?? UInt64(descriptor.stripes.count)
    }
}

/// A server's disk as an audit reads it.
private struct AuditedServer: AuditedStore {
    let server: SimulatedServer
    let keys: [ObjectKey]

    var node: NodeID { server.node }
    var parameters: ClusterParameters { server.parameters }

    func objects(inSlot slot: Slot, after: [UInt8]?, limit: Int) -> [(key: [UInt8], isCommitted: Bool)] {
        let above = keys.filter { key in
            key.slot == slot && after.map { $0.lexicographicallyPrecedes(key.bytes) } ?? true
        }
        return above.sorted().compactMap { key in
            server.disk.lastRecord(key).map { (key.bytes, $0.highestCommitted != nil) }
        }.prefix(limit).map { $0 }
    }

    func mayLose(_ parts: LostParts, of key: ObjectKey) -> Bool { true }

    func record(of key: ObjectKey) -> StoredParts<ObjectRecord> { server.record(of: key) }

    func descriptor(of timestamp: Timestamp, key: ObjectKey) -> StoredParts<SealedDescriptor> {
        server.descriptor(of: timestamp, key: key)
    }

    func fragments(of timestamp: Timestamp, key: ObjectKey, stripeCount: Int) -> StoredParts<[SharedBytes]> {
        server.fragments(of: timestamp, key: key, stripeCount: stripeCount)
    }

    func stagedEntry(of attempt: AttemptName, stripe: UInt32, key: ObjectKey) -> StoredParts<[UInt8]> {
        server.stagedEntry(of: attempt, stripe: stripe, key: key)
    }

    func stagedFragment(of attempt: AttemptName, stripe: UInt32, key: ObjectKey) -> StoredParts<SharedBytes> {
        server.stagedFragment(of: attempt, stripe: stripe, key: key)
    }

    func bareObjects(of client: ClientID, after: ObjectKey?, limit: Int) -> [ObjectKey] { [] }
    func due(beforeMilliseconds time: UInt64, limit: Int) -> [ObjectKey] { [] }
}
