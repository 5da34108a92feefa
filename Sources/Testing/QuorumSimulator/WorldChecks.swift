// The judgement of a run: from what the honest clients were told, and from what the correct servers durably hold.

import ErasureCode
import Fingerprint
import HistoryChecker
import QuorumFaults
import QuorumProtocol

// MARK: - While it runs

extension World {
    /// What is wrong with what a read found, seen by itself and beside earlier reads.
    func judge(_ observation: Observation, of operation: Int) -> Violation? {
        guard let timestamp = observation.timestamp else { return nil }
        let object = history[operation].object
        if clients.contains(where: { $0.id == timestamp.writer }) {
            guard let author = authors[timestamp.digest], clients[history[author].client].id == timestamp.writer,
                history[author].object == object
            else {
                return Violation(.forgery, "operation \(operation) read \(timestamp), which its writer never wrote")
            }
            guard observation.isTombstone == (history[author].kind == .delete),
                observation.bytes == nil || observation.bytes == history[author].bytes
            else {
                return Violation(.integrity, "operation \(operation) read other bytes than operation \(author) wrote")
            }
        } else {
            guard let attempt = attempt(at: timestamp, of: keys[object]) else {
                return Violation(.forgery, "operation \(operation) read \(timestamp), which nobody tried to write")
            }
            guard observation.isTombstone == (attempt.value == nil),
                observation.bytes == nil || observation.bytes == attempt.value
            else {
                return Violation(
                    .integrity, "operation \(operation) read other bytes at \(timestamp) than its writer tried to write"
                )
            }
        }
        if let bytes = observation.bytes {
            if let earlier = valuesRead[timestamp], earlier != bytes {
                return Violation(.integrity, "operation \(operation) read other bytes at \(timestamp) than one before")
            }
            valuesRead[timestamp] = bytes
        }
        return nil
    }
}

extension World {
    /// What a Byzantine client tried to write at a timestamp.
    func attempt(at timestamp: Timestamp, of key: ObjectKey) -> AttemptedWrite? {
        byzantineClients.first { $0.id == timestamp.writer }?.context.attempts
            .first { $0.timestamp == timestamp && $0.key == key }
    }
}

// MARK: - At the end

extension World {
    /// What is wrong with the whole run.
    func judge() -> Violation? {
        judgeHistory() ?? judgeStores()
    }

    private func judgeHistory() -> Violation? {
        guard let found = HistoryChecker().check(keys.indices.flatMap(operations)).violations.first else { return nil }
        return Violation(.linearizability, found.description)
    }

    /// The history of one object. A value is named by the operation that wrote it, a deletion too, so that one is told
    /// from another; a Byzantine client's by its version, and its write may take effect at any time. Times are steps.
    private func operations(on object: Int) -> [HistoryOperation] {
        let key = "object-\(object)"
        var operations: [HistoryOperation] = []
        var foreign: [Timestamp: String] = [:]
        func add(
            _ process: String, _ function: HistoryEvent.Function, _ value: String?, from step: Int,
            _ outcome: HistoryOperation.Outcome
        ) {
            operations.append(
                HistoryOperation(
                    process: process, function: function, key: key, value: value, invokedNanoseconds: Int64(step),
                    outcome: outcome))
        }
        func value(of timestamp: Timestamp?) -> String? {
            guard let timestamp else { return nil }
            if clients.contains(where: { $0.id == timestamp.writer }) {
                return authors[timestamp.digest].map { "op \($0)" } ?? "unknown"
            }
            if let known = foreign[timestamp] { return known }
            let value = "foreign \(foreign.count)"
            foreign[timestamp] = value
            add("byzantine", .write, value, from: 0, .unknown)
            return value
        }
        for (number, operation) in history.enumerated() where operation.object == object {
            let process = "client \(operation.client)"
            let completed = Int64(operation.completedAtStep ?? .max)
            switch operation.outcome {
            case .wrote:
                add(process, .write, "op \(number)", from: operation.invokedAtStep, .ok(atNanoseconds: completed))
            case .failed(let failure) where operation.isWrite:
                add(
                    process, .write, "op \(number)", from: operation.invokedAtStep,
                    failure.mayHaveTakenEffect ? .unknown : .failed(atNanoseconds: completed))
            case .crashed where operation.isWrite, .running where operation.isWrite:
                add(process, .write, "op \(number)", from: operation.invokedAtStep, .unknown)
            case .failed, .crashed, .running, .listed:
                continue
            case .read(let observation):
                add(
                    process, .read, value(of: observation.timestamp), from: operation.invokedAtStep,
                    .ok(atNanoseconds: completed))
            }
        }
        return operations
    }

