// The frame decoder and the greeting, without sockets.

import NIOCore
import QuorumTransport
import Testing

@Suite("Framing")
struct FramingTests {
    /// What a decoder makes of a whole stream.
    private struct Outcome: Equatable {
        var frames: [[UInt8]] = []
        var error: FramingError?
        var missingBytes = 0
    }

    private func decode(_ stream: [UInt8], limitBytes: Int, pieces: () -> Int) -> Outcome {
        var decoder = FrameDecoder(limitBytes: limitBytes)
        var outcome = Outcome()
        var position = 0
        while position < stream.count {
            let end = min(stream.count, position + pieces())
            var chunk = ByteBuffer(bytes: stream[position..<end])
            position = end
            do throws(FramingError) {
                while let frame = try decoder.next(from: &chunk) { outcome.frames.append(Array(buffer: frame)) }
            } catch {
                outcome.error = error
                return outcome
            }
        }
        outcome.missingBytes = decoder.missingBytes
        return outcome
    }

    /// The same, in one look at the whole stream.
    private func reference(_ stream: [UInt8], limitBytes: Int) -> Outcome {
        var outcome = Outcome()
        var rest = stream[...]
        while rest.count >= 4 {
            let size = rest.prefix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            if size == 0 {
                outcome.error = .empty
                return outcome
            }
            if size > UInt32(limitBytes) {
                outcome.error = .tooLarge(sizeBytes: size, limitBytes: limitBytes)
                return outcome
            }
            guard rest.count - 4 >= Int(size) else {
                outcome.missingBytes = Int(size) - (rest.count - 4)
                return outcome
            }
            outcome.frames.append(Array(rest.dropFirst(4).prefix(Int(size))))
            rest = rest.dropFirst(4 + Int(size))
        }
        if !rest.isEmpty { outcome.missingBytes = 4 - rest.count }
        return outcome
    }

    @Test("Any stream cut into any chunks gives the frames of the whole stream", arguments: UInt64(0)..<40)
    func chunking(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<100 {
            var stream: [UInt8] = []
            for _ in 0..<Int.random(in: 0..<6, using: &generator) {
                let size = Int.random(in: 1...(Bool.random(using: &generator) ? 10 : 400), using: &generator)
                stream += [UInt8(size & 255), UInt8(size >> 8), 0, 0] + generator.bytes(size)
            }
            if !stream.isEmpty, Int.random(in: 0..<3, using: &generator) == 0 {
                stream[Int.random(in: 0..<stream.count, using: &generator)] = UInt8.random(
                    in: 0...255, using: &generator)
            }
            if Int.random(in: 0..<4, using: &generator) == 0 {
                stream.removeLast(min(stream.count, Int.random(in: 0..<9, using: &generator)))
            }
            let longest = Bool.random(using: &generator) ? 5 : 700
            let outcome = decode(stream, limitBytes: 400) { Int.random(in: 1...longest, using: &generator) }
            #expect(outcome == reference(stream, limitBytes: 400), "seed \(seed)")
        }
    }

