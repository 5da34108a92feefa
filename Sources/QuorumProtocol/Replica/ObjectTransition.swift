// The rules by which one object's durable state changes (docs/protocol.md, Write, steps 2 and 3; Retention). Pure
// functions of the record and of proven evidence: they decide, and the replica around them orders and stores.

import Fingerprint

/// A change in the making: the record as it will be, and what goes into and out of the store with it.
struct ObjectTransition {
    let key: ObjectKey
    let parameters: ClusterParameters
    let nowMilliseconds: UInt64
    private(set) var record: ObjectRecord
    private var puts: [ObjectChange.VersionParts] = []
    private var drops: [Timestamp] = []
    private var isChanged = false

    init(key: ObjectKey, record: ObjectRecord, parameters: ClusterParameters, nowMilliseconds: UInt64) {
        self.key = key
        self.record = record
        self.parameters = parameters
        self.nowMilliseconds = nowMilliseconds
    }

    /// The change to store, or nil when nothing changes.
    var change: ObjectChange? {
        guard isChanged else { return nil }
        return ObjectChange(
            key: key, record: record, puts: puts, drops: drops,
            nextExpiryMilliseconds: record.nextExpiryMilliseconds(retention: parameters.limits.retentionMilliseconds))
    }

    /// What a PREPARE leads to.
    enum PrepareVerdict {
        /// Sign this claim once the change is durable.
        case sign(Claim)
        case tooManyPending([Timestamp])
        case refuse(Refusal)
    }

    /// PREPARE, verified. On anything but `.sign` the transition must be thrown away: a refusal changes no state.
    mutating func prepare(_ prepare: Prepare, evidence: VerificationEvidence) -> PrepareVerdict {
        if let justification = evidence.certificate, !isPlanted(.justificationNotCommitted) {
            commit(justification, descriptor: nil)
        }
        let timestamp = prepare.timestamp
        let committed = record.committed?.timestamp
        if record.version(timestamp)?.holdsFragments == true {
            return .sign(.stored)
        }
        if timestamp.precedes(committed)
            || isPlanted(.supersededByPending) && record.held.contains(where: { $0.timestamp > timestamp })
        {
            return .sign(.superseded)
        }
        let isCommitted = timestamp == committed
        if !isCommitted {
            let base =
                isPlanted(.justificationNotCommitted)
                ? max(committed.counter, (evidence.certificate?.timestamp).counter) : committed.counter
            let (highestAllowed, overflow) = base.addingReportingOverflow(1)
            guard !overflow, timestamp.counter <= highestAllowed || isPlanted(.counterUnchecked) else {
                return .refuse(
                    evidence.certificate == nil
                        ? .justificationRequired(committedCounter: committed.counter)
                        : .counterSkipped(got: timestamp.counter, highestAllowed: highestAllowed))
            }
            let pending = record.pending(of: timestamp.writer)
            if pending.count >= parameters.limits.pendingVersionsPerClientMax, evidence.admission.isEmpty,
                !pending.contains(where: { $0.timestamp == timestamp }), !isPlanted(.pendingUnlimited)
            {
                return .tooManyPending(
                    pending.prefix(parameters.limits.pendingVersionsPerClientMax).map(\.timestamp))
            }
            if isPlanted(.pendingReplaced) { drop(pending.map(\.timestamp)) }
        }
        // A version committed before its fragments came is completed here: what was missing is now held.
        record.hold(HeldVersion(timestamp: timestamp, holdsFragments: true))
        puts.append(
            ObjectChange.VersionParts(
                timestamp: timestamp, descriptor: prepare.descriptor, fragments: evidence.fragments))
        isChanged = true
        return .sign(.stored)
    }

    /// COMMIT of a certified version, also by justification (then without a descriptor).
    mutating func commit(_ certificate: VerifiedCertificate, descriptor: SealedDescriptor?) {
        precondition(certificate.key == key)
        let timestamp = certificate.timestamp
        let committed = record.committed?.timestamp
        guard !timestamp.precedes(committed) || isPlanted(.commitGoesBack) else { return }
        if timestamp != committed {
            record.committed = certificate.certificate
            supersede(below: timestamp)
            if isPlanted(.commitDropsPending) {
                drop(record.held.map(\.timestamp).filter { $0 > timestamp })
            }
            isChanged = true
        }
        if let descriptor, record.version(timestamp) == nil {
            record.hold(HeldVersion(timestamp: timestamp, holdsFragments: descriptor.descriptor.stripes.isEmpty))
            puts.append(ObjectChange.VersionParts(timestamp: timestamp, descriptor: descriptor, fragments: []))
            isChanged = true
        }
        boundRetained()
    }

    /// Drops retained versions whose grace time is over.
    mutating func expire() {
        let due = record.held.filter { version in
            guard let since = version.supersededMilliseconds else { return false }
            let (due, overflow) = since.addingReportingOverflow(parameters.limits.retentionMilliseconds)
            return !overflow && due <= nowMilliseconds
        }
        drop(due.map(\.timestamp))
        if isPlanted(.currentVersionExpires), !due.isEmpty, let current = record.committed?.timestamp,
            record.version(current) != nil
        {
            drop([current])
        }
    }

    private mutating func supersede(below timestamp: Timestamp) {
        for position in record.held.indices where record.held[position].timestamp < timestamp {
            if record.held[position].supersededMilliseconds == nil {
                record.held[position].supersededMilliseconds = nowMilliseconds
            }
        }
    }

    /// Keeps the retained versions within their bound; the oldest go first.
    private mutating func boundRetained() {
        let retained = record.retained.map(\.timestamp)
        let excess = retained.count - parameters.limits.retainedVersionsMax
        guard excess > 0, !isPlanted(.retentionUnbounded) else { return }
        drop(Array(retained.prefix(excess)))
    }

    private mutating func drop(_ due: [Timestamp]) {
        guard !due.isEmpty else { return }
        record.held.removeAll { due.contains($0.timestamp) }
        puts.removeAll { due.contains($0.timestamp) }
        drops += due
        isChanged = true
    }
}
