// A run of 'solidus torture', and what its summary says.

import Foundation
import Testing

/// The summary of a torture, as it is told in JSON.
struct TortureOutcome: Decodable {
    struct Judgement: Decodable {
        let verdict: String
        let operations: Int
        let history: String
    }
    struct Completions: Decodable {
        let completed: Int
        let longestGapSeconds: Double
        let longestGapBeganSeconds: Double
    }
    struct Disks: Decodable {
        let timesFull: Int
        let putsRefused: Int
        let putsAfterFull: Int
        let ballastStored: Int
        let ballastRead: Int
        let ballastDeleted: Int
    }
    struct Attack: Decodable {
        let kind: String
        let connections: Int
        let requests: Int
        let answered: Int
        let refused: [String: Int]
    }
    struct Rebuilds: Decodable {
        let begun: Int
        let well: Int
        let longestSeconds: Double
        let oldLivesRefused: Int
    }
    let completed: Int
    let reads: Completions
    let writes: Completions
    let readBack: Int
    let ranges: Int
    let listings: Int
    let nemesis: [String: Int]
    let attacks: [Attack]
    let disks: Disks?
    let rebuilds: Rebuilds?
    let healedAfterSeconds: Double?
    let open: [String]
    let findings: [String]
    let ranSeconds: Double
    let readBackFailed: Int
    let judgement: Judgement

    /// How often the nemesis harmed a server that has its store.
    var attackCount: Int {
        ["kill", "restart", "clean_restart", "stop", "rot_fragments", "rot_journal"]
            .reduce(0) { $0 + nemesis[$1, default: 0] }
    }
}

extension TestCluster {
    /// Tortures the cluster, whose servers lose no time with healing.
    func torture(
        seconds: Double, _ arguments: [String] = [], stallSeconds: Double = 60, endingWith code: Int32 = 0
    ) async throws -> (outcome: TortureOutcome, history: String) {
        try makeHasty()
        let history = directory + "/history.jsonl"
        let result = try await run(
            [
                "torture", "--cluster", directory, "--seconds", "\(seconds)", "--history", history,
                "--seed", "\(SeededGenerator.seed)", "--stall", "\(stallSeconds)", "--timeout", "60", "--json",
            ] + arguments, seconds: seconds + 480)
        #expect(result.end == .exit(code), "\(result.output)")
        // Both outputs are in one file; the report is the line that is an object.
        let line = try #require(result.output.split(separator: "\n").last { $0.hasPrefix("{") }, "\(result.output)")
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return (try decoder.decode(TortureOutcome.self, from: Data(line.utf8)), history)
    }
}