    @Test("A header above the limit is refused before a byte of its payload is there")
    func tooLarge() {
        var decoder = FrameDecoder(limitBytes: 10)
        var chunk = ByteBuffer(bytes: [11, 0, 0, 0])
        #expect(throws: FramingError.tooLarge(sizeBytes: 11, limitBytes: 10)) { try decoder.next(from: &chunk) }
        var other = FrameDecoder(limitBytes: FrameFormat.largestLimitBytes)
        var huge = ByteBuffer(bytes: [255, 255, 255, 255])
        #expect(throws: FramingError.tooLarge(sizeBytes: .max, limitBytes: FrameFormat.largestLimitBytes)) {
            try other.next(from: &huge)
        }
    }

    @Test("An empty frame is refused")
    func empty() {
        var decoder = FrameDecoder(limitBytes: 10)
        var chunk = ByteBuffer(bytes: [0, 0, 0, 0])
        #expect(throws: FramingError.empty) { try decoder.next(from: &chunk) }
    }

    static let greetings: [Greeting] = [
        .hello(version: 2, Fixture.scope),
        .hello(version: 2, ClusterScope(clusterID: (0..<16).map { UInt8($0) }, epoch: .max)!),
        .hello(
            version: 2,
            ClusterScope(
                clusterID: (0..<16).map { UInt8($0) }, epoch: 5, configurationDigest: (0..<32).map { UInt8($0) },
                listVersions: ListVersions(addresses: 1, keys: .max, access: 7), incarnation: 3, capabilities: 1 << 63)!
        ),
        .hello(version: 9, Fixture.scope),
        .hello(
            version: 2,
            ClusterScope(
                clusterID: [UInt8](repeating: 7, count: 16), epoch: 3, partTags: Array(repeating: .max, count: 64))!),
        .refusal(.unknownPeer), .refusal(.certificateExpired(notAfter: -5)),
        .refusal(.certificateNotYetValid(notBefore: .max)), .refusal(.wrongCluster),
        .refusal(.otherConfiguration(.init(rawValue: .max))), .refusal(.unsupportedVersion(supported: 9)),
        .refusal(.malformedHello), .refusal(.tooManyConnections(limit: .max)), .refusal(.shuttingDown),
        .refusal(.other(code: 10, isTransient: false, detail: 7)),
        .refusal(.other(code: .max, isTransient: true, detail: .max)),
    ]

    @Test("A greeting is read back as it was written", arguments: greetings)
    func greetingRoundTrip(greeting: Greeting) {
        #expect(Greeting(decoding: greeting.encoded()) == greeting)
    }

    /// A HELLO of these sections, in this order.
    private static func hello(_ sections: [(number: UInt16, bytes: [UInt8])]) -> Greeting? {
        var buffer = ByteBuffer(bytes: Array("SQT2".utf8) + [1, 2, 0])
        for section in sections {
            buffer.writeInteger(section.number, endianness: .little)
            buffer.writeInteger(UInt16(section.bytes.count), endianness: .little)
            buffer.writeBytes(section.bytes)
        }
        return Greeting(decoding: buffer)
    }

    private static let sections: [(number: UInt16, bytes: [UInt8])] = [
        (1, [UInt8](repeating: 7, count: 16)), (2, [3, 0, 0, 0, 0, 0, 0, 0]), (3, [UInt8](repeating: 0, count: 32)),
        (4, [UInt8](repeating: 0, count: 24)),
    ]

    @Test("A HELLO is its sections in ascending order; unknown ones are skipped, wherever they are")
    func helloSections() {
        let known = Self.sections
        let expected = Greeting.hello(version: 2, ClusterScope(clusterID: [UInt8](repeating: 7, count: 16), epoch: 3)!)
        #expect(Self.hello(known) == expected)
        #expect(Self.hello(known + [(8, [1, 2, 3])]) == expected)
        for count in [0, 3, 5, 65 * 4] {
            #expect(Self.hello(known + [(7, [UInt8](repeating: 1, count: count))]) == nil, "\(count) bytes of tags")
        }
        #expect(Self.hello(known + [(700, []), (.max, [UInt8](repeating: 9, count: 900))]) == expected)
        #expect(Self.hello([(0, [])] + known) == nil, "sections count from 1")
        #expect(Self.hello(known.reversed()) == nil)
        #expect(Self.hello(known + [known[3]]) == nil)
        for index in known.indices {
            var without = known
            without.remove(at: index)
            #expect(Self.hello(without) == nil, "section \(known[index].number) is missing")
            var long = known
            long[index].bytes.append(0)
            #expect(Self.hello(long) == nil, "section \(known[index].number) is too long")
            var short = known
            short[index].bytes.removeLast()
            #expect(Self.hello(short) == nil, "section \(known[index].number) is too short")
        }
        #expect(Self.hello(known + [(5, [1])]) == nil)
        #expect(
            Self.hello(known + [(6, [0, 0, 0, 0, 0, 0, 0, 0])]) == nil, "no capability is written by leaving it out")
    }

    @Test("A greeting cut short, or longer than its version says, is none", arguments: greetings)
    func greetingLengths(greeting: Greeting) {
        let whole = Array(buffer: greeting.encoded())
        // After the four sections that must be there a HELLO may end with any.
        let ends = [7 + 20 + 12 + 36 + 28, 7 + 20 + 12 + 36 + 28 + 12]
        for count in 0..<whole.count {
            if case .hello = greeting, ends.contains(count) { continue }
            #expect(Greeting(decoding: ByteBuffer(bytes: whole.prefix(count))) == nil, "\(count) bytes")
        }
        #expect(Greeting(decoding: ByteBuffer(bytes: whole + [0])) == nil)
    }

    @Test("A HELLO's layout is the documented one")
    func helloLayout() {
        let scope = ClusterScope(
            clusterID: (1...16).map { UInt8($0) }, epoch: 5, configurationDigest: (1...32).map { UInt8($0) },
            listVersions: ListVersions(addresses: 1, keys: 2, access: 0x0304), incarnation: 6)!
        func word(_ low: [UInt8]) -> [UInt8] { low + [UInt8](repeating: 0, count: 8 - low.count) }
        var expected: [UInt8] = Array("SQT2".utf8) + [1, 2, 1]
        expected += [1, 0, 16, 0] + (1...16).map { UInt8($0) }
        expected += [2, 0, 8, 0] + word([5])
        expected += [3, 0, 32, 0] + (1...32).map { UInt8($0) }
        expected += [4, 0, 24, 0] + word([1]) + word([2]) + word([4, 3])
        expected += [5, 0, 8, 0] + word([6])
        #expect(Array(buffer: Greeting.hello(version: 0x0102, scope).encoded()) == expected)
    }

    @Test("A refusal's layout is the documented one")
    func refusalLayout() {
        let expected: [UInt8] = Array("SQT2".utf8) + [2, 8, 0, 1, 5, 0, 0, 0, 0, 0, 0, 0]
        #expect(Array(buffer: Greeting.refusal(.tooManyConnections(limit: 5)).encoded()) == expected)
    }

    @Test("A refusal that claims to pass and does not, or has a detail that its reason has not, is none")
    func contradictoryRefusal() {
        func greeting(code: UInt8, isTransient: UInt8, detail: UInt8) -> Greeting? {
            let bytes = Array("SQT2".utf8) + [2, code, 0, isTransient, detail, 0, 0, 0, 0, 0, 0, 0]
            return Greeting(decoding: ByteBuffer(bytes: bytes))
        }
        #expect(greeting(code: 9, isTransient: 1, detail: 0) == .refusal(.shuttingDown))
        #expect(greeting(code: 9, isTransient: 0, detail: 0) == nil)
        #expect(greeting(code: 9, isTransient: 1, detail: 3) == nil)
        #expect(greeting(code: 9, isTransient: 2, detail: 0) == nil)
        #expect(greeting(code: 1, isTransient: 1, detail: 0) == nil)
    }

    @Test("Random bytes are never a greeting by accident, and never a trap")
    func greetingGarbage() {
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<5000 {
            let bytes = generator.bytes(Int.random(in: 0..<64, using: &generator))
            #expect(Greeting(decoding: ByteBuffer(bytes: bytes)) == nil)
        }
    }

    @Test("Backoff doubles between its bounds, jitters by at most a half, and starts over")
    func backoff() {
        var generator = SeededGenerator(seed: 1)
        var backoff = Backoff()
        for round in 0..<100 {
            let full = min(TimeAmount.milliseconds(50 << Int64(min(round, 20))), .seconds(2))
            let delay = backoff.next(isFinal: false, using: &generator)
            #expect(delay <= full && delay.nanoseconds >= full.nanoseconds / 2, "round \(round)")
        }
        backoff.reset()
        #expect(backoff.next(isFinal: false, using: &generator) <= .milliseconds(50))
        #expect(backoff.next(isFinal: true, using: &generator) >= .seconds(1))
    }
}
