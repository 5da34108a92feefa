// What is known of an upload while it goes on: its stripes' cross-checksums, page by page, and which servers lack which
// of its stripes (docs/protocol.md, Large values).
//
// Invariant: at most f servers are behind at any time, so that q have every stripe.

import Fingerprint
import QuorumProtocol

/// Stripes of one part, in constant memory: of full pages only the digest is kept.
struct UploadTally: Sendable {
    let attempt: AttemptName
    let stripeSizeBytes: UInt32
    private let parameters: ClusterParameters
    private(set) var lengthBytes: UInt64 = 0
    /// Where the part ends, once its last stripe is known by being shorter than the others.
    private var endBytes: UInt64?
    private(set) var stripeCount: UInt32 = 0
    private var pages: [UInt32: Digest256] = [:]
    /// Of pages that are not full.
    private var open: [UInt32: CrossChecksum] = [:]
    /// The first stripes, which a descriptor names if there are no others.
    private var first: [UInt32: CrossChecksum] = [:]
    /// By server, the stripes that it has not.
    private(set) var missing: [Position: Set<UInt32>] = [:]

    init(attempt: AttemptName, stripeSizeBytes: UInt32, parameters: ClusterParameters) {
        self.attempt = attempt
        self.stripeSizeBytes = stripeSizeBytes
        self.parameters = parameters
    }

    private var quorums: QuorumConfiguration { parameters.quorums }

    /// The servers that lack a stripe.
    var behind: PositionSet { PositionSet(missing.keys) }

    /// Who is sent a stripe that begins now: all but those that are being filled.
    var targets: PositionSet { PositionSet(quorums.positions.filter { missing[$0] == nil }) }

    /// Takes the stripe into account, which these servers have.
    ///
    /// - Returns: servers that have to have it before it may be forgotten; empty when it is taken.
    mutating func add(_ stripe: UInt32, _ crossChecksum: CrossChecksum, stagedAt staged: PositionSet) -> PositionSet {
        let lacking = quorums.positions.filter { !staged.contains($0) }
        let fresh = lacking.filter { missing[$0] == nil }
        let room = quorums.faults - missing.count
        guard fresh.count <= room else { return PositionSet(fresh.dropFirst(max(0, room))) }
        for server in lacking { missing[server, default: []].insert(stripe) }
        name(stripe, crossChecksum)
        if crossChecksum.blockSizeBytes < Int(stripeSizeBytes) {
            endBytes = UInt64(stripe) * UInt64(stripeSizeBytes) + UInt64(crossChecksum.blockSizeBytes)
        }
        lengthBytes += UInt64(crossChecksum.blockSizeBytes)
        stripeCount = max(stripeCount, stripe + 1)
        return []
    }

    private mutating func name(_ stripe: UInt32, _ crossChecksum: CrossChecksum) {
        if stripe < StagedLimits.namedStripesMax { first[stripe] = crossChecksum }
        open[stripe] = crossChecksum
        let start = stripe - stripe % StripePage.stripesMax
        let range = start..<(start + StripePage.stripesMax)
        let named = range.compactMap { open[$0] }
        if named.count == range.count { close(start, named) }
    }

    private mutating func close(_ start: UInt32, _ stripes: [CrossChecksum]) {
        pages[start] = Digest256.sha256(StripePage(first: start, stripes: stripes).bytes(parameters))
        for stripe in start..<(start + UInt32(stripes.count)) { open[stripe] = nil }
    }

    /// The server has the stripe now.
    mutating func filled(_ stripe: UInt32, at server: Position) {
        missing[server]?.remove(stripe)
        if missing[server]?.isEmpty ?? false { missing[server] = nil }
    }

    /// How the stripe is known.
    func name(of stripe: UInt32) -> StripeToFetch.Name? {
        if let known = open[stripe] ?? first[stripe] { return .known(known) }
        let start = stripe - stripe % StripePage.stripesMax
        guard let digest = pages[start] else { return nil }
        return .page(Fetch.PageRange(first: start, count: UInt16(StripePage.stripesMax)), digest)
    }

    /// The part, once all stripes are there.
    func part() -> StagedPart {
        var complete = self
        if stripeCount <= StagedLimits.namedStripesMax {
            let named = (0..<stripeCount).compactMap { first[$0] }
            return StagedPart(
                attempt: attempt, lengthBytes: lengthBytes, stripeSizeBytes: stripeSizeBytes, named: named)
        }
        let start = stripeCount - 1 - (stripeCount - 1) % StripePage.stripesMax
        if pages[start] == nil { complete.close(start, (start..<stripeCount).compactMap { open[$0] }) }
        let digests = stride(from: 0, to: stripeCount, by: Int(StripePage.stripesMax)).compactMap { complete.pages[$0] }
        return StagedPart(
            attempt: attempt, lengthBytes: lengthBytes, stripeSizeBytes: stripeSizeBytes, pages: digests)
    }

    /// A part of which the stripe may be fetched while it is not complete.
    var partSoFar: StagedPart {
        StagedPart(
            attempt: attempt, lengthBytes: endBytes ?? UInt64(stripeSizeBytes) << 24, stripeSizeBytes: stripeSizeBytes)
    }
}
