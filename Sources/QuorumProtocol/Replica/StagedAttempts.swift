// What a server's record of an object says of stripes that are staged (docs/protocol.md, Large values). A stripe is
// staged by one client under a name of its own, so that nobody spoils another's; versions hold stripes by naming them.
//
// Invariants: below a version's bound in an attempt no stripe changes or goes; an attempt that no version holds, and
// whose stager is done with it, goes at once, or at the next look where one change would give back too much.

import Fingerprint

/// One attempt, as far as its stripes are durable here.
package struct StagedAttempt: Equatable, Sendable {
    package let name: AttemptName
    package let stripeSizeBytes: UInt32
    /// What its stager is charged for each stripe.
    package let stripeChargeBytes: UInt64
    package var stripes = StripeRanges()
    /// Of those that a version holds, the ones whose fragment or entry is lost, or has yet to be brought here.
    package var lost = StripeRanges()
    /// The server's clock at its last STAGE, in milliseconds.
    package var lastMilliseconds: UInt64
    /// Whether its stager is done with it: it goes with the last version that holds any of it.
    package var isSpent = false
    /// Whether it is here only for a version that was repaired: its stager has staged nothing of it here.
    var isRepairs = false
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

    /// The stripes that can be shown.
    package var good: StripeRanges { lost.ranges.isEmpty ? stripes : stripes.subtracting(lost) }

    /// Whether it goes with the last version that holds any of it.
    var isOver: Bool { isSpent || isRepairs }

    /// Whether its stager may yet have a version hold stripes of it that none holds.
    var isOpen: Bool { !isSpent && unheldBytes > 0 }

    /// Stripes below this are some version's.
    package var heldCount: UInt32 { holders.reduce(0) { max($0, $1.stripeCount) } }

    /// What its stager is charged for: stripes that no version has.
    var unheldBytes: UInt64 { stripes.count(from: heldCount) &* stripeChargeBytes }

    /// In which pieces a store has it. A stripe far above the others is one piece, not all up to there.
    package var chunks: [Range<UInt32>] {
        var chunks: [Range<UInt32>] = []
        for range in stripes.ranges {
            let first = range.lowerBound / StagedLimits.stripesPerChunk
            let end = (range.upperBound - 1) / StagedLimits.stripesPerChunk + 1
            if let last = chunks.last, first < last.upperBound {
                chunks[chunks.count - 1] = last.lowerBound..<max(last.upperBound, end)
            } else {
                chunks.append(first..<end)
            }
        }
        return chunks
    }

    /// What it takes of a record, beside the name of its upload. What is lost is not counted, or loss would keep others
    /// from staging; it has a bound of its own.
    var recordSizeBytes: Int { 31 + 8 * stripes.ranges.count + Self.holderSizeBytes * holders.count }

    static let holderSizeBytes = 6

    /// - Parameter held: the record's versions, by whose places holders are named: a value has many parts.
    func encode(into encoder: inout CanonicalEncoder, held: [HeldVersion]) {
        encoder.append(name.part)
        encoder.append(name.number)
        encoder.append(stripeSizeBytes)
        encoder.append(stripeChargeBytes)
        stripes.encode(into: &encoder)
        encoder.append(lastMilliseconds)
        let isDamaged = !lost.ranges.isEmpty
        encoder.append(UInt8((isSpent ? 1 : 0) | (isDamaged ? 2 : 0) | (isRepairs ? 4 : 0)))
        if isDamaged { lost.encode(into: &encoder) }
        let places = holders.compactMap { holder in
            held.firstIndex { $0.timestamp == holder.timestamp }.map { (place: $0, stripeCount: holder.stripeCount) }
        }
        encoder.append(UInt16(places.count))
        for holder in places {
            encoder.append(UInt16(holder.place))
            encoder.append(holder.stripeCount)
        }
    }

    init(
        from decoder: inout CanonicalDecoder, stager: ClientID, upload: UploadID, held: [HeldVersion]
    ) throws(MalformedEncoding) {
        let part: UInt16 = try decoder.integer("part")
        guard (1...StagedLimits.partsMax).contains(Int(part)) else { throw .notCanonical(field: "part") }
        name = AttemptName(stager: stager, upload: upload, part: part, number: try decoder.integer("attempt"))
        stripeSizeBytes = try decoder.integer("stripe size")
        stripeChargeBytes = try decoder.integer("charge of a stripe")
        stripes = try StripeRanges(from: &decoder)
        lastMilliseconds = try decoder.integer("last staged")
        let flags: UInt8 = try decoder.integer("flags of an attempt")
        guard flags <= 7 else { throw .notCanonical(field: "flags of an attempt") }
        isSpent = flags & 1 != 0
        isRepairs = flags & 4 != 0
        if flags & 2 != 0 {
            lost = try StripeRanges(from: &decoder)
            guard !lost.ranges.isEmpty else { throw .notCanonical(field: "lost stripes") }
        }
        let holderCount: UInt16 = try decoder.integer("holders")
        for _ in 0..<holderCount {
            let place: UInt16 = try decoder.integer("holder")
            let stripeCount: UInt32 = try decoder.integer("held stripes")
            guard held.indices.contains(Int(place)), stripeCount > 0, stripes.covers(upTo: stripeCount) else {
                throw .notCanonical(field: "held stripes")
            }
            holders.append(Holder(timestamp: held[Int(place)].timestamp, stripeCount: stripeCount))
        }
    }
}

