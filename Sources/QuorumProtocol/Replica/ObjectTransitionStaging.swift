// The rules by which what is staged at an object changes (docs/protocol.md, Large values).

import ErasureCode
import Fingerprint

/// A stripe of an attempt that a change stores.
package struct StagedStripe: Sendable {
    package let attempt: AttemptName
    package let stripe: UInt32
    /// The stripe's entry of its page.
    package let entry: [UInt8]
    package let fragment: VerifiedFragment
}

/// An attempt of which a change gives back what is stored, all of it or these pieces.
package struct StagedDrop: Equatable, Sendable {
    package let attempt: AttemptName
    /// The pieces in which the store has it.
    package let chunks: [Range<UInt32>]

    var chunkCount: Int { chunks.reduce(0) { $0 + $1.count } }
}

extension ObjectTransition {
    /// STAGE, verified. Returns why it was refused; then nothing has changed.
    mutating func stage(_ stage: Stage, _ fragment: VerifiedFragment, accounts: borrowing Accounts) -> Refusal? {
        let limits = parameters.limits
        let known = record.attempt(stage.attempt)
        let chargeBytes = StagedLimits.chargeBytes(ofStripe: stage.stripeSizeBytes, parameters.quorums)
        var attempt =
            known
            ?? StagedAttempt(
                stage.attempt, stripeSizeBytes: stage.stripeSizeBytes, stripeChargeBytes: chargeBytes,
                milliseconds: nowMilliseconds)
        guard !attempt.isSpent else { return .uploadEnded }
        // What was here for a version's repair is being given back.
        guard !attempt.isRepairs || !attempt.holders.isEmpty else { return .busy }
        guard attempt.stripeSizeBytes == stage.stripeSizeBytes else {
            return .otherStripeSize(stage.stripeSizeBytes, expected: attempt.stripeSizeBytes)
        }
        guard stage.stripe >= attempt.heldCount || isPlanted(.heldStripesReplaced) else { return .stripeHeld }
        if known == nil {
            let own = record.staged.count { $0.name.stager == stage.attempt.stager }
            guard own < limits.attemptsPerClientMax else {
                return .tooManyAttempts(limit: limits.attemptsPerClientMax)
            }
            guard record.staged.count < limits.attemptsMax else { return .tooManyAttempts(limit: limits.attemptsMax) }
        }
        if !attempt.stripes.contains(stage.stripe) {
            let rangeCount = attempt.stripes.ranges.count
            attempt.stripes.insert(stage.stripe)
            guard attempt.stripes.ranges.count <= StagedLimits.rangesMax else {
                return .tooScattered(limit: StagedLimits.rangesMax)
            }
            if attempt.stripes.ranges.count > rangeCount, !hasRoom(of: stage.attempt.stager) {
                return known == nil
                    ? .tooManyAttempts(limit: record.staged.count) : .tooScattered(limit: rangeCount)
            }
            let isBare = record.highestCommitted == nil && !record.stagers.contains(stage.attempt.stager)
            if let refusal = accounts.refusal(
                of: stage.attempt.stager, sizeBytes: newlyStagedBytes &+ chargeBytes, isBare: isBare, frees: false,
                limits)
            {
                return refusal
            }
            newlyStagedBytes &+= chargeBytes
        }
        attempt.lastMilliseconds = nowMilliseconds
        attempt.isRepairs = false
        record.set(attempt)
        stagedPuts.append(
            StagedStripe(
                attempt: stage.attempt, stripe: stage.stripe, entry: StripeEntry.bytes(stage.crossChecksum),
                fragment: fragment))
        return nil
    }

    /// Whether the version names stripes of an upload that is over. Its value was committed under another timestamp, and
    /// is not to take effect once more after what was written since; or its client has given it up.
    func isOver(_ contents: StagedContents) -> Bool {
        contents.parts.contains { record.attempt($0.attempt)?.isSpent ?? false }
    }

    /// Whether the record has room for one more run of stripes of the client's: what it takes of the record must stay
    /// bounded, or nothing could be stored of the object any more, and some of it is left to others.
    private func hasRoom(of stager: ClientID) -> Bool {
        let limit = parameters.stagedRecordSizeBytesMax
        let taken = record.stagedSizeBytes(of: stager)
        return taken.all < limit && taken.own < limit / 16 * 13
    }

