// Sets of stripes against a plain set.

import Testing

@testable import QuorumProtocol

@Suite("Sets of stripes")
struct StripeRangesTests {
    private static let bound: UInt32 = 60

    private func run(_ generator: inout SplitMix64) -> Range<UInt32> {
        let first = UInt32.random(in: 0...Self.bound, using: &generator)
        return first..<min(Self.bound, first + UInt32.random(in: 0...12, using: &generator))
    }

    private func expect(_ ranges: StripeRanges, _ model: Set<UInt32>, _ note: String) {
        #expect(Set(ranges.ranges.joined()) == model, "\(note)")
        #expect(ranges.ranges.allSatisfy { !$0.isEmpty }, "\(note)")
        // In order and apart: else one set had several forms.
        #expect(zip(ranges.ranges, ranges.ranges.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound }, "\(note)")
        #expect(ranges.count == UInt64(model.count) && ranges.end == (model.max().map { $0 + 1 } ?? 0), "\(note)")
    }

    private func random(_ generator: inout SplitMix64) -> (StripeRanges, Set<UInt32>) {
        var (ranges, model) = (StripeRanges(), Set<UInt32>())
        for _ in 0..<Int.random(in: 0...8, using: &generator) {
            let run = run(&generator)
            ranges.insert(run)
            model.formUnion(run)
        }
        return (ranges, model)
    }

    @Test("take in and give back what they are told", arguments: 0..<50 as Range<UInt64>)
    func changes(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var (ranges, model) = (StripeRanges(), Set<UInt32>())
        for number in 0..<200 {
            let (run, stripe) = (run(&generator), UInt32.random(in: 0..<Self.bound, using: &generator))
            switch Int.random(in: 0..<5, using: &generator) {
            case 0:
                ranges.insert(stripe)
                model.insert(stripe)
            case 1:
                ranges.insert(run)
                model.formUnion(run)
            case 2:
                ranges.remove(stripe)
                model.remove(stripe)
            case 3:
                ranges.remove(run)
                model.subtract(run)
            default:
                #expect(ranges.contains(stripe) == model.contains(stripe))
                #expect(ranges.hasAny(below: stripe) == model.contains { $0 < stripe })
                #expect(ranges.covers(upTo: stripe) == (0..<stripe).allSatisfy(model.contains))
                #expect(ranges.count(from: stripe) == UInt64(model.count { $0 >= stripe }))
                #expect(Set(ranges.missing(upTo: stripe).joined()) == Set(0..<stripe).subtracting(model))
            }
            expect(ranges, model, "seed \(seed), step \(number)")
        }
    }

    @Test("are cut and taken from each other", arguments: 0..<200 as Range<UInt64>)
    func cuts(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        let ((ranges, model), (other, otherModel)) = (random(&generator), random(&generator))
        expect(ranges.subtracting(other), model.subtracting(otherModel), "seed \(seed)")
        for bound in 0...Self.bound { expect(ranges.from(bound), model.filter { $0 >= bound }, "seed \(seed)") }
        for count in 0...9 {
            let first = ranges.first(count)
            #expect(first.ranges == Array(ranges.ranges.prefix(count)))
            expect(first, Set(first.ranges.joined()), "seed \(seed)")
        }
        #expect(StripeRanges(0..<0) == StripeRanges() && StripeRanges(3..<3).ranges.isEmpty)
    }

    @Test("are merged where the gaps are narrowest, and never lose anything", arguments: 0..<200 as Range<UInt64>)
    func merged(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        let (ranges, model) = random(&generator)
        for count in 0...6 {
            var merged = ranges
            merged.merge(to: count)
            let all = Set(merged.ranges.joined())
            expect(merged, all, "seed \(seed)")
            #expect(all.isSuperset(of: model))
            #expect(merged.ranges.count == min(ranges.ranges.count, max(1, count)), "seed \(seed)")
            // Where it begins and ends stays: what was brought below is not lost by it.
            #expect(all.min() == model.min() && all.max() == model.max())
            // No choice of gaps costs less.
            let gaps = zip(ranges.ranges, ranges.ranges.dropFirst()).map { $1.lowerBound - $0.upperBound }.sorted()
            let least = gaps.prefix(max(0, ranges.ranges.count - max(1, count))).reduce(0, +)
            #expect(all.count - model.count == Int(least), "seed \(seed)")
        }
    }

    @Test("come back from their bytes, and from no others", arguments: 0..<50 as Range<UInt64>)
    func coding(seed: UInt64) throws {
        var generator = SplitMix64(seed: seed)
        let (ranges, _) = random(&generator)
        var encoder = CanonicalEncoder()
        ranges.encode(into: &encoder)
        var decoder = CanonicalDecoder(encoder.bytes)
        #expect(try StripeRanges(from: &decoder) == ranges)
        try decoder.finish()
    }

    @Test(
        "of runs that overlap, touch, are empty or too many are no encoding",
        arguments: [
            [[0, 3], [2, 5]], [[0, 3], [3, 5]], [[4, 5], [0, 1]], [[2, 2]], [[3, 2]], [[0, (1 << 24) + 1]],
            [[0, 1], [2, 3], [4, 5]],
        ] as [[[UInt32]]])
    func malformed(runs: [[UInt32]]) {
        var encoder = CanonicalEncoder()
        encoder.append(UInt16(runs.count))
        for run in runs { for bound in run { encoder.append(bound) } }
        var decoder = CanonicalDecoder(encoder.bytes)
        #expect(throws: MalformedEncoding.self) { try StripeRanges(from: &decoder, countMax: 2) }
    }
}