extension ObjectRecord {
    /// A stager and an upload, and how many attempts follow.
    private static let uploadSizeBytes = 36

    /// The attempts, those of one client's upload together, since its name is longer than what is to be said of them.
    func encodeStaged(into encoder: inout CanonicalEncoder) {
        let uploads = uploads
        encoder.append(UInt32(uploads.count))
        for attempts in uploads {
            encoder.append(attempts[attempts.startIndex].name.stager)
            encoder.append(attempts[attempts.startIndex].name.upload)
            encoder.append(UInt32(attempts.count))
            for attempt in attempts { attempt.encode(into: &encoder, held: held) }
        }
    }

    /// Whether the attempt in this place is the first of its upload.
    private func beginsUpload(_ place: Int) -> Bool {
        guard place > 0 else { return true }
        let (last, name) = (staged[place - 1].name, staged[place].name)
        return last.stager != name.stager || last.upload != name.upload
    }

    mutating func decodeStaged(from decoder: inout CanonicalDecoder, countMax: Int) throws(MalformedEncoding) {
        var attempts: [StagedAttempt] = []
        let uploadCount = try decoder.count("uploads", as: UInt32.self, limit: countMax)
        var last: (stager: ClientID, upload: UploadID)?
        for _ in 0..<uploadCount {
            let stager: ClientID = try decoder.name("stager")
            let upload: UploadID = try decoder.name("upload")
            guard last.map({ ($0.stager, $0.upload) < (stager, upload) }) ?? true else {
                throw .notCanonical(field: "uploads' order")
            }
            last = (stager, upload)
            let count = try decoder.count("staged attempts", as: UInt32.self, limit: countMax)
            guard count > 0 else { throw .notCanonical(field: "staged attempts") }
            for _ in 0..<count {
                let attempt = try StagedAttempt(from: &decoder, stager: stager, upload: upload, held: held)
                guard attempts.last.map({ $0.name < attempt.name }) ?? true else {
                    throw .notCanonical(field: "staged attempts' order")
                }
                attempts.append(attempt)
            }
        }
        staged = attempts
    }

    /// The attempts that no version holds, and when each goes: an upload is gone on with as a whole, so its last STAGE
    /// counts for all of them. What never goes is left out.
    func unheldAttempts(_ limits: ProtocolLimits) -> [(attempt: StagedAttempt, dueMilliseconds: UInt64)] {
        var unheld: [(attempt: StagedAttempt, dueMilliseconds: UInt64)] = []
        for attempts in uploads {
            let last = attempts.reduce(0) { max($0, $1.lastMilliseconds) }
            let (due, overflow) = last.addingReportingOverflow(limits.stagedMilliseconds)
            for attempt in attempts where attempt.holders.isEmpty {
                if attempt.isOver {
                    unheld.append((attempt, 0))
                } else if !overflow {
                    unheld.append((attempt, due))
                }
            }
        }
        return unheld
    }

    /// The attempts, those of one client's upload together.
    private var uploads: [ArraySlice<StagedAttempt>] {
        let firsts = staged.indices.filter(beginsUpload)
        return zip(firsts, firsts.dropFirst() + [staged.endIndex]).map { staged[$0..<$1] }
    }

    /// The client's uploads of which a version may yet hold what none holds.
    func uploads(of stager: ClientID) -> [UploadStatus] {
        uploads.compactMap { attempts in
            guard let name = attempts.first?.name, name.stager == stager, attempts.contains(where: \.isOpen)
            else { return nil }
            return UploadStatus(
                upload: name.upload, attempts: UInt32(clamping: attempts.count),
                chargedBytes: attempts.reduce(0) { $0 &+ $1.unheldBytes },
                lastMilliseconds: attempts.reduce(0) { max($0, $1.lastMilliseconds) })
        }
    }

    /// Whose uploads are not over.
    var uploaders: [ClientID] {
        var uploaders: [ClientID] = []
        for attempt in staged where uploaders.last != attempt.name.stager && attempt.isOpen {
            uploaders.append(attempt.name.stager)
        }
        return uploaders
    }

    /// What the attempts take of the record, all of them and one client's.
    func stagedSizeBytes(of stager: ClientID) -> (all: Int, own: Int) {
        var (all, own) = (0, 0)
        for position in staged.indices {
            let size = staged[position].recordSizeBytes + (beginsUpload(position) ? Self.uploadSizeBytes : 0)
            all += size
            if staged[position].name.stager == stager { own += size }
        }
        return (all, own)
    }

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

    /// What of the version's stripes is not staged here, or lost; at most as many runs as are named at a time.
    package func missingStripes(of contents: StagedContents) -> [MissingStripes] {
        var missing: [MissingStripes] = []
        for (index, part) in contents.parts.enumerated() {
            let attempt = attempt(part.attempt)
            let isUsable = attempt.map { $0.stripeSizeBytes == part.stripeSizeBytes } ?? false
            let runs = (isUsable ? attempt?.good : nil)?.missing(upTo: part.stripeCount) ?? [0..<part.stripeCount]
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
