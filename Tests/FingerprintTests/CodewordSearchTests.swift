// Which fingerprints of a stripe contradict the others: every set of wrong ones, and what is too many of them.

import ErasureCode
import Fingerprint
import Testing

@Suite("Fingerprints of one stripe")
struct CodewordSearchTests {
    private typealias Told = [(index: FragmentIndex, fingerprint: Fingerprint)]

    /// m and f; n = m + 2f.
    private static let shapes: [(m: Int, f: Int)] = [(2, 1), (4, 1), (1, 0), (3, 2), (5, 2), (4, 3)]
    private static let largeShapes: [(m: Int, f: Int)] = [(7, 6), (12, 11)]

    private static func code(_ shape: (m: Int, f: Int)) throws -> ReedSolomonCode {
        try ReedSolomonCode(dataFragmentCount: shape.m, fragmentCount: shape.m + 2 * shape.f)
    }

    /// Those of a random stripe's fragments at a random point, in order.
    private static func told(_ code: ReedSolomonCode, _ generator: inout SeededGenerator) -> Told {
        let point = FingerprintPoint(generator.bytes(16))
        let block = SharedBytes(generator.bytes(100 * code.dataFragmentCount + 1))
        return code.encode(block: block).enumerated().map {
            (FragmentIndex(UInt8($0)), point.fingerprint(of: $1))
        }
    }

    private static func altered(
        _ told: Told, at wrong: some Sequence<Int>, _ generator: inout SeededGenerator
    ) -> Told {
        var altered = told
        for place in wrong { altered[place].fingerprint = Fingerprint(bytes: generator.bytes(16))! }
        return altered
    }

    /// All sets of `count` of the first `total` numbers.
    private static func subsets(of total: Int, count: Int) -> [[Int]] {
        (0..<1 << total).filter { $0.nonzeroBitCount == count }
            .map { bits in (0..<total).filter { bits >> $0 & 1 == 1 } }
    }

    @Test("contradict nothing when all are right", arguments: shapes + largeShapes)
    func allRight(shape: (m: Int, f: Int)) throws {
        let code = try Self.code(shape)
        var generator = SeededGenerator(seed: 31)
        let told = Self.told(code, &generator)
        #expect(code.contradictions(among: told, agreeing: shape.m + shape.f) == [])
    }

    @Test("show which are wrong, whatever up to f they are", arguments: shapes)
    func eachSet(shape: (m: Int, f: Int)) throws {
        let code = try Self.code(shape)
        var generator = SeededGenerator(seed: 32)
        let told = Self.told(code, &generator)
        for count in 0...shape.f {
            for wrong in Self.subsets(of: told.count, count: count) {
                let altered = Self.altered(told, at: wrong, &generator)
                let found = code.contradictions(among: altered, agreeing: shape.m + shape.f)
                #expect(found?.map(\.offset) == wrong, "\(wrong)")
            }
        }
    }

    @Test("show which are wrong in whichever order they come", arguments: shapes + largeShapes)
    func order(shape: (m: Int, f: Int)) throws {
        let code = try Self.code(shape)
        var generator = SeededGenerator(seed: 33)
        let told = Self.told(code, &generator)
        let wrong = Set((0..<told.count).shuffled(using: &generator).prefix(shape.f))
        let altered = Self.altered(told, at: wrong, &generator)
        let orders = [
            altered, altered.reversed(), altered.shuffled(using: &generator),
            // The worst that may be believed of all.
            altered.filter { wrong.contains($0.index.offset) } + altered.filter { !wrong.contains($0.index.offset) },
        ]
        for told in orders {
            let found = code.contradictions(among: told, agreeing: shape.m + shape.f)
            #expect(found.map { Set($0.map(\.offset)) } == wrong)
        }
    }

    @Test("show which are wrong while these and the missing ones are f", arguments: shapes.filter { $0.f > 0 })
    func missing(shape: (m: Int, f: Int)) throws {
        let code = try Self.code(shape)
        var generator = SeededGenerator(seed: 34)
        let told = Self.told(code, &generator)
        for missingCount in 0...shape.f {
            let places = (0..<told.count).shuffled(using: &generator)
            let missing = places.prefix(missingCount)
            let wrong = places.dropFirst(missingCount).prefix(shape.f - missingCount)
            let altered = Self.altered(told, at: wrong, &generator).filter { !missing.contains($0.index.offset) }
            let found = code.contradictions(among: altered, agreeing: shape.m + shape.f)
            #expect(found?.map(\.offset) == wrong.sorted(), "missing \(missing), wrong \(wrong)")
        }
    }

    @Test("show nothing when the wrong and the missing ones are more than f", arguments: shapes.filter { $0.f > 0 })
    func tooMany(shape: (m: Int, f: Int)) throws {
        let code = try Self.code(shape)
        var generator = SeededGenerator(seed: 35)
        let told = Self.told(code, &generator)
        for wrong in Self.subsets(of: told.count, count: shape.f + 1) {
            let altered = Self.altered(told, at: wrong, &generator)
            #expect(code.contradictions(among: altered, agreeing: shape.m + shape.f) == nil, "wrong \(wrong)")
            // One of them missing instead.
            let fewer = altered.filter { $0.index.offset != wrong[0] }
            #expect(code.contradictions(among: fewer, agreeing: shape.m + shape.f) == nil, "missing \(wrong[0])")
        }
        #expect(code.contradictions(among: [], agreeing: shape.m + shape.f) == nil)
    }

    @Test("that liars agree on, on another value, do not outvote the others", arguments: shapes.filter { $0.f > 0 })
    func otherValue(shape: (m: Int, f: Int)) throws {
        let code = try Self.code(shape)
        var generator = SeededGenerator(seed: 36)
        let (told, other) = (Self.told(code, &generator), Self.told(code, &generator))
        for liars in Self.subsets(of: told.count, count: shape.f) {
            let mixed = told.enumerated().map { liars.contains($0) ? other[$0] : $1 }
            let found = code.contradictions(among: mixed, agreeing: shape.m + shape.f)
            #expect(found?.map(\.offset) == liars)
        }
    }
}
