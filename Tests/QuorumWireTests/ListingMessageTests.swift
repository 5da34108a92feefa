// LIST and LISTING as bytes.

import Fingerprint
import NIOCore
import QuorumProtocol
import QuorumWire
import Testing

@Suite struct ListingMessageTests {
    private static func listed(_ key: String, head: Bool = true, etag: String = "tag") throws -> ListedKey {
        let timestamp = Timestamp(counter: 3, writer: ClientID(high: 1, low: 2), digest: .sha256(Array(key.utf8)))
        return ListedKey(
            try ObjectKey(key),
            LiveVersion(
                timestamp: timestamp, isSound: head,
                head: head ? ListedHead(lengthBytes: 17, etag: etag, modifiedMilliseconds: 99) : nil))
    }

    private static func answer() throws -> ListingAnswer {
        var answer = ListingAnswer()
        answer.objects = [try listed("bucket/a"), try listed("bucket/b", head: false)]
        answer.prefixes = [
            ListedPrefix(Array("bucket/c/".utf8), witnesses: [try listed("bucket/c/1"), try listed("bucket/c/2")])
        ]
        answer.below = Array("bucket/d".utf8)
        return answer
    }

    private static func messages() throws -> [ListingMessage] {
        let query = try #require(
            ListingQuery(
                prefix: Array("bucket/x".utf8), delimiter: [0, 255], start: Array("bucket/xyz".utf8) + [0], limit: 7))
        let all = try #require(ListingQuery(prefix: Array("bucket/".utf8)))
        return [.list(query), .list(all), .listing(ListingAnswer()), .listing(try answer())]
    }

    private static func frame(_ message: ListingMessage) -> ByteBuffer { message.encoded(request: 77).headBuffer }

    @Test("It reads back as it was written, and is told from other messages by its first byte")
    func readsBack() throws {
        for message in try Self.messages() {
            let frame = Self.frame(message)
            #expect(ListingMessage.isOne(frame) && !PendingMessage.isOne(frame) && !ListMessage.isOne(frame))
            let decoded = try ListingMessage.decode(frame)
            #expect(decoded.number == 77 && decoded.message == message)
        }
        #expect(!ListingMessage.isOne(StatusMessage.fetch.encoded(request: 1).headBuffer))
        #expect(!ListingMessage.isOne(ByteBuffer()))
    }

    @Test("A message that is cut short, too long or out of order is refused")
    func strict() throws {
        for message in try Self.messages() {
            let bytes = Array(buffer: Self.frame(message))
            for count in 0..<bytes.count {
                #expect(throws: WireError.self) { try ListingMessage.decode(ByteBuffer(bytes: bytes.prefix(count))) }
            }
            #expect(throws: WireError.self) { try ListingMessage.decode(ByteBuffer(bytes: bytes + [0])) }
        }
        let good = try Self.answer()
        var bad: [ListingAnswer] = []
        for change in [
            { $0.objects.reverse() }, { $0.objects.append($0.objects[1]) }, { $0.prefixes.append($0.prefixes[0]) },
            { $0.prefixes[0].witnesses.reverse() }, { $0.prefixes[0].witnesses = [] },
        ] as [(inout ListingAnswer) -> Void] {
            var answer = good
            change(&answer)
            bad.append(answer)
        }
        for answer in bad {
            #expect(throws: WireError.self, "\(answer)") { try ListingMessage.decode(Self.frame(.listing(answer))) }
        }
    }

    @Test("A query names a bucket and keeps to its bounds")
    func queries() {
        let longest = Array("b/".utf8) + [UInt8](repeating: 120, count: ObjectKey.sizeBytesMax - 2)
        #expect(ListingQuery(prefix: longest, start: longest + [0]) != nil)
        #expect(ListingQuery(prefix: longest + [0]) == nil)
        #expect(ListingQuery(prefix: Array("b/".utf8), start: longest + [0, 0]) == nil)
        #expect(ListingQuery(prefix: Array("b/".utf8), delimiter: [UInt8](repeating: 1, count: 65)) == nil)
        for prefix in ["", "b", "/", "B/", "b_/x", "-/"] { #expect(ListingQuery(prefix: Array(prefix.utf8)) == nil) }
        for limit in [0, 1001] { #expect(ListingQuery(prefix: Array("b/".utf8), limit: limit) == nil) }
        #expect(ListingQuery.successor(ofPrefix: [1, 2]) == [1, 3])
        #expect(ListingQuery.successor(ofPrefix: [1, 255, 255]) == [2])
    }

    @Test("An answer belongs to its query")
    func belongs() throws {
        let query = try #require(
            ListingQuery(prefix: Array("bucket/".utf8), delimiter: Array("/".utf8), limit: 3))
        let good = try Self.answer()
        #expect(good.answers(query))
        let plain = try #require(ListingQuery(prefix: query.prefix, limit: 3))
        let smaller = try #require(ListingQuery(prefix: query.prefix, delimiter: query.delimiter, limit: 2))
        #expect(!good.answers(plain) && !good.answers(smaller))
        #expect(!good.answers(query.from(Array("bucket/b".utf8))))
        #expect(!good.answers(query.from(Array("bucket/d".utf8))), "an answer without progress")
        let elsewhere = try ["bucket/a/b", "other/a"].map { try Self.listed($0) }
        for change in [
            { $0.below = Array("bucket/c/2".utf8) }, { $0.below = query.end + [0] },
            { $0.prefixes[0] = ListedPrefix([1], witnesses: $0.objects) },
            { $0.objects = [elsewhere[0]] }, { $0.objects = [elsewhere[1]] },
        ] as [(inout ListingAnswer) -> Void] {
            var answer = good
            change(&answer)
            #expect(!answer.answers(query), "\(answer)")
        }
    }

    @Test("The most that one answer may tell fits into a head, and then does not end early")
    func fits() throws {
        var answer = ListingAnswer()
        var sizeBytes = 0
        let etag = String(repeating: "e", count: 128)
        for number in 1000..<2000 {
            let key = String(repeating: "b", count: 63) + "/\(number)" + String(repeating: "x", count: 1020)
            let listed = try Self.listed(key, etag: etag)
            sizeBytes += ListingAnswer.sizeBytes(of: listed)
            guard sizeBytes <= ListingAnswer.sizeBytesMax else { break }
            answer.objects.append(listed)
        }
        answer.below = answer.objects.last.map { $0.key.bytes + [0] }
        let frame = Self.frame(.listing(answer))
        #expect(frame.readableBytes < WireLimits.headSizeBytesMax)
        #expect(try ListingMessage.decode(frame).message == .listing(answer))
        let query = try #require(ListingQuery(prefix: Array("\(String(repeating: "b", count: 63))/".utf8)))
        #expect(!answer.endsEarly(query))
        answer.objects.removeLast(answer.objects.count - 100)
        #expect(!answer.endsEarly(query), "below each prefix a server may have to look at many keys")
        answer.objects.removeLast()
        #expect(answer.endsEarly(query))
        let few = try #require(ListingQuery(prefix: query.prefix, limit: 99))
        #expect(!answer.endsEarly(few))
    }
}
