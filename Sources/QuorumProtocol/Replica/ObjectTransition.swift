// The rules by which one object's durable state changes (docs/protocol.md, Write, steps 2 and 3; Retention). Pure
// functions of the record and of proven evidence: they decide, and the replica around them orders and stores.

import Fingerprint

/// A change in the making: the record as it will be, and what goes into and out of the store with it.
struct ObjectTransition {
    let key: ObjectKey
    let parameters: ClusterParameters
    let nowMilliseconds: UInt64
    /// The server whose record it is.
    let node: NodeID
    var record: ObjectRecord
    /// Versions that are superseded and being read, which are kept a while longer.
    let pinned: Set<Timestamp>
    /// Whose statements count here.
    let fences: Fences
    var stagedPuts: [StagedStripe] = []
    var stagedDrops: [StagedDrop] = []
    /// Uploads of the writers of versions that are committed.
    var spentUploads: [UploadID] = []
    /// What the stripes of this change are charged, which no account shows yet.
    var newlyStagedBytes: UInt64 = 0
    var puts: [ObjectChange.VersionParts] = []
    private var drops: [Timestamp] = []
    private let original: ObjectRecord

    init(
        key: ObjectKey, record: ObjectRecord, parameters: ClusterParameters, nowMilliseconds: UInt64,
        node: NodeID, pinned: Set<Timestamp> = [], fences: Fences = Fences()
    ) {
        self.fences = fences
        self.node = node
        self.pinned = pinned
        self.key = key
        self.record = record
        original = record
        self.parameters = parameters
        self.nowMilliseconds = nowMilliseconds
    }

    /// The change to store, or nil when nothing changes.
    var change: ObjectChange? {
        guard !puts.isEmpty || !drops.isEmpty || !stagedPuts.isEmpty || !stagedDrops.isEmpty || record != original
        else { return nil }
        return change(
            original.wantChange(becoming: record, key, node: node, parameters, nowMilliseconds: nowMilliseconds))
    }

    /// The change after which nothing is wanted of the object, whatever the table says.
    var changeEndingWant: ObjectChange { change(.end) }

    private func change(_ want: WantChange) -> ObjectChange {
        ObjectChange(
            key: key, record: record, puts: puts, drops: drops, stagedPuts: stagedPuts, stagedDrops: stagedDrops,
            nextDueMilliseconds: record.nextDueMilliseconds(parameters),
            charges: original.charges(becoming: record), listings: original.listingChanges(becoming: record),
            live: original.liveChange(becoming: record), want: want)
    }

    var verifiesLater: Bool { parameters.mode.verifiesLater }

    /// What a PREPARE leads to.
    enum PrepareVerdict {
        /// Sign this claim once the change is durable.
        case sign(Claim)
        /// Nothing has changed but what the justification proves.
        case tooManyPending([Timestamp])
        case refuse(Refusal)
    }

