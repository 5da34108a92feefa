// Mutated frames: nothing traps, and whatever is accepted has exactly one encoding.

import NIOCore
import QuorumProtocol
import QuorumWire
import Testing

@Suite("A mutated frame")
struct MutationTests {
    private static let framesPerSeed = 6_000

    @Test("is refused, or is the one encoding of what it decodes to", arguments: [UInt64(1), 2, 3, 4])
    func mutations(seed: UInt64) {
        var mutator = FrameMutator(seed: seed, frames: Sample.messages.map { $0.frame(number: 0x1122_3344) })
        var acceptedCount = 0
        for iteration in 0..<Self.framesPerSeed {
            let frame = mutator.next()
            for direction in Direction.allCases {
                guard let (number, message) = try? direction.decode(frame) else { continue }
                acceptedCount += 1
                let isCanonical =
                    message.frame(number: number) == frame
                    && message.descriptors.allSatisfy { SealedDescriptor($0.descriptor).bytes == $0.bytes }
                guard isCanonical else {
                    Issue.record("seed \(seed), frame \(iteration): \(hexadecimal(frame)) decodes to \(message)")
                    return
                }
            }
        }
        #expect(acceptedCount >= Self.framesPerSeed / 50, "too few mutated frames were accepted to say anything")
        #expect(acceptedCount <= Self.framesPerSeed * 49 / 50, "too few mutated frames were refused to say anything")
    }
}

/// An endless sequence of frames near the given ones.
private struct FrameMutator {
    private var generator: SeededGenerator
    private let frames: [[UInt8]]

    init(seed: UInt64, frames: [[UInt8]]) {
        generator = SeededGenerator(seed: seed)
        self.frames = frames
    }

    mutating func next() -> [UInt8] {
        var frame = anyFrame()
        for _ in 0..<Int.random(in: 1...3, using: &generator) { mutate(&frame) }
        // A head size that no longer fits ends the decoding early: half of the frames get one that does.
        if Bool.random(using: &generator) { fitHeadSize(&frame) }
        return frame
    }

    private mutating func anyFrame() -> [UInt8] {
        frames.randomElement(using: &generator)!
    }

    private mutating func mutate(_ frame: inout [UInt8]) {
        guard !frame.isEmpty else { return }
        let position = Int.random(in: frame.indices, using: &generator)
        switch Int.random(in: 0..<8, using: &generator) {
        case 0, 1:
            frame[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 2:
            frame[position] = [0, 1, 2, 0x7f, 0x80, 0xff].randomElement(using: &generator)!
        case 3:
            let end = min(frame.count, position + [2, 4, 8].randomElement(using: &generator)!)
            let byte: UInt8 = Bool.random(using: &generator) ? 0 : 0xff
            for offset in position..<end { frame[offset] = byte }
        case 4:
            frame.removeLast(frame.count - position)
        case 5:
            let other = anyFrame()
            frame = Array(frame[..<position]) + other[Int.random(in: other.indices, using: &generator)...]
        case 6:
            frame.insert(contentsOf: randomBytes(Int.random(in: 1...8, using: &generator)), at: position)
        default:
            frame = [frame[0]] + randomBytes(Int.random(in: 0...300, using: &generator))
        }
    }

    private mutating func fitHeadSize(_ frame: inout [UInt8]) {
        guard frame.count >= WireLimits.preambleSizeBytes else { return }
        let size = UInt32(frame.count - WireLimits.preambleSizeBytes)
        frame.replaceSubrange(9..<13, with: encoded { $0.append(size) })
    }

    private mutating func randomBytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
    }
}