    /// Whether the record has room for a version that holds so many attempts.
    func hasRoom(forHolding attemptCount: Int, of writer: ClientID) -> Bool {
        let limit = parameters.stagedRecordSizeBytesMax / 2 * 3
        return record.stagedSizeBytes(of: writer).all + attemptCount * StagedAttempt.holderSizeBytes <= limit
    }

    /// DISCARD: what no version holds goes; the rest goes with the versions.
    mutating func discard(_ discard: Discard) {
        spend(discard.covers)
        if isPlanted(.discardTakesHeld) {
            for attempt in record.staged where discard.covers(attempt.name) { giveBack(attempt) }
        }
    }

    /// What of a version's stripes its writer is charged for already, and will not be once the version is held.
    func chargedBytes(of contents: StagedContents, to writer: ClientID) -> UInt64 {
        contents.parts.reduce(0) { sum, part in
            guard part.attempt.stager == writer, let attempt = record.attempt(part.attempt), attempt.heldCount == 0
            else { return sum }
            return sum &+ UInt64(part.stripeCount)
                &* StagedLimits.chargeBytes(ofStripe: part.stripeSizeBytes, parameters.quorums)
        }
    }

    /// The version holds the stripes that it names, all of which are there.
    mutating func holdStripes(of timestamp: Timestamp, _ contents: StagedContents) {
        for part in contents.parts {
            guard var attempt = record.attempt(part.attempt) else { continue }
            attempt.holders.removeAll { $0.timestamp == timestamp }
            attempt.holders.append(StagedAttempt.Holder(timestamp: timestamp, stripeCount: part.stripeCount))
            record.set(attempt)
        }
    }

    /// The versions are here no more.
    mutating func letGoStripes(of timestamps: [Timestamp]) {
        for var attempt in record.staged where attempt.holders.contains(where: { timestamps.contains($0.timestamp) }) {
            attempt.holders.removeAll { timestamps.contains($0.timestamp) }
            record.set(attempt)
            if attempt.holders.isEmpty, attempt.isOver || isPlanted(.unspentStripesGivenBack) {
                giveBack(attempt)
            } else if attempt.lost.end > attempt.heldCount {
                unstage(attempt.lost.from(attempt.heldCount), of: attempt)
            }
            if isPlanted(.sharedStripesGivenBack) { giveBack(attempt) }
        }
    }

    /// The version is committed: its writer needs no more what it staged to that upload.
    mutating func spendStripes(of timestamp: Timestamp) {
        let held = record.staged.filter { attempt in attempt.holders.contains { $0.timestamp == timestamp } }
        guard let upload = held.first(where: { $0.name.stager == timestamp.writer })?.name.upload else { return }
        spentUploads.append(upload)
        spend { $0.stager == timestamp.writer && $0.upload == upload }
    }

    private mutating func spend(_ isMeant: (AttemptName) -> Bool) {
        for var attempt in record.staged where isMeant(attempt.name) && !attempt.isSpent {
            attempt.isSpent = true
            record.set(attempt)
            if attempt.holders.isEmpty { giveBack(attempt) }
        }
    }

    /// What nobody has gone on with for long goes, unless a version holds it; and what is left of earlier changes.
    mutating func expireStripes() {
        for (attempt, due) in record.unheldAttempts(parameters.limits) where due <= nowMilliseconds {
            giveBack(attempt)
        }
        if isPlanted(.heldStripesExpire) {
            let (last, overflow) = nowMilliseconds.subtractingReportingOverflow(parameters.limits.stagedMilliseconds)
            for attempt in record.staged where !overflow && attempt.lastMilliseconds <= last { giveBack(attempt) }
        }
    }

    /// Gives back what is stored of the attempt; at the next look if the change gives back as much as one may.
    mutating func giveBack(_ attempt: StagedAttempt) {
        let given = stagedDrops.reduce(0) { $0 + $1.chunkCount }
        guard given < parameters.limits.stagedDropsPerChangeMax else { return }
        record.staged.removeAll { $0.name == attempt.name }
        stagedPuts.removeAll { $0.attempt == attempt.name }
        stagedDrops.append(StagedDrop(attempt: attempt.name, chunks: attempt.chunks))
    }
}