    /// What is wrong with what the correct servers durably hold.
    func judgeStores() -> Violation? {
        for server in servers {
            if let violation = judgeDisk(of: server) { return violation }
        }
        for key in keys {
            let correct = correctMembers(key)
            if let violation = judgeDurability(of: key, correct) { return violation }
            for server in correct {
                if let violation = judgeStore(of: server, key) { return violation }
            }
            let isUnhealed = unhealed
            for server in servers where !badServers.contains(server.node) && !server.disk.isWithout(key) {
                guard !correct.contains(where: { $0 === server }), !isUnhealed.contains(server.node) else { continue }
                return Violation(.storage, "\(server.node) holds \(key), which belongs to another group")
            }
        }
        return nil
    }

    /// What a correct server's store could not do or show.
    func judgeDisk(of server: SimulatedServer) -> Violation? {
        guard !badServers.contains(server.node), let complaint = server.disk.complaint else { return nil }
        return Violation(.storage, "\(server.node)'s store: \(complaint)")
    }

    /// The correct members of the object's group.
    func correctMembers(_ key: ObjectKey) -> [SimulatedServer] {
        let members = parameters.configuration.group(of: key.slot).members
        return servers.filter { server in
            !badServers.contains(server.node) && !unhealed.contains(server.node) && members.contains(server.node)
        }
    }

    /// What one correct server holds of an object.
    private func judgeStore(of server: SimulatedServer, _ key: ObjectKey) -> Violation? {
        guard let record = server.disk.lastRecord(key) else {
            return server.disk.isWithout(key)
                ? nil : Violation(.storage, "\(server.node) holds versions of \(key) and no record")
        }
        if let broken = record.brokenInvariant { return Violation(.storage, "\(server.node), \(key): \(broken)") }
        guard server.disk.timestamps(key) == record.held.map(\.timestamp) else {
            return Violation(.storage, "\(server.node) holds other versions of \(key) than its record says")
        }
        guard server.disk.isListed(key, record) else {
            return Violation(.storage, "\(server.node) lists another version of \(key) than its record says")
        }
        for version in record.held {
            guard let parts = server.disk.parts(key, version.timestamp), let descriptor = parts.descriptor,
                descriptor.digest == version.timestamp.digest
            else { return Violation(.integrity, "\(server.node) lacks the descriptor of \(version.timestamp)") }
            if let staged = descriptor.descriptor.staged {
                if version.holdsFragments, let wrong = lack(of: server, key, version.timestamp, staged) {
                    return Violation(.storage, "\(server.node) holds \(version.timestamp) of \(key), and \(wrong)")
                }
                continue
            }
            let holds = parts.fragments != nil || descriptor.descriptor.stripes.isEmpty
            guard holds == version.holdsFragments else {
                return Violation(.storage, "\(server.node) is wrong about holding \(version.timestamp)'s fragments")
            }
        }
        // Versions that are being read are kept beside them.
        if record.retained.count > parameters.limits.retainedVersionsMax + readVersions.count {
            return Violation(.bound, "\(server.node) retains \(record.retained.count) versions of \(key)")
        }
        // One of the servers whose statements admit a version beyond K is correct and counted it within its own K.
        let pendingMax = parameters.limits.pendingVersionsPerClientMax * parameters.quorums.quorum
        for writer in Set(record.held.map(\.timestamp.writer)) {
            let pending = record.pending(of: writer).count
            if pending > pendingMax { return Violation(.bound, "\(server.node) keeps \(pending) pending versions") }
        }
        if record.unverified.count > 2 * parameters.unverifiedVersionsMax {
            return Violation(.bound, "\(server.node) keeps \(record.unverified.count) unverified versions of \(key)")
        }
        let poisonousMax =
            parameters.limits.unverifiedVersionsPerClientMax + 2 * parameters.unverifiedVersionsMax
        for (writer, poisonous) in Dictionary(grouping: record.poisonous, by: \.timestamp.writer)
        where poisonous.count > poisonousMax {
            return Violation(.bound, "\(server.node) remembers \(poisonous.count) poisonous versions of \(writer)")
        }
        // What is restated was admitted by a correct server, which need not be this one.
        let committedCounter =
            (plan.wipes.isEmpty ? [server] : servers.filter { $0.liar == nil })
            .compactMap { $0.disk.lastRecord(key) }.map(Self.reachedCounter).max() ?? 0
        if let skipped = record.held.last, skipped.timestamp.counter > committedCounter,
            skipped.timestamp.counter - committedCounter > 1
        {
            return Violation(
                .bound,
                "\(server.node) holds \(skipped.timestamp) of \(key) above the committed counter \(committedCounter)")
        }
        if committedCounter > counterMax(of: key) {
            return Violation(.bound, "\(server.node) has a counter for \(key) that nobody counted up to")
        }
        for certificate in ([record.committed].compactMap { $0 } + record.unverified).map(\.certificate)
        where !isOfGroup(certificate, key) || (try? newestVerifier.verify(certificate, key: key)) == nil {
            return Violation(.integrity, "\(server.node) keeps a certificate for \(key) that proves nothing")
        }
        return nil
    }