    /// PREPARE, verified. On `.refuse` the transition must be thrown away: a refusal changes no state.
    ///
    /// - Parameter accounts: looked at, not charged.
    mutating func prepare(
        _ prepare: Prepare, evidence: VerificationEvidence, accounts: borrowing Accounts
    ) -> PrepareVerdict {
        if let justification = evidence.certificate, !isPlanted(.justificationNotCommitted) {
            // A poisonous version is no longer taken, but still shows that its counter was reached.
            if case .invalidCertificate(let error)? = commit(justification) {
                return .refuse(.invalidCertificate(error))
            }
        }
        let admission = evidence.admission.filter { fences.counts($0.signed) }
        guard evidence.admission.isEmpty || admission.count >= parameters.quorums.vouchers else {
            return .refuse(.invalidAdmission(have: admission.count, need: parameters.quorums.vouchers))
        }
        let timestamp = prepare.timestamp
        let committed = record.committedTimestamp
        if record.isPoisonous(timestamp) { return .refuse(.poisonous) }
        if record.version(timestamp)?.holdsFragments == true {
            return .sign(.stored)
        }
        if timestamp.precedes(committed)
            || isPlanted(.supersededByPending) && record.held.contains(where: { $0.timestamp > timestamp })
        {
            return .sign(.superseded)
        }
        let isCommitted = timestamp == committed || record.isUnverified(timestamp)
        let hasStripes = prepare.descriptor.descriptor.hasStripes
        let staged = prepare.descriptor.descriptor.staged
        let sizeBytes = evidence.fragments.reduce(
            UInt64(prepare.descriptor.bytes.count) &+ (staged?.chargeBytes(parameters.quorums) ?? 0)
        ) { $0 + UInt64($1.bytes.count) }
        if let staged, !isPlanted(.stripesUnlooked) {
            guard isCommitted || !isOver(staged) else { return .refuse(.uploadEnded) }
            let missing = record.missingStripes(of: staged)
            guard missing.isEmpty else { return .refuse(.stripesMissing(missing)) }
            // Other versions have to go first.
            guard hasRoom(forHolding: staged.parts.count, of: timestamp.writer) else { return .refuse(.busy) }
        }
        if !isCommitted {
            let base = max(record.highestCommitted.counter, (evidence.certificate?.timestamp).counter)
            let (highestAllowed, overflow) = base.addingReportingOverflow(1)
            guard !overflow, timestamp.counter <= highestAllowed || isPlanted(.counterUnchecked) else {
                return .refuse(
                    evidence.certificate == nil
                        ? .justificationRequired(committedCounter: record.highestCommitted.counter)
                        : .counterSkipped(got: timestamp.counter, highestAllowed: highestAllowed))
            }
            let pending = record.pending(of: timestamp.writer)
            if pending.count >= parameters.limits.pendingVersionsPerClientMax, evidence.admission.isEmpty,
                !pending.contains(where: { $0.timestamp == timestamp }), !isPlanted(.pendingUnlimited)
            {
                // All of them: that which m servers hold must be seen to be held by m.
                return .tooManyPending(pending.prefix(parameters.pendingVersionsMax).map(\.timestamp))
            }
            if verifiesLater, let limit = exceededUnverifiedLimit(timestamp), !isPlanted(.unverifiedUnlimited) {
                return .refuse(.tooManyUnverified(limit: limit))
            }
            // Whoever has staged something of it counts already where the object has no commit.
            let ownBytes = staged.map { chargedBytes(of: $0, to: timestamp.writer) } ?? 0
            let isCounted = ownBytes > 0 && pending.isEmpty
            if evidence.admission.isEmpty, !pending.contains(where: { $0.timestamp == timestamp }),
                let refusal = accounts.refusal(
                    of: timestamp.writer, sizeBytes: sizeBytes &- ownBytes,
                    isBare: record.highestCommitted == nil && !isCounted,
                    frees: !hasStripes && record.mayHoldValue(below: timestamp), parameters.limits)
            {
                return .refuse(refusal)
            }
            if isPlanted(.pendingReplaced) { drop(pending.map(\.timestamp)) }
        }
        // A version committed before its fragments came is completed here: what was missing is now held.
        record.hold(HeldVersion(timestamp, prepare.descriptor, .held, sizeBytes: sizeBytes))
        puts.append(
            ObjectChange.VersionParts(
                timestamp: timestamp, descriptor: prepare.descriptor, fragments: evidence.fragments))
        if let staged {
            holdStripes(of: timestamp, staged)
            if isCommitted { spendStripes(of: timestamp) }
        }
        if isCommitted { settleIfEmpty(timestamp) }
        return .sign(.stored)
    }

    /// The limit that one more version of the timestamp's writer would break. (Pending ones have their own.)
    func exceededUnverifiedLimit(_ timestamp: Timestamp) -> Int? {
        let perClient = parameters.limits.unverifiedVersionsPerClientMax
        if record.version(timestamp) == nil, record.unsoundCount(of: timestamp.writer) >= perClient {
            return perClient
        }
        return record.unverified.count >= parameters.unverifiedVersionsMax ? parameters.unverifiedVersionsMax : nil
    }

    /// Whether this very server has signed, in this life, that it holds the version, and knows nothing of it: its store has
    /// gone back to an earlier state. What it has promised since, nobody knows.
    func hasForgotten(_ certificate: VerifiedCertificate, own incarnation: Incarnation) -> Bool {
        let timestamp = certificate.timestamp
        guard parameters.mode.isSigned, record.committedTimestamp.precedes(timestamp), record.version(timestamp) == nil,
            !record.isUnverified(timestamp), !record.isPoisonous(timestamp)
        else { return false }
        return certificate.certificate.statements.contains {
            $0.node == node && $0.incarnation == incarnation && $0.claim == .stored
        }
    }

