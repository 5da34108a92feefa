// Many seeds and what they come to.

import QuorumSimulator
import Testing

@Suite("A run of many seeds")
struct SeedTallyTests {
    @Test("comes to the same in one piece and in several, told in lines", arguments: [2, 5, 15])
    func pieces(seedsPerPiece: Int) throws {
        let whole = try runSeeds(1...15, options: WorldOptions())
        #expect(whole.seedCount == 15)
        #expect(whole.violatingSeed == nil)
        var sum = SeedTally()
        for first in stride(from: 1, through: 15, by: seedsPerPiece).reversed() {
            let last = min(first + seedsPerPiece - 1, 15)
            let piece = try runSeeds(UInt64(first)...UInt64(last), options: WorldOptions())
            sum.add(try #require(SeedTally(line: piece.line)))
        }
        #expect(sum == whole)
    }

    @Test("ends with the first failure and tells the seed")
    func failure() throws {
        var options = WorldOptions()
        options.planted = .silence
        options.operationCount = 3
        var begun: [UInt64] = []
        let tally = try runSeeds(7...1000, options: options) { begun.append($0) }
        #expect(begun == [7])
        #expect(tally.seedCount == 1)
        #expect(tally.violatingSeed == 7)
        #expect(SeedTally(line: tally.line) == tally)
    }

    @Test("knows the lowest seed that failed, in whatever order it is told")
    func lowestFailure() throws {
        var options = WorldOptions()
        options.planted = .silence
        options.operationCount = 3
        var sum = SeedTally()
        for seed in [9, 4, 6] as [UInt64] { sum.add(try runSeeds(seed...seed, options: options)) }
        #expect(sum.violatingSeed == 4)
        #expect(sum.seedCount == 3)
    }

    @Test(
        "takes no other line for a tally",
        arguments: [
            "", "1 2 3 4 5 6", "1 2 3 4 5 6 7 8", "1 2 3 4 5 6  7", "1 2 3 4 5 -6 -", "1 2 x 4 5 6 -", "1 2 3 4 5 6 x",
            " 1 2 3 4 5 6 -", "1 2 3 4 5 18446744073709551616 -",
        ])
    func strictness(line: String) {
        #expect(SeedTally(line: line) == nil)
    }
}
