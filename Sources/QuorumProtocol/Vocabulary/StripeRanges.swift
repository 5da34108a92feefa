// Sets of an attempt's stripes.

/// Stripes of an attempt, as runs of consecutive ones, in order and apart from each other.
package struct StripeRanges: Hashable, Sendable {
    package private(set) var ranges: [Range<UInt32>] = []

    package init() {}

    package init(_ run: Range<UInt32>) { insert(run) }

    package init(upTo count: UInt32) {
        if count > 0 { ranges = [0..<count] }
    }

    package var count: UInt64 { ranges.reduce(0) { $0 + UInt64($1.count) } }

    /// The first stripe above all that are here.
    package var end: UInt32 { ranges.last?.upperBound ?? 0 }

    package func contains(_ stripe: UInt32) -> Bool { ranges.contains { $0.contains(stripe) } }

    /// Whether every stripe below `count` is here.
    package func covers(upTo count: UInt32) -> Bool {
        count == 0 || ranges.first.map { $0.lowerBound == 0 && $0.upperBound >= count } ?? false
    }

    /// How many of the stripes are not below `bound`.
    package func count(from bound: UInt32) -> UInt64 {
        ranges.reduce(0) { $1.upperBound <= bound ? $0 : $0 + UInt64($1.upperBound - max($1.lowerBound, bound)) }
    }

    /// The runs below `count` that are not here.
    package func missing(upTo count: UInt32) -> [Range<UInt32>] {
        var missing: [Range<UInt32>] = []
        var next: UInt32 = 0
        for range in ranges where next < count {
            if range.lowerBound > next { missing.append(next..<min(count, range.lowerBound)) }
            next = range.upperBound
        }
        if next < count { missing.append(next..<count) }
        return missing
    }

    package mutating func insert(_ stripe: UInt32) {
        precondition(stripe < StagedLimits.stripesMax)
        // Mostly it is the next one.
        let place = ranges.lastIndex { $0.lowerBound <= stripe }
        if let place, ranges[place].contains(stripe) { return }
        let joinsLower = place.map { ranges[$0].upperBound == stripe } ?? false
        let above = place.map { $0 + 1 } ?? 0
        let joinsUpper = above < ranges.count && ranges[above].lowerBound == stripe + 1
        switch (joinsLower, joinsUpper) {
        case (true, true):
            ranges[above - 1] = ranges[above - 1].lowerBound..<ranges[above].upperBound
            ranges.remove(at: above)
        case (true, false): ranges[above - 1] = ranges[above - 1].lowerBound..<(stripe + 1)
        case (false, true): ranges[above] = stripe..<ranges[above].upperBound
        case (false, false): ranges.insert(stripe..<(stripe + 1), at: above)
        }
    }

    /// Adds a run.
    package mutating func insert(_ run: Range<UInt32>) {
        guard !run.isEmpty else { return }
        precondition(run.upperBound <= StagedLimits.stripesMax)
        var (merged, before, after) = (run, [Range<UInt32>](), [Range<UInt32>]())
        for range in ranges {
            if range.upperBound < merged.lowerBound {
                before.append(range)
            } else if range.lowerBound > merged.upperBound {
                after.append(range)
            } else {
                merged = min(range.lowerBound, merged.lowerBound)..<max(range.upperBound, merged.upperBound)
            }
        }
        ranges = before + [merged] + after
    }

    package mutating func remove(_ run: Range<UInt32>) {
        guard !run.isEmpty else { return }
        ranges = ranges.flatMap { range in
            let below = range.lowerBound..<max(range.lowerBound, min(range.upperBound, run.lowerBound))
            let above = min(range.upperBound, max(range.lowerBound, run.upperBound))..<range.upperBound
            return [below, above].filter { !$0.isEmpty }
        }
    }

    package mutating func remove(_ stripe: UInt32) { remove(stripe..<(stripe + 1)) }

    /// Closes the narrowest gaps until there are no more runs than `countMax`.
    package mutating func merge(to countMax: Int) {
        while ranges.count > max(1, countMax) {
            let gaps = zip(ranges, ranges.dropFirst()).map { $1.lowerBound - $0.upperBound }
            guard let place = gaps.indices.min(by: { gaps[$0] < gaps[$1] }) else { return }
            ranges[place] = ranges[place].lowerBound..<ranges[place + 1].upperBound
            ranges.remove(at: place + 1)
        }
    }

    /// The lowest runs.
    package func first(_ countMax: Int) -> StripeRanges {
        var first = self
        first.ranges = Array(ranges.prefix(countMax))
        return first
    }

    /// Those that are not below `bound`.
    package func from(_ bound: UInt32) -> StripeRanges {
        bound == 0 ? self : subtracting(StripeRanges(0..<bound))
    }

    package func subtracting(_ other: StripeRanges) -> StripeRanges {
        var rest = self
        for range in other.ranges { rest.remove(range) }
        return rest
    }

    /// Whether any stripe below `bound` is here.
    package func hasAny(below bound: UInt32) -> Bool { ranges.first.map { $0.lowerBound < bound } ?? false }

    package func encode(into encoder: inout CanonicalEncoder) {
        encoder.append(UInt16(ranges.count))
        for range in ranges {
            encoder.append(range.lowerBound)
            encoder.append(range.upperBound)
        }
    }

    /// - Parameter countMax: how many runs there may be.
    package init(
        from decoder: inout CanonicalDecoder, countMax: Int = StagedLimits.rangesMax
    ) throws(MalformedEncoding) {
        let count = try decoder.count("stripe ranges", as: UInt16.self, limit: countMax)
        for _ in 0..<count {
            let lower: UInt32 = try decoder.integer("first stripe")
            let upper: UInt32 = try decoder.integer("end of stripes")
            guard lower < upper, upper <= StagedLimits.stripesMax, ranges.last.map({ $0.upperBound < lower }) ?? true
            else { throw .notCanonical(field: "stripe ranges") }
            ranges.append(lower..<upper)
        }
    }
}