    /// COMMIT of a certified version, also by justification. Returns why it was refused; then nothing has changed.
    @discardableResult
    mutating func commit(_ certificate: VerifiedCertificate) -> Refusal? {
        precondition(certificate.key == key)
        let timestamp = certificate.timestamp
        let committed = record.committedTimestamp
        guard !timestamp.precedes(committed) || isPlanted(.commitGoesBack) else {
            // It was committed all the same, and is not to take effect once more.
            spendStripes(of: timestamp)
            return nil
        }
        if record.isPoisonous(timestamp) { return .poisonous }
        let fenced = fences.fencedServer(in: certificate.certificate)
        if timestamp == committed || record.isUnverified(timestamp) {
            // One that counts takes the place of one that does not.
            if fenced == nil { record.replaceFenced(by: certificate.certificate, fences) }
        } else if let fenced, !isPlanted(.fencedCommitted) {
            return .invalidCertificate(.fenced(fenced))
        }
        if timestamp != committed {
            // What has no stripes cannot be poisonous; only the descriptor tells.
            let isEmpty = record.version(timestamp)?.hasStripes == false
            if !verifiesLater || isEmpty || isPlanted(.unverifiedSettled) {
                settle(certificate.certificate)
            } else if !record.isUnverified(timestamp) {
                let limit = 2 * parameters.unverifiedVersionsMax
                guard record.unverified.count < limit else { return .tooManyUnverified(limit: limit) }
                record.add(unverified: certificate.certificate)
                // Sound or not, its value is not to take effect once more under another timestamp.
                spendStripes(of: timestamp)
                scheduleVerification()
            }
        }
        boundRetained()
        return nil
    }

    /// DESCRIPTOR, whose digest is the timestamp's. It is kept of a committed version only: nobody can make the server
    /// hold what no quorum has taken. Returns why it was refused; then nothing has changed.
    mutating func describe(_ describe: Describe) -> Refusal? {
        let timestamp = describe.timestamp
        guard !timestamp.precedes(record.committedTimestamp) else { return nil }
        guard
            timestamp == record.committedTimestamp || record.isUnverified(timestamp)
                || isPlanted(.uncommittedDescribed)
        else { return .notCommitted }
        holdDescriptor(describe.descriptor, of: timestamp)
        settleIfEmpty(timestamp)
        return nil
    }

    /// A version that waits to be verified is sound if it turns out to have no stripes.
    private mutating func settleIfEmpty(_ timestamp: Timestamp) {
        guard record.version(timestamp)?.hasStripes == false,
            let waiting = record.unverified.first(where: { $0.timestamp == timestamp })
        else { return }
        settle(waiting.certificate)
        boundRetained()
    }

    /// The version is committed and sound: nothing below it counts any more.
    private mutating func settle(_ certificate: Certificate) {
        let timestamp = certificate.timestamp
        let last = record.committedTimestamp
        record.settle(certificate)
        spendStripes(of: timestamp)
        supersede(below: timestamp, after: last)
        scheduleVerification()
        if isPlanted(.commitDropsPending) {
            drop(record.held.map(\.timestamp).filter { $0 > timestamp })
        }
    }

    /// Keeps the descriptor of a version whose PREPARE did not come here.
    mutating func holdDescriptor(_ descriptor: SealedDescriptor, of timestamp: Timestamp) {
        guard record.version(timestamp) == nil else { return }
        record.hold(
            HeldVersion(
                timestamp, descriptor, descriptor.descriptor.hasStripes ? .absent : .held,
                sizeBytes: UInt64(descriptor.bytes.count)))
        puts.append(ObjectChange.VersionParts(timestamp: timestamp, descriptor: descriptor, fragments: []))
    }

    /// What this server has found out by reading the object. Returns the versions to be signed as poisonous: also
    /// those of which it knew before, if a crash came between that and its signature. Nobody names them any more, so
    /// that it would not find them again, nor anything signed on them if all servers crashed then.
    mutating func take(_ findings: VersionFindings) -> [Timestamp] {
        for timestamp in findings.poisonous where record.committedTimestamp.precedes(timestamp) {
            if !record.isPoisonous(timestamp) { record.markPoisonous(timestamp) }
        }
        for (timestamp, statements) in findings.proofs where record.committedTimestamp.precedes(timestamp) {
            add(statements.map(\.signed), on: timestamp)
        }
        if let (certificate, descriptor) = findings.sound,
            record.committedTimestamp.precedes(certificate.timestamp), !record.isPoisonous(certificate.timestamp),
            record.isUnverified(certificate.timestamp) || fences.fencedServer(in: certificate.certificate) == nil
        {
            // One that counts may have taken the place of what was read meanwhile.
            let own = record.unverified.first { $0.timestamp == certificate.timestamp }?.certificate
            settle(own ?? certificate.certificate)
            holdDescriptor(descriptor, of: certificate.timestamp)
            boundRetained()
        }
        scheduleVerification()
        return record.poisonous.map(\.timestamp).filter { timestamp in
            if isPlanted(.poisonSignedOnce), !findings.poisonous.contains(timestamp) { return false }
            return !record.isProvenPoisonous(timestamp, vouchers: parameters.quorums.vouchers)
                && !record.hasStatement(of: findings.node, on: timestamp)
        }
    }

