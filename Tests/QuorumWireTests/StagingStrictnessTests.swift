// Pages, STAGE, FETCH and what answers them, with numbers beyond what they may be.

import ErasureCode
import Fingerprint
import NIOCore
import QuorumProtocol
import QuorumWire
import Testing

@Suite("A page")
struct StripePageStrictnessTests {
    private func page(_ count: Int, first: UInt32 = 256) -> StripePage {
        StripePage(
            first: first,
            stripes: (0..<count).map { Sample.crossChecksum($0 == count - 1 ? 1 + count : 4096) })
    }

    private func error(_ bytes: [UInt8], first: UInt32 = 256) -> MalformedEncoding? {
        do throws(MalformedEncoding) {
            let read = try StripePage(decoding: bytes, first: first, parameters: cluster)
            return read.bytes(cluster) == bytes ? nil : .notCanonical(field: "another encoding")
        } catch {
            return error
        }
    }

    @Test("comes back from its bytes as it was, and is no larger than is said", arguments: [1, 2, 17, 255, 256])
    func roundTrip(count: Int) throws {
        let page = page(count)
        let bytes = page.bytes(cluster)
        #expect(try StripePage(decoding: bytes, first: 256, parameters: cluster) == page)
        #expect(bytes.count <= StripePage.sizeBytesMax(cluster))
    }

    @Test("of another place, code or mode is another page")
    func header() {
        let bytes = page(2).bytes(cluster)
        for first in [0, 512, UInt32.max - 255] {
            #expect(error(bytes, first: first) == .notCanonical(field: "page header"))
        }
        let headerSize = StripePage.header(first: 256, count: 2, parameters: cluster).count
        for position in 0..<headerSize - 2 {
            for bit in 0..<8 {
                var altered = bytes
                altered[position] ^= 1 << UInt8(bit)
                #expect(error(altered) == .notCanonical(field: "page header"))
            }
        }
    }

    @Test("with another number of stripes than follows is refused")
    func counts() {
        let bytes = page(2).bytes(cluster)
        let place = StripePage.header(first: 256, count: 2, parameters: cluster).count - 2
        func counting(_ count: UInt16) -> [UInt8] {
            var altered = bytes
            altered[place] = UInt8(count >> 8)
            altered[place + 1] = UInt8(count & 0xff)
            return altered
        }
        #expect(error(counting(0)) == .notCanonical(field: "stripes"))
        #expect(error(counting(1)) == .trailingBytes(count: RawLayout.entry(1).count))
        #expect(error(counting(3)) == .truncated(field: "block size"))
        #expect(error(counting(256)) == .truncated(field: "block size"))
        for count in [257, UInt16.max] {
            #expect(
                error(counting(count)) == .overLimit(field: "stripes", value: UInt64(count), limit: 256))
        }
        for count in 0..<bytes.count { #expect(error(Array(bytes[..<count])) != nil) }
        #expect(error(bytes + [0]) == .trailingBytes(count: 1))
    }

    @Test("with blocks of no size, or a larger one than any stripe's, is refused")
    func sizes() {
        let bytes = page(2).bytes(cluster)
        let place = StripePage.header(first: 256, count: 2, parameters: cluster).count
        for (size, value) in [([0, 0, 0, 0], 0), ([0, 0, 0x10, 1], 4097), ([0xff, 0xff, 0xff, 0xff], 0xffff_ffff)]
            as [([UInt8], UInt64)]
        {
            let altered = Array(bytes[..<place]) + size + bytes[(place + 4)...]
            #expect(error(altered) == .overLimit(field: "block size", value: value, limit: 4096))
        }
    }

