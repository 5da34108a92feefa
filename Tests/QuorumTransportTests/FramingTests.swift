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
        .hello(version: 1, Fixture.scope),
        .hello(version: 1, ClusterScope(clusterID: (0..<16).map { UInt8($0) }, epoch: .max)!),
        .hello(version: 9, Fixture.scope),
        .refusal(.unknownPeer), .refusal(.certificateExpired(notAfter: -5)),
        .refusal(.certificateNotYetValid(notBefore: .max)), .refusal(.wrongCluster),
        .refusal(.wrongEpoch(expected: .max)), .refusal(.unsupportedVersion(supported: 9)),
        .refusal(.malformedHello), .refusal(.tooManyConnections(limit: .max)), .refusal(.shuttingDown),
        .refusal(.other(code: 10, isTransient: false, detail: 7)),
        .refusal(.other(code: .max, isTransient: true, detail: .max)),
    ]

    @Test("A greeting is read back as it was written", arguments: greetings)
    func greetingRoundTrip(greeting: Greeting) {
        #expect(Greeting(decoding: greeting.encoded()) == greeting)
    }

    @Test("A greeting cut short, or longer than its version says, is none", arguments: greetings)
    func greetingLengths(greeting: Greeting) {
        let whole = Array(buffer: greeting.encoded())
        for count in 0..<whole.count {
            #expect(Greeting(decoding: ByteBuffer(bytes: whole.prefix(count))) == nil)
        }
        if case .hello(version: 9, _) = greeting { return }
        #expect(Greeting(decoding: ByteBuffer(bytes: whole + [0])) == nil)
    }

    @Test("A HELLO's layout is the documented one")
    func helloLayout() {
        let greeting = Greeting.hello(version: 0x0102, ClusterScope(clusterID: (1...16).map { UInt8($0) }, epoch: 5)!)
        let expected: [UInt8] = Array("SQT1".utf8) + [1, 2, 1] + (1...16).map { UInt8($0) } + [5, 0, 0, 0, 0, 0, 0, 0]
        #expect(Array(buffer: greeting.encoded()) == expected)
    }

    @Test("A refusal's layout is the documented one")
    func refusalLayout() {
        let expected: [UInt8] = Array("SQT1".utf8) + [2, 8, 0, 1, 5, 0, 0, 0, 0, 0, 0, 0]
        #expect(Array(buffer: Greeting.refusal(.tooManyConnections(limit: 5)).encoded()) == expected)
    }

    @Test("A refusal that claims to pass and does not, or has a detail that its reason has not, is none")
    func contradictoryRefusal() {
        func greeting(code: UInt8, isTransient: UInt8, detail: UInt8) -> Greeting? {
            let bytes = Array("SQT1".utf8) + [2, code, 0, isTransient, detail, 0, 0, 0, 0, 0, 0, 0]
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