    /// Adds statements that a version is poisonous. With f + 1 of them its fragments are needed no more: whoever asks
    /// is given the statements.
    mutating func add(_ statements: [SignedStatement], on timestamp: Timestamp) {
        guard record.committedTimestamp.precedes(timestamp) else { return }
        record.markPoisonous(timestamp, statements: statements, countMax: parameters.quorums.vouchers)
        let isProven = record.isProvenPoisonous(timestamp, vouchers: parameters.quorums.vouchers)
        if isProven || isPlanted(.poisonDroppedUnproven), record.version(timestamp) != nil { drop([timestamp]) }
        scheduleVerification()
    }

    /// Whether versions have waited their time to be verified; the next time for them is put off, so that an object
    /// that cannot be verified just now stands in nobody's way.
    mutating func takeDueVerification() -> Bool {
        guard parameters.mode == .lazy, let due = record.verificationDueMilliseconds, due <= nowMilliseconds
        else { return false }
        let retry = isPlanted(.verificationNotRetried) ? .max : nowMilliseconds &+ Self.verificationRetryMilliseconds
        record.verificationDueMilliseconds = retry
        return true
    }

    /// After what time a server tries again to verify an object that it could not.
    private static let verificationRetryMilliseconds: UInt64 = 10_000
    /// After what time it looks again for others' statements on what only it has found to be poisonous. There is no
    /// hurry: they only let it give fragments back. And there may never be any, if no other server was told that the
    /// version is committed.
    private static let statementsRetryMilliseconds: UInt64 = 600_000

    /// When there is next something to find out about the versions above the sound one.
    private mutating func scheduleVerification() {
        let isProven = record.poisonous.allSatisfy { $0.statements.count >= parameters.quorums.vouchers }
        switch (record.unverified.isEmpty, isProven) {
        case (true, true):
            record.verificationDueMilliseconds = nil
        case (true, false):
            let retry = isPlanted(.poisonLeftUnproven) ? nil : nowMilliseconds &+ Self.statementsRetryMilliseconds
            record.verificationDueMilliseconds = retry
        case (false, _):
            if record.verificationDueMilliseconds == nil {
                record.verificationDueMilliseconds =
                    nowMilliseconds &+ parameters.limits.verificationDelayMilliseconds
            }
        }
    }

    /// Drops retained versions whose grace time is over.
    mutating func expire() {
        let due = record.held.filter { version in
            guard let since = version.supersededMilliseconds, !pinned.contains(version.timestamp) else {
                return false
            }
            let (due, overflow) = since.addingReportingOverflow(parameters.limits.retentionMilliseconds)
            return !overflow && due <= nowMilliseconds
        }
        drop(due.map(\.timestamp))
        expireStripes()
        if isPlanted(.currentVersionExpires), !due.isEmpty, let current = record.committedTimestamp,
            record.version(current) != nil
        {
            drop([current])
        }
    }

    /// - Parameter committed: the version that was committed and sound until now.
    private mutating func supersede(below timestamp: Timestamp, after committed: Timestamp?) {
        for position in record.held.indices where record.held[position].timestamp < timestamp {
            if record.held[position].supersededMilliseconds == nil {
                record.held[position].supersededMilliseconds = nowMilliseconds
                record.held[position].wasCommitted = record.held[position].timestamp == committed
            }
        }
    }

    /// Keeps the retained versions within their bound; the oldest go first.
    private mutating func boundRetained() {
        let excess = record.retained.count - parameters.limits.retainedVersionsMax
        guard excess > 0, !isPlanted(.retentionUnbounded) else { return }
        drop(record.held.prefix(excess).map(\.timestamp).filter { !pinned.contains($0) })
    }

    mutating func drop(_ due: [Timestamp]) {
        guard !due.isEmpty else { return }
        record.held.removeAll { due.contains($0.timestamp) }
        puts.removeAll { due.contains($0.timestamp) }
        drops += due
        letGoStripes(of: due)
    }
}