    @Test("with bytes changed is refused, or is the one encoding of what it decodes to", arguments: [UInt64(1), 2])
    func mutations(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<2000 {
            var bytes = page(Int.random(in: 1...4, using: &generator)).bytes(cluster)
            for _ in 0..<Int.random(in: 1...2, using: &generator) {
                bytes[Int.random(in: bytes.indices, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            #expect(error(bytes) != .notCanonical(field: "another encoding"), "seed \(seed)")
        }
    }
}

/// STAGE and FETCH as they are written, each field free to be wrong.
private struct RawStaging {
    var part: UInt16 = 1
    var stripeSizeBytes: UInt32 = 4096
    var stripe: UInt32 = 0
    var blockSizeBytes: UInt32 = 48
    var fragmentSizes: [UInt32] = [24]
    /// Of FETCH: flags and what they announce.
    var fillsFlag: UInt8 = 0
    var stripeFlag: UInt8 = 0
    var pageFlag: UInt8 = 0
    var pageFirst: UInt32 = 0
    var pageCount: UInt16 = 1

    private func head(_ build: (inout CanonicalEncoder) -> Void) -> [UInt8] {
        encoded { encoder in
            encoder.append(Sample.route.epoch)
            encoder.append(Sample.route.group.rawValue)
            encoder.append(counted: Sample.key.bytes)
            encoder.append(Sample.writer)
            encoder.append(Sample.attempt.upload)
            encoder.append(part)
            encoder.append(UInt32(1))
            build(&encoder)
        }
    }

    var stage: [UInt8] {
        let head = head { encoder in
            encoder.append(UInt8(2))
            encoder.append(stripeSizeBytes)
            encoder.append(stripe)
            encoder.append(fillsFlag)
            encoder.append(blockSizeBytes)
            encoder.append(raw: Array(RawLayout.entry(48).dropFirst(4)))
            Claims.appendFragments(sizes: fragmentSizes, into: &encoder)
        }
        return frame(
            .stage, head: head, fragments: Array(repeating: 1, count: Int(fragmentSizes.reduce(0, +))))
    }

    var fetch: [UInt8] {
        frame(
            .fetch,
            head: head { encoder in
                encoder.append(stripeFlag)
                if stripeFlag > 0 { encoder.append(stripe) }
                encoder.append(pageFlag)
                if pageFlag > 0 {
                    encoder.append(pageFirst)
                    encoder.append(pageCount)
                }
                encoder.append(UInt8(0))
                encoder.append(UInt64(7))
            })
    }

    static func error(_ frame: [UInt8], _ parameters: ClusterParameters = cluster) -> MalformedEncoding? {
        do throws(WireError) {
            _ = try Request.decode(ByteBuffer(bytes: frame), parameters: parameters)
            return nil
        } catch {
            if case .malformed(let malformed) = error { return malformed }
            return .notCanonical(field: "\(error)")
        }
    }

    static func with(_ change: (inout RawStaging) -> Void) -> RawStaging {
        var raw = RawStaging()
        change(&raw)
        return raw
    }
}

@Suite("What is staged, on the wire,")
struct StagingStrictnessTests {
    @Test("STAGE whose numbers are what they may be is accepted")
    func soundStage() {
        #expect(RawStaging.error(RawStaging().stage) == nil)
        let last = RawStaging.with { ($0.part, $0.stripe, $0.blockSizeBytes) = (10_000, (1 << 24) - 1, 4096) }
        #expect(RawStaging.error(last.stage) == nil)
    }

    @Test("STAGE with numbers beyond that is refused by them")
    func stage() {
        for part in [0, 10_001, UInt16.max] {
            #expect(RawStaging.error(RawStaging.with { $0.part = part }.stage) == .notCanonical(field: "part"))
        }
        for stripe in [1 << 24, UInt32.max] {
            #expect(
                RawStaging.error(RawStaging.with { $0.stripe = stripe }.stage)
                    == .overLimit(field: "stripe", value: UInt64(stripe), limit: (1 << 24) - 1))
        }
        for size in [0, 1, 2048, 4095, 8192, UInt32.max] {
            #expect(
                RawStaging.error(RawStaging.with { $0.stripeSizeBytes = size }.stage)
                    == .notCanonical(field: "stripe size"))
        }
        for flag in [2, UInt8.max] {
            #expect(
                RawStaging.error(RawStaging.with { $0.fillsFlag = flag }.stage)
                    == .unknownValue(field: "fills", value: UInt64(flag)))
        }
        for size in [0, 4097, UInt32.max] {
            #expect(
                RawStaging.error(RawStaging.with { $0.blockSizeBytes = size }.stage)
                    == .overLimit(field: "block size", value: UInt64(size), limit: 4096))
        }
        #expect(RawStaging.error(RawStaging.with { $0.fragmentSizes = [] }.stage) == .notCanonical(field: "fragments"))
        #expect(
            RawStaging.error(RawStaging.with { $0.fragmentSizes = [12, 12] }.stage)
                == .overLimit(field: "fragments", value: 2, limit: 1))
    }

    @Test("STAGE of a block larger than its attempt's stripes is refused: it is charged by these")
    func largeBlock() {
        var limits = cluster.limits
        limits.stripeSizeBytesMax = 1 << 20
        let parameters = parameters(limits: limits)
        let raw = RawStaging.with { ($0.stripeSizeBytes, $0.blockSizeBytes) = (1 << 16, 1 << 16) }
        #expect(RawStaging.error(raw.stage, parameters) == nil)
        let large = RawStaging.with { ($0.stripeSizeBytes, $0.blockSizeBytes) = (1 << 16, 1 << 16 | 1) }
        #expect(
            RawStaging.error(large.stage, parameters)
                == .overLimit(field: "block size", value: 1 << 16 | 1, limit: 1 << 16))
    }

    @Test("FETCH with numbers beyond what they may be is refused by them")
    func fetch() {
        #expect(RawStaging.error(RawStaging().fetch) == nil)
        let all = RawStaging.with {
            ($0.stripeFlag, $0.stripe, $0.pageFlag) = (1, (1 << 24) - 1, 1)
            ($0.pageFirst, $0.pageCount) = ((1 << 24) - 256, 256)
        }
        #expect(RawStaging.error(all.fetch) == nil)
        #expect(RawStaging.error(RawStaging.with { $0.part = 0 }.fetch) == .notCanonical(field: "part"))
        for stripe in [1 << 24, UInt32.max] {
            let raw = RawStaging.with { ($0.stripeFlag, $0.stripe) = (1, stripe) }
            #expect(RawStaging.error(raw.fetch) == .notCanonical(field: "stripe"))
        }
        let wrong: [(UInt32, UInt16)] = [
            (1, 1), (255, 1), (257, 1), (1 << 24, 1), (.max, 1), (.max - 255, 256), (0, 0), (0, 257),
        ]
        for (first, count) in wrong {
            let raw = RawStaging.with { ($0.pageFlag, $0.pageFirst, $0.pageCount) = (1, first, count) }
            #expect(RawStaging.error(raw.fetch) == .notCanonical(field: "page"), "\(first), \(count)")
        }
        for flag in [2, UInt8.max] {
            #expect(
                RawStaging.error(RawStaging.with { $0.stripeFlag = flag }.fetch)
                    == .unknownValue(field: "stripe", value: UInt64(flag)))
            #expect(
                RawStaging.error(RawStaging.with { $0.pageFlag = flag }.fetch)
                    == .unknownValue(field: "page", value: UInt64(flag)))
        }
    }

    @Test("a list of what is held is in order, no longer than may be, and of a known kind")
    func held() throws {
        func error(_ kind: UInt8, _ count: UInt32, _ items: (inout CanonicalEncoder) -> Void) -> WireError? {
            let head = encoded { encoder in
                encoder.append(kind)
                encoder.append(count)
                items(&encoder)
            }
            return Direction.reply.error(of: frame(.heldReply, head: head))
        }
        func timestamp(_ counter: UInt64) -> Timestamp {
            Timestamp(counter: counter, writer: ClientID(high: 1, low: 2), digest: .sha256([1]))
        }
        func version(_ counter: UInt64, _ encoder: inout CanonicalEncoder) {
            KeptVersion(timestamp: timestamp(counter), head: nil).encode(into: &encoder)
        }
        func attempt(_ number: UInt32, _ encoder: inout CanonicalEncoder) {
            let name = AttemptName(
                stager: ClientID(high: 1, low: 2), upload: UploadID(high: 3, low: 4), part: 1, number: number)
            StagedStatus(attempt: name, stripeSizeBytes: 1, stripes: StripeRanges(upTo: 2), isSpent: false)
                .encode(into: &encoder)
        }
        let unordered = WireError.malformed(.notCanonical(field: "versions' order"))
        let attempts = WireError.malformed(.notCanonical(field: "staged attempts' order"))
        #expect(
            error(1, 2) {
                version(1, &$0); version(2, &$0)
            } == nil)
        #expect(
            error(1, 2) {
                version(2, &$0); version(1, &$0)
            } == unordered)
        #expect(
            error(1, 2) {
                version(2, &$0); version(2, &$0)
            } == unordered)
        #expect(
            error(2, 2) {
                attempt(1, &$0); attempt(2, &$0)
            } == nil)
        #expect(
            error(2, 2) {
                attempt(2, &$0); attempt(2, &$0)
            } == attempts)
        #expect(error(1, 4097) { _ in } == .malformed(.overLimit(field: "versions", value: 4097, limit: 4096)))
        #expect(
            error(2, 10_501) { _ in }
                == .malformed(.overLimit(field: "staged attempts", value: 10_501, limit: 10_500)))
        for kind in [UInt8(0), 4, .max] {
            #expect(
                error(kind, 0) { _ in } == .malformed(.unknownValue(field: "kind of list", value: UInt64(kind))))
        }
    }

    @Test("an answer with a larger page than there are, or two fragments, is refused")
    func fetched() {
        let limit = StripePage.sizeBytesMax(cluster)
        func reply(pageSizeBytes: Int, fragmentSizes: [UInt32] = []) -> WireError? {
            let head = encoded { encoder in
                encoder.append(UInt8(1))
                encoder.append(UInt64(7))
                encoder.append(UInt8(1))
                encoder.append(counted: Array(repeating: 1, count: pageSizeBytes))
                Claims.appendFragments(sizes: fragmentSizes, into: &encoder)
            }
            return Direction.reply.error(
                of: frame(
                    .fetchedReply, head: head,
                    fragments: Array(repeating: 1, count: Int(fragmentSizes.reduce(0, +)))))
        }
        #expect(reply(pageSizeBytes: limit, fragmentSizes: [3]) == nil)
        #expect(
            reply(pageSizeBytes: limit + 1)
                == .malformed(.overLimit(field: "page", value: UInt64(limit + 1), limit: UInt64(limit))))
        #expect(
            reply(pageSizeBytes: 1, fragmentSizes: [1, 1])
                == .malformed(.overLimit(field: "fragments", value: 2, limit: 1)))
    }

    @Test("names of missing stripes are runs of a value's parts, a bounded number at a time")
    func missing() {
        func refusal(_ runs: [(part: UInt16, lower: UInt32, upper: UInt32)], count: UInt16? = nil) -> WireError? {
            let sample = Message.reply(.refused(.stripesMissing([]))).frame(number: 9)
            return Direction.reply.error(
                of: replacingHead(of: sample) { head in
                    head.removeLast(2)
                    head += encoded { encoder in
                        encoder.append(count ?? UInt16(runs.count))
                        for run in runs {
                            encoder.append(run.part)
                            encoder.append(run.lower)
                            encoder.append(run.upper)
                        }
                    }
                })
        }
        #expect(refusal([(0, 0, 1), (9999, 0, 1 << 24)]) == nil)
        let wrong = WireError.malformed(.notCanonical(field: "missing stripes"))
        for run in [(0, 1, 1), (0, 2, 1), (0, 0, 1 << 24 + 1), (10_000, 0, 1)] as [(UInt16, UInt32, UInt32)] {
            #expect(refusal([run]) == wrong)
        }
        // The same runs again and again would have a client go through millions of stripes.
        #expect(refusal([(0, 0, 9), (0, 9, 10), (1, 0, 1)]) == nil)
        for runs in [[(0, 0, 9), (0, 0, 9)], [(0, 0, 9), (0, 8, 10)], [(1, 0, 1), (0, 0, 1)]]
            as [[(UInt16, UInt32, UInt32)]]
        {
            #expect(refusal(runs) == wrong)
        }
        #expect(
            refusal([], count: 1001)
                == .malformed(.overLimit(field: "missing stripes", value: 1001, limit: 1000)))
        // A server that misses more names as many as it may.
        let many = (0..<1001).map { MissingStripes(part: UInt16($0), stripes: 0..<1) }
        let bytes = Message.reply(.refused(.stripesMissing(many))).frame(number: 9)
        #expect(Direction.reply.error(of: bytes) == nil)
    }
}
