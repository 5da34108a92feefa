// What a server's record of an object says of stripes that are staged (docs/protocol.md, Large values). A stripe is
// staged by one client under a name of its own, so that nobody spoils another's; versions hold stripes by naming them.
//
// Invariants: below a version's bound in an attempt no stripe changes or goes; an attempt that no version holds, and
// whose stager is done with it, is not there any more.

import Fingerprint

/// One attempt, as far as its stripes are durable here.
package struct StagedAttempt: Equatable, Sendable {
    package let name: AttemptName
    package let stripeSizeBytes: UInt32
    /// What its stager is charged for each stripe.
    package let stripeChargeBytes: UInt64
    package var stripes = StripeRanges()
    /// The server's clock at its last STAGE, in milliseconds.
    package var lastMilliseconds: UInt64
    /// Whether its stager is done with it: it goes with the last version that holds any of it.
    package var isSpent = false
    /// The versions that hold stripes of it, and up to which one.
    package var holders: [Holder] = []

    package struct Holder: Equatable, Sendable {
        package let timestamp: Timestamp
        package let stripeCount: UInt32
    }

    init(_ name: AttemptName, stripeSizeBytes: UInt32, stripeChargeBytes: UInt64, milliseconds: UInt64) {
        self.name = name
        self.stripeChargeBytes = stripeChargeBytes
        self.stripeSizeBytes = stripeSizeBytes
        lastMilliseconds = milliseconds
    }

    /// Stripes below this are some version's.
    package var heldCount: UInt32 { holders.reduce(0) { max($0, $1.stripeCount) } }

    /// What its stager is charged for: stripes that no version has.
    var unheldBytes: UInt64 { stripes.count(from: heldCount) &* stripeChargeBytes }

    /// In how many pieces a store has it.
    package var chunkCount: UInt32 { stripes.end == 0 ? 0 : (stripes.end - 1) / StagedLimits.stripesPerChunk + 1 }

    func encode(into encoder: inout CanonicalEncoder) {
        name.encode(into: &encoder)
        encoder.append(stripeSizeBytes)
        encoder.append(stripeChargeBytes)
        stripes.encode(into: &encoder)
        encoder.append(lastMilliseconds)
        encoder.append(UInt8(isSpent ? 1 : 0))
        encoder.append(UInt16(holders.count))
        for holder in holders {
            encoder.append(holder.timestamp)
            encoder.append(holder.stripeCount)
        }
    }

    init(from decoder: inout CanonicalDecoder) throws(MalformedEncoding) {
        name = try AttemptName(from: &decoder)
        stripeSizeBytes = try decoder.integer("stripe size")
        stripeChargeBytes = try decoder.integer("charge of a stripe")
        stripes = try StripeRanges(from: &decoder)
        lastMilliseconds = try decoder.integer("last staged")
        isSpent = try decoder.flag("spent")
        let holderCount: UInt16 = try decoder.integer("holders")
        for _ in 0..<holderCount {
            let timestamp = try decoder.timestamp("holder")
            let stripeCount: UInt32 = try decoder.integer("held stripes")
            guard stripeCount > 0, stripes.covers(upTo: stripeCount) else {
                throw .notCanonical(field: "held stripes")
            }
            holders.append(Holder(timestamp: timestamp, stripeCount: stripeCount))
        }
    }
}

extension ObjectRecord {
    package func attempt(_ name: AttemptName) -> StagedAttempt? {
        // They are in order.
        var (low, high) = (staged.startIndex, staged.endIndex)
        while low < high {
            let middle = (low + high) / 2
            if staged[middle].name < name { low = middle + 1 } else { high = middle }
        }
        return low < staged.endIndex && staged[low].name == name ? staged[low] : nil
    }

    /// Puts the attempt in its place, or in that of what was there.
    mutating func set(_ attempt: StagedAttempt) {
        let place = staged.firstIndex { !($0.name < attempt.name) } ?? staged.endIndex
        if place < staged.endIndex, staged[place].name == attempt.name {
            staged[place] = attempt
        } else {
            staged.insert(attempt, at: place)
        }
    }

    /// What of the version's stripes is not staged here; at most as many runs as are named at a time.
    func missingStripes(of contents: StagedContents) -> [MissingStripes] {
        var missing: [MissingStripes] = []
        for (index, part) in contents.parts.enumerated() {
            let attempt = attempt(part.attempt)
            let isUsable = attempt.map { $0.stripeSizeBytes == part.stripeSizeBytes } ?? false
            let runs = (isUsable ? attempt?.stripes : nil)?.missing(upTo: part.stripeCount) ?? [0..<part.stripeCount]
            for run in runs {
                guard missing.count < StagedLimits.missingMax else { return missing }
                missing.append(MissingStripes(part: UInt16(index), stripes: run))
            }
        }
        return missing
    }

    /// Whose attempts are here.
    var stagers: [ClientID] {
        var stagers: [ClientID] = []
        for attempt in staged where stagers.last != attempt.name.stager { stagers.append(attempt.name.stager) }
        return stagers
    }
}
