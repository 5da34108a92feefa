// Every lie about a bucket does what its name says, to answers that would be true without it.

import Fingerprint
import QuorumFaults
import QuorumProtocol
import Testing

@Suite("A lie about a bucket")
struct ListingLieTests {
    private static let query = ListingQuery(prefix: Array("bucket/".utf8), delimiter: [UInt8(ascii: "/")], limit: 20)!

    private static func listed(_ name: String, counter: UInt64 = 1) throws -> ListedKey {
        let key = try ObjectKey("bucket/" + name)
        let timestamp = Timestamp(
            counter: counter, writer: ClientID(high: 3, low: 4), digest: Digest256.sha256(key.bytes))
        let head = ListedHead(lengthBytes: counter, etag: "", modifiedMilliseconds: counter)
        return ListedKey(key, LiveVersion(timestamp: timestamp, isSound: true, head: head))
    }

    private static func honest(_ names: [String], counter: UInt64 = 1) throws -> ListingAnswer {
        var answer = ListingAnswer()
        answer.objects = try names.map { try listed($0, counter: counter) }
        answer.prefixes = [
            ListedPrefix(Array("bucket/d/".utf8), witnesses: [try listed("d/x", counter: counter)])
        ]
        return answer
    }

    @Test("is the same under the same seed, and no answer is out of order", arguments: ListingLie.allCases)
    func isDeterministic(lie: ListingLie) throws {
        for seed in 1...20 as ClosedRange<UInt64> {
            var (first, second) = (ListingLiar(lie, seed: seed), ListingLiar(lie, seed: seed))
            for counter in 1...5 as ClosedRange<UInt64> {
                let truth = try Self.honest(["a", "b", "c"], counter: counter)
                let told = first.answer(Self.query, truth)
                #expect(told == second.answer(Self.query, truth))
                guard let told else { continue }
                var encoder = CanonicalEncoder()
                told.encode(into: &encoder)
                var decoder = CanonicalDecoder(encoder.bytes)
                #expect(try ListingAnswer(from: &decoder) == told)
                if lie != .otherPlaces, lie != .mixture { #expect(told.answers(Self.query), "\(lie): \(told)") }
            }
        }
    }

    @Test("is told sooner or later, and the mixture tells the truth, too", arguments: ListingLie.allCases)
    func isFaulty(lie: ListingLie) throws {
        var liar = ListingLiar(lie, seed: 1)
        var (lies, truths) = (0, 0)
        for counter in 1...60 as ClosedRange<UInt64> {
            let truth = try Self.honest(["a", "b", "c"], counter: counter)
            if liar.answer(Self.query, truth) == truth { truths += 1 } else { lies += 1 }
        }
        #expect(lies > 0)
        if lie == .mixture { #expect(truths > 0) }
    }

    @Test("of the past names what is deleted, and first versions")
    func past() throws {
        var liar = ListingLiar(.staleVersions, seed: 1)
        _ = liar.answer(Self.query, try Self.honest(["a", "b"]))
        let told = try #require(liar.answer(Self.query, try Self.honest(["b"], counter: 9)))
        #expect(told.objects == (try [Self.listed("a"), Self.listed("b")]))
    }

    @Test("of versions invents what nobody wrote")
    func inventions() throws {
        var liar = ListingLiar(.invention, seed: 1)
        var invented: Set<ObjectKey> = []
        for _ in 0..<20 {
            let told = try #require(liar.answer(Self.query, try Self.honest(["a"])))
            let named = told.objects + told.prefixes.flatMap(\.witnesses)
            invented.formUnion(named.filter { $0.live.timestamp.counter > 1 }.map(\.key))
        }
        #expect(invented.contains { $0.text.hasPrefix("bucket/invented") })
        #expect(invented.contains { $0.text.hasPrefix("bucket/dir-9/") })
    }
}
