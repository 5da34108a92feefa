// Listed objects as bytes: checked as decoding them would check them, and compared as arrays are.

import Fingerprint
import QuorumProtocol
import Testing

@Suite("Listed objects as bytes")
struct ListedKeysTests {
    private static func listed(_ name: String, etag: String = "", isBare: Bool = false) -> ListedKey {
        let timestamp = Timestamp(counter: 3, writer: .alice, digest: Digest256.sha256(Array(name.utf8)))
        let head = ListedHead(lengthBytes: 7, etag: etag, modifiedMilliseconds: 9)
        return ListedKey(
            .of("bucket/" + name), LiveVersion(timestamp: timestamp, isSound: !isBare, head: isBare ? nil : head))
    }

    private static let keys = [
        listed("a"), listed("aa", etag: "ä"), listed("ab", isBare: true), listed("ä/ö"), listed("ö", etag: "tag"),
    ]

    private static func encoded(_ keys: [ListedKey]) -> [UInt8] {
        var encoder = CanonicalEncoder()
        var answer = ListingAnswer()
        answer.objects = keys
        answer.encode(into: &encoder)
        return encoder.bytes
    }

    private static func decoded(_ bytes: [UInt8]) -> ListingAnswer? {
        var decoder = CanonicalDecoder(bytes)
        guard let answer = try? ListingAnswer(from: &decoder), (try? decoder.finish()) != nil else { return nil }
        return answer
    }

    /// The objects of a message that has nothing else, one by one.
    private static func oneByOne(_ bytes: [UInt8]) -> [ListedKey]? {
        var decoder = CanonicalDecoder(bytes)
        guard let count: UInt16 = try? decoder.integer("count"), count <= 1000 else { return nil }
        var keys: [ListedKey] = []
        for _ in 0..<count {
            guard let next = try? ListedKey(from: &decoder), keys.last.map({ $0.key < next.key }) ?? true else {
                return nil
            }
            keys.append(next)
        }
        guard let prefixes: UInt16 = try? decoder.integer("prefixes"), prefixes == 0,
            let hasEnd = try? decoder.flag("end"), !hasEnd, (try? decoder.finish()) != nil
        else { return nil }
        return keys
    }

    @Test("read back as they were written")
    func readBack() {
        #expect(Self.decoded(Self.encoded(Self.keys))?.objects == Self.keys)
        #expect(Self.decoded(Self.encoded([]))?.objects == [])
        let packed = ListedKeys(Self.keys)
        #expect(packed.count == Self.keys.count && packed.decoded == Self.keys)
        for (place, listed) in Self.keys.enumerated() {
            #expect(packed[place] == listed && packed.keyBytes(at: place) == listed.key.bytes)
        }
    }

    @Test("are refused if and only if one of them is malformed or out of order, whichever bit is turned")
    func strict() {
        let good = Self.encoded(Self.keys)
        var refusedCount = 0
        for position in good.indices {
            for bit in 0..<8 {
                var bytes = good
                bytes[position] ^= 1 << UInt8(bit)
                // With another number of prefixes, or an end, these are no objects' bytes.
                guard position < good.count - 3 else { continue }
                let (packed, apart) = (Self.decoded(bytes), Self.oneByOne(bytes))
                #expect(packed?.objects == apart, "bit \(bit) of byte \(position)")
                if apart == nil { refusedCount += 1 }
            }
            #expect(Self.decoded(Array(good[..<position])) == nil)
        }
        #expect(refusedCount > 500)
    }

    @Test("of records of buckets have names that are buckets'")
    func records() {
        func answer(_ names: [String]) -> [UInt8] {
            var encoder = CanonicalEncoder()
            encoder.append(UInt16(names.count))
            for name in names {
                encoder.append(counted: Array("_buckets/\(name)".utf8))
                Self.listed("x").live.encode(into: &encoder)
            }
            encoder.append(UInt16(0))
            encoder.append(UInt8(0))
            return encoder.bytes
        }
        #expect(Self.decoded(answer(["a", "b"]))?.listed.count == 2)
        #expect(Self.decoded(answer(["a", "b c"])) == nil)
        #expect(Self.decoded(answer(["a", ""])) == nil)
    }

    @Test("compare as their bytes do", arguments: [1, 2, 3] as [UInt64])
    func order(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        for _ in 0..<2000 {
            func bytes() -> [UInt8] {
                (0..<Int.random(in: 0...20, using: &random)).map { _ in UInt8.random(in: 0...1, using: &random) }
            }
            let (left, right) = (bytes(), bytes())
            let order = left.withUnsafeBytes { left in right.withUnsafeBytes { left.order($0) } }
            #expect((order < 0) == left.lexicographicallyPrecedes(right), "\(left) \(right)")
            #expect((order == 0) == (left == right), "\(left) \(right)")
            #expect(left.withUnsafeBytes { $0.begins(with: right) } == left.starts(with: right))
            let text = left.map { $0 * 200 }
            #expect(text.withUnsafeBytes { $0.isASCII } == text.allSatisfy { $0 < 128 })
        }
    }
}
