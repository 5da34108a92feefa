// Every lie to an auditor does what its name says, to answers that would be true without it.

import Fingerprint
import QuorumFaults
import QuorumProtocol
import Testing

@Suite("A lie to an auditor")
struct AuditLieTests {
    private static let point = [UInt8](repeating: 7, count: AuditQuery.pointSizeBytes)
    private static let right = AuditedFragment.held(Fingerprint(bytes: point)!)

    private static func query(wantsNames: Bool = true) -> AuditQuery {
        AuditQuery(group: GroupID(0), from: AuditPlace(Slot(0)), point: point, wantsNames: wantsNames)
    }

    private static func honest(wantsNames: Bool = true) throws -> AuditAnswer {
        let keys = try ["a", "b", "c"].map { try ObjectKey("bucket/\($0)") }.sorted { AuditPlace($0) < AuditPlace($1) }
        let versions = keys.enumerated().map { number, key in
            let timestamp = Timestamp(
                counter: 1, writer: ClientID(high: 3, low: 4), digest: Digest256.sha256(key.bytes))
            return AuditedStripes(
                wantsNames ? .named(key, timestamp) : .numbered(UInt64(number)), first: 0,
                fragments: Array(repeating: right, count: 20))
        }
        return AuditAnswer(versions: versions, next: nil)
    }

    @Test("is the same under the same seed", arguments: AuditLie.allCases)
    func isDeterministic(lie: AuditLie) throws {
        for seed in 1...10 as ClosedRange<UInt64> {
            var (first, second) = (AuditLiar(lie, seed: seed), AuditLiar(lie, seed: seed))
            for wantsNames in [true, false, true] {
                let (query, truth) = (Self.query(wantsNames: wantsNames), try Self.honest(wantsNames: wantsNames))
                let (one, other) = (first.answer(query, truth), second.answer(query, truth))
                #expect(one == other)
            }
        }
    }

    @Test("is told sooner or later, and the mixture tells the truth, too", arguments: AuditLie.allCases)
    func isFaulty(lie: AuditLie) throws {
        var liar = AuditLiar(lie, seed: 1)
        let truth = try Self.honest()
        let answers = (0..<60).map { _ in liar.answer(Self.query(), truth) }
        #expect(answers.contains { $0 != truth })
        if lie == .mixture { #expect(answers.contains(truth)) }
    }

    @Test("of what was discarded is always about the same tenth, and never the same")
    func discarded() throws {
        var liar = AuditLiar(.discardedFragments, seed: 1)
        var told: Set<AuditedFragment> = []
        for wantsNames in [true, false] {
            let answer = liar.answer(Self.query(wantsNames: wantsNames), try Self.honest(wantsNames: wantsNames))
            for version in try #require(answer).versions {
                let altered = version.fragments.indices.filter { version.fragments[$0] != Self.right }
                #expect(altered == [3, 13])
                for place in altered { told.insert(version.fragments[place]) }
            }
        }
        #expect(told.count == 2 * 3 * 2)
    }

    @Test("of early ends can be an answer, and tells of no more than a stripe")
    func early() throws {
        var liar = AuditLiar(.earlyEnd, seed: 1)
        for wantsNames in [true, false] {
            let query = Self.query(wantsNames: wantsNames)
            let answer = liar.answer(query, try Self.honest(wantsNames: wantsNames))
            let told = try #require(answer)
            let next = try #require(told.next)
            #expect(told.versions.map(\.fragments.count) == [1] && next > query.from)
        }
    }
}