    /// Knows all that anybody may.
    private var newestVerifier: StatementVerifier {
        StatementVerifier(history: parameters.history, keys: keyLists[keyLists.count - 1])
    }

    /// Whether the certificate is of the group that has the object's slot in a known epoch, by members of that group.
    private func isOfGroup(_ certificate: Certificate, _ key: ObjectKey) -> Bool {
        guard let configuration = parameters.history.configuration(of: certificate.epoch) else { return false }
        let group = configuration.group(of: key.slot)
        return certificate.group == group.id && certificate.statements.allSatisfy { group.members.contains($0.node) }
    }

    /// Whether a client's crashes have left what nobody can finish, which is all that may keep a write from its end
    /// (docs/protocol.md, When servers are full, What remains): no more than f correct servers have room for a version
    /// of it, so that they cannot have it admitted elsewhere, and none of those that fill the others is held by m of
    /// them. A large one may have to be held by q where what its other servers are brought expires meanwhile.
    func isShutOut(_ client: ClientID, _ key: ObjectKey) -> Bool {
        let records = correctMembers(key).map { $0.disk.lastRecord(key) }
        // What is not above a committed version is dropped as soon as the server is told of that.
        let highest = records.compactMap { $0?.committed?.timestamp }.max()
        var holderCounts: [Timestamp: Int] = [:]
        var roomyCount = 0
        var fleeting: Set<Timestamp> = []
        for record in records {
            let held = record?.pending(of: client).map(\.timestamp) ?? []
            let pending = held.filter { highest.precedes($0) }
            if pending.count < parameters.limits.pendingVersionsPerClientMax { roomyCount += 1 }
            for timestamp in pending { holderCounts[timestamp, default: 0] += 1 }
            guard stripesExpireSoon else { continue }
            fleeting.formUnion(record?.staged.flatMap { $0.holders.map(\.timestamp) } ?? [])
        }
        let quorums = parameters.quorums
        return roomyCount <= quorums.faults
            && holderCounts.allSatisfy { timestamp, count in
                count < (fleeting.contains(timestamp) ? quorums.quorum : quorums.dataFragmentCount)
            }
    }

    private static func reachedCounter(_ record: ObjectRecord) -> UInt64 {
        // A poisonous version is no longer committed, and yet its counter was reached.
        max(record.highestCommitted.counter, (record.poisonous.last?.timestamp).counter)
    }

    /// A counter rises by one with each version; a write may need several while it finishes what its client left
    /// behind.
    private func counterMax(of key: ObjectKey) -> UInt64 {
        let writes = history.count { $0.isWrite && keys[$0.object] == key }
        return UInt64(4 * writes + byzantineRequestCounts.reduce(0, +))
    }

    /// The highest version that a correct server knows as committed comes back from the correct servers alone and
    /// whichever m of them are asked, as the bytes that its writer wrote. Where versions are verified later, so do the
    /// highest that is known to be sound and the highest above it that is, known or not: what a Byzantine client wrote
    /// may still turn out to be poisonous, and then it is the one below that has to come back. So does every version
    /// above these for which liars have a certificate.
    private func judgeDurability(of key: ObjectKey, _ correct: [SimulatedServer]) -> Violation? {
        let records = correct.compactMap { $0.disk.lastRecord(key) }
        let sound = records.compactMap { $0.committed?.timestamp }.max()
        if let sound, let violation = judgement(of: key, at: sound, isSettled: true, correct).violation {
            return violation
        }
        let poisonous = Set(records.flatMap { $0.poisonous.map(\.timestamp) })
        let unverified = Set(records.flatMap { $0.unverified.map(\.timestamp) })
        let waiting = unverified.subtracting(poisonous).filter { sound.precedes($0) }
        for timestamp in waiting.sorted(by: >) {
            let judgement = judgement(of: key, at: timestamp, isSettled: false, correct)
            guard judgement.isPoisonous || isPoisonous(timestamp, key) else { return judgement.violation }
        }
        // Whoever has a certificate may have it committed at any time.
        for timestamp in certifiedAmongLiars(key, above: sound) where !poisonous.contains(timestamp) {
            let judgement = judgement(of: key, at: timestamp, isSettled: !plan.mode.verifiesLater, correct)
            guard let violation = judgement.violation else { continue }
            if !plan.mode.verifiesLater || !isPoisonous(timestamp, key) { return violation }
        }
        return nil
    }

