import BenchmarkResults
import Foundation
import Testing

@Suite struct HostileTests {
    private func figures(_ p99: Double, due: Int = 100, done: Int = 100) -> HostileFigures {
        HostileFigures(
            dueCount: due, operationCount: done, operationsPerSecond: Double(done), p50Milliseconds: p99 / 2,
            p99Milliseconds: p99, maximumMilliseconds: 2 * p99)
    }

    private func sample(_ put: HostileFigures, _ get: HostileFigures) -> HostileSample {
        HostileSample(
            operations: [.put: put, .get: get], clientProcessors: 0.1, serverProcessors: 0.2, attackerProcessors: 0)
    }

    private func outcome(_ rounds: [(rest: HostileSample, attacked: HostileSample)]) -> HostileOutcome {
        var outcome = HostileOutcome(kind: "an attack")
        for round in rounds {
            outcome.add(
                HostileRound(rest: round.rest, attacked: round.attacked, attacker: ["requests": 5], refusals: [:]))
        }
        return outcome
    }

    @Test("ratios are taken inside each round before their median is") func ratios() {
        // The machine is ten times as slow in the last round, for both alike.
        let found = outcome([
            (sample(figures(10), figures(1)), sample(figures(15), figures(1))),
            (sample(figures(10), figures(1)), sample(figures(19), figures(1))),
            (sample(figures(100), figures(10)), sample(figures(170), figures(10))),
        ])
        #expect(found.ratio(.put) { $0.p99Milliseconds } == 1.7)
        #expect(found.atRest(.put) { $0.p99Milliseconds } == 10)
        #expect(found.attacked(.put) { $0.p99Milliseconds } == 19)
        #expect(found.isMet == true)
        #expect(found.ratio(.firstGet) { $0.p99Milliseconds } == nil)
    }

    @Test("an attack that more than doubles the p99 of PUTs or of GETs misses the aim") func missed() {
        #expect(outcome([(sample(figures(10), figures(1)), sample(figures(10), figures(2.1)))]).isMet == false)
        #expect(outcome([(sample(figures(10), figures(1)), sample(figures(21), figures(1)))]).isMet == false)
        #expect(outcome([]).isMet == nil)
    }

    @Test("an attack under which nothing succeeds misses the aim, and its file is JSON all the same")
    func nothingSucceeds() throws {
        let found = outcome([
            (sample(figures(10), figures(1)), sample(figures(0, due: 50, done: 0), figures(1, due: 50, done: 49)))
        ])
        #expect(found.isMet == false)
        #expect(found.failureCount(.put) == 50)
        #expect(found.failureCount(.get) == 1)
        let file = HostileFile(
            machine: MachineDescription(processor: "none", processorCount: 1, memoryBytes: 1, kernel: "", level: ""),
            secondsPerMeasurement: 1, size: ByteSize(bytes: 1024), operationsPerSecond: 50, attacksPerSecond: nil,
            outcomes: [found])
        let object = try #require(try JSONSerialization.jsonObject(with: file.json()) as? [String: Any])
        let attack = try #require((object["attacks"] as? [[String: Any]])?.first)
        #expect(attack["is_met"] as? Bool == false)
        #expect(attack["p99_ratios"] as? [String: Double] == ["get": 1])
        #expect(attack["failures"] as? [String: Int] == ["put": 50, "get": 1, "first-get": 0])
        let round = try #require((attack["rounds"] as? [[String: Any]])?.first)
        let attacked = try #require(round["attacked"] as? [String: Any])
        let put = try #require((attacked["operations"] as? [String: [String: Any]])?["put"])
        #expect(put["due_count"] as? Int == 50)
    }
}
