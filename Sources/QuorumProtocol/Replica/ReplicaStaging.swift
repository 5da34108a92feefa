// What a replica does with stripes that go ahead of their version (docs/protocol.md, Large values).

import ErasureCode
import Fingerprint

extension Replica {
    func refusal(of stage: Stage, from principal: Principal) -> Refusal? {
        guard case .client(let client) = principal, stage.attempt.stager == client else {
            return .notEntitled(principal)
        }
        let limit = StagedLimits.namedStripesMax
        guard !parameters.mode.verifiesLater || stage.stripe < limit else {
            return .tooManyStripes(got: Int(stage.stripe) + 1, limit: limit)
        }
        guard let own = parameters.placement(of: stage.key).position(of: node) else {
            return .notEntitled(principal)
        }
        guard stage.position == own || isPlanted(.positionUnchecked) else {
            return .foreignPosition(stage.position, expected: own)
        }
        return nil
    }

    /// One fragment and one page at most, read without the object's turn: what is staged under a name is what a version
    /// holds, or nobody relies on it.
    mutating func fetch(_ fetch: Fetch, tag: RequestTag, from principal: Principal, into effects: inout [ReplicaEffect])
    {
        if let pin = fetch.pin, case .client = principal {
            pins.pin(
                pin, of: fetch.key, for: principal, nowMilliseconds: nowMilliseconds,
                forMilliseconds: parameters.limits.pinMilliseconds)
        }
        effects.append(.replyWithFetched(tag, fetch))
    }
}

extension StagedContents {
    /// Whether what is staged at a server is what the version's descriptor says: the same cross-checksums under the
    /// same names, whoever staged them.
    ///
    /// - Returns: runs of stripes that are others, or cannot be shown; at most as many as are named at a time.
    func inspect(
        _ key: ObjectKey, in store: some ReplicaStore, parameters: ClusterParameters
    ) -> StoredParts<[MissingStripes]> {
        var wrong: [MissingStripes] = []
        for (index, part) in parts.enumerated() {
            var first: UInt32 = 0
            while first < part.stripeCount {
                let (_, count) = part.page(of: first)
                let run = first..<(first + UInt32(count))
                switch store.page(of: part.attempt, run, key: key, parameters: parameters) {
                case .held(let bytes):
                    let isRight =
                        part.named.isEmpty
                        ? Digest256.sha256(bytes) == part.pages[Int(first / StripePage.stripesMax)]
                        : bytes == StripePage(first: first, stripes: Array(part.named)).bytes(parameters)
                    let isShaped =
                        (try? StripePage(decoding: bytes, first: first, parameters: parameters)).map(part.fits) ?? false
                    if !(isRight && isShaped), !isPlanted(.otherStripesCounted) {
                        wrong.append(MissingStripes(part: UInt16(index), stripes: run))
                    }
                case .absent, .lost:
                    if !isPlanted(.stripesUnlooked) {
                        wrong.append(MissingStripes(part: UInt16(index), stripes: run))
                    }
                case .unreadable: return .unreadable
                case .notInMemory: return .notInMemory
                }
                if wrong.count == StagedLimits.missingMax { return .held(wrong) }
                first = run.upperBound
            }
        }
        return .held(wrong)
    }
}

extension ReplicaStore {
    /// The canonical bytes of the page of an attempt's stripes; absent when any of them is.
    func page(
        of attempt: AttemptName, _ stripes: Range<UInt32>, key: ObjectKey, parameters: ClusterParameters
    ) -> StoredParts<[UInt8]> {
        var bytes = StripePage.header(first: stripes.lowerBound, count: stripes.count, parameters: parameters)
        for stripe in stripes {
            switch stagedEntry(of: attempt, stripe: stripe, key: key) {
            case .held(let entry): bytes += entry
            case .absent: return .absent
            case .lost: return .lost
            case .unreadable: return .unreadable
            case .notInMemory: return .notInMemory
            }
        }
        return .held(bytes)
    }
}