    /// The versions of an object whose certificates went by among the liars, as far as these still remember them;
    /// without signatures there are none.
    private func certifiedAmongLiars(_ key: ObjectKey, above sound: Timestamp?) -> [Timestamp] {
        guard plan.mode.isSigned else { return [] }
        return conspiracy.certificates.filter { seen in
            seen.key == key && sound.precedes(seen.certificate.timestamp)
                && (try? newestVerifier.verifyCounting(seen.certificate, key: key)) != nil
        }.map(\.certificate.timestamp)
    }

    func judgement(
        of key: ObjectKey, at timestamp: Timestamp, isSettled: Bool, _ correct: [SimulatedServer]
    ) -> (violation: Violation?, isPoisonous: Bool) {
        func violation(_ kind: Violation.Kind, _ text: String) -> (violation: Violation?, isPoisonous: Bool) {
            (Violation(kind, text), false)
        }
        func poison() -> (violation: Violation?, isPoisonous: Bool) {
            guard !isSettled, !clients.contains(where: { $0.id == timestamp.writer }) else {
                return violation(.integrity, "\(key) at \(timestamp) counts as sound and is poisonous")
            }
            return (nil, true)
        }
        var descriptor: SealedDescriptor?
        var holders: [(server: NodeID, position: Position, fragments: [SharedBytes])] = []
        let placement = parameters.placement(of: key)
        for server in correct {
            guard let parts = server.disk.parts(key, timestamp), let position = placement.position(of: server.node)
            else { continue }
            descriptor = descriptor ?? parts.descriptor
            if let fragments = parts.fragments { holders.append((server.node, position, fragments)) }
        }
        guard let descriptor else { return violation(.durability, "no correct server holds \(key) at \(timestamp)") }
        if let staged = descriptor.descriptor.staged {
            let holders = correct.filter { $0.disk.lastRecord(key)?.version(timestamp)?.holdsFragments == true }
            switch read(staged, of: key, at: timestamp, holders) {
            case .failure(let violation): return (violation, false)
            case .success(let value?): return (judgeValue(of: key, at: timestamp, isTombstone: false, value), false)
            case .success(nil): return poison()
            }
        }
        let m = parameters.quorums.dataFragmentCount
        guard holders.count >= m || descriptor.descriptor.stripes.isEmpty else {
            return violation(
                .durability, "\(holders.count) correct servers hold \(key) at \(timestamp), \(m) are needed")
        }
        var value: [UInt8] = []
        for (stripe, crossChecksum) in descriptor.descriptor.stripes.enumerated() {
            var verified: [VerifiedFragment] = []
            for holder in holders {
                guard stripe < holder.fragments.count,
                    let fragment = try? crossChecksum.verify(
                        holder.fragments[stripe], at: FragmentIndex(holder.position.rawValue))
                else { return violation(.integrity, "\(holder.server) holds a bad fragment of \(key) at \(timestamp)") }
                verified.append(fragment)
            }
            guard let first = try? crossChecksum.decode(Array(verified.prefix(m))),
                let last = try? crossChecksum.decode(Array(verified.suffix(m)))
            else { return violation(.durability, "\(key) at \(timestamp) does not decode") }
            if crossChecksum.coverage == .hashes, !crossChecksum.matchesEncoding(of: first) { return poison() }
            if first != last { return violation(.integrity, "\(key) at \(timestamp) decodes to two values") }
            value += first.array
        }
        let isTombstone = descriptor.descriptor.kind == .tombstone
        return (judgeValue(of: key, at: timestamp, isTombstone: isTombstone, value), false)
    }

    /// Whether what the correct servers hold is what its writer wrote.
    private func judgeValue(
        of key: ObjectKey, at timestamp: Timestamp, isTombstone: Bool, _ value: [UInt8]
    ) -> Violation? {
        let written: [UInt8]?
        if clients.contains(where: { $0.id == timestamp.writer }) {
            guard let author = authors[timestamp.digest], keys[history[author].object] == key else {
                return Violation(.forgery, "\(key) is at \(timestamp), which its writer never wrote")
            }
            written = history[author].kind == .delete ? nil : history[author].bytes
        } else {
            guard let attempt = attempt(at: timestamp, of: key) else {
                return Violation(.forgery, "\(key) is at \(timestamp), which nobody tried to write")
            }
            written = attempt.value
        }
        guard isTombstone == (written == nil), value == written ?? [] else {
            return Violation(.integrity, "\(key) at \(timestamp) decodes to other bytes than its writer wrote")
        }
        return nil
    }
}
