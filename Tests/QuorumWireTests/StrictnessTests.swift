// What is not exactly one message of the cluster is refused by name: cut, prolonged, misdirected, or claiming too much.

import ErasureCode
import Fingerprint
import Foundation
import NIOCore
import QuorumProtocol
import QuorumWire
import Testing

@Suite("A frame")
struct StrictnessTests {
    @Test("cut anywhere is truncated", arguments: Sample.messages)
    func everyTruncation(message: Message) {
        let frame = message.frame(number: 1)
        for count in 0..<frame.count {
            expectTruncated(message.direction.error(of: Array(frame[..<count])), "\(count) of \(frame.count) bytes")
        }
    }

    @Test("whose head is cut anywhere, and says so, is truncated", arguments: Sample.messages)
    func everyTruncationOfHead(message: Message) {
        let frame = message.frame(number: 1)
        for count in 0..<headSize(of: frame) {
            let cut = replacingHead(of: frame) { $0.removeLast($0.count - count) }
            expectTruncated(message.direction.error(of: cut), "\(count) bytes of head")
        }
    }

    private func expectTruncated(_ error: WireError?, _ what: String) {
        guard case .malformed(.truncated) = error else {
            Issue.record("\(what): \(String(describing: error))")
            return
        }
    }

    @Test("with a byte left over has one byte left over", arguments: Sample.messages)
    func everyTrailingByte(message: Message) {
        let frame = message.frame(number: 1)
        let expected = WireError.malformed(.trailingBytes(count: 1))
        for byte in 0...UInt8.max {
            #expect(message.direction.error(of: frame + [byte]) == expected, "byte \(byte)")
        }
        for byte: UInt8 in [0, 1, 0xff] {
            let longer = replacingHead(of: frame) { $0.append(byte) }
            #expect(message.direction.error(of: longer) == expected, "byte \(byte) of the head")
        }
    }

    @Test("of an unknown type, if well-formed, is told apart from one that is none", arguments: Direction.allCases)
    func unknownTypes(direction: Direction) {
        for type in 0...UInt8.max where MessageType(rawValue: type) == nil {
            for number: UInt64 in [0, 9, .max] {
                let bytes = [type] + frame(.read, head: [1, 2, 3], fragments: [4, 5], number: number).dropFirst()
                #expect(direction.error(of: Array(bytes)) == .unsupported(type: type, request: number))
            }
            let cut = [type] + frame(.read, head: [1, 2], headSizeBytes: 3).dropFirst()
            #expect(direction.error(of: Array(cut)) == .malformed(.truncated(field: "head")))
        }
    }

    @Test("with number 0 is none, since there are only requests and replies", arguments: Sample.messages)
    func oneWay(message: Message) {
        var frame = message.frame(number: 1)
        frame.replaceSubrange(1..<9, with: [UInt8](repeating: 0, count: 8))
        #expect(
            message.direction.error(of: frame) == .malformed(.unknownValue(field: "request number", value: 0)))
    }

    @Test("is no message of the other direction", arguments: Sample.messages)
    func misdirected(message: Message) {
        let frame = message.frame(number: 1)
        #expect(message.direction.opposite.error(of: frame) == .misdirected(MessageType(rawValue: frame[0])!))
    }

    @Test(
        "whose head claims more than is allowed is refused before it is read",
        arguments: [UInt32.max, UInt32.max >> 1, UInt32(WireLimits.headSizeBytesMax) + 1], Direction.allCases)
    func headOverLimit(size: UInt32, direction: Direction) {
        let bytes = frame(direction == .request ? .commit : .refusedReply, head: [], headSizeBytes: size)
        let limit = UInt64(WireLimits.headSizeBytesMax)
        #expect(
            direction.error(of: bytes) == .malformed(.overLimit(field: "head", value: UInt64(size), limit: limit)))
    }

    @Test("whose head claims more than there is, is truncated", arguments: [1, UInt32(WireLimits.headSizeBytesMax)])
    func headBeyondFrame(size: UInt32) {
        let bytes = frame(.committedReply, head: [], headSizeBytes: size)
        #expect(Direction.reply.error(of: bytes) == .malformed(.truncated(field: "head")))
    }

    @Test("whose fragment is stated larger than what follows is truncated", arguments: [25, 1 << 20, UInt32.max])
    func fragmentBeyondFrame(size: UInt32) {
        let head = Claims.prepareHead { Claims.appendFragments(sizes: [size], into: &$0) }
        let bytes = frame(.prepare, head: head, fragments: Array(0..<24))
        #expect(Direction.request.error(of: bytes) == .malformed(.truncated(field: "fragment")))
    }

    @Test("whose fragment is stated smaller than what follows has bytes left over", arguments: [0, 1, 23])
    func fragmentWithinFrame(size: UInt32) {
        let head = Claims.prepareHead { Claims.appendFragments(sizes: [size], into: &$0) }
        let bytes = frame(.prepare, head: head, fragments: Array(0..<24))
        #expect(Direction.request.error(of: bytes) == .malformed(.trailingBytes(count: 24 - Int(size))))
    }

    @Test("that states a count over its limit is refused by that count", arguments: Claims.overLimit)
    func countOverLimit(claim: Claims.OverLimit) {
        #expect(
            claim.direction.error(of: claim.frame)
                == .malformed(.overLimit(field: claim.field, value: claim.value, limit: claim.limit)))
    }

    @Test("that states more items than follow is truncated", arguments: Claims.unfilled)
    func countBeyondFrame(claim: Claims.Unfilled) {
        expectTruncated(claim.direction.error(of: claim.frame), claim.name)
    }

    @Test("whose values name nothing is refused by them", arguments: Claims.unknown)
    func unknownValues(claim: Claims.Unknown) {
        #expect(
            claim.direction.error(of: claim.frame)
                == .malformed(.unknownValue(field: claim.field, value: UInt64(claim.value))))
    }

    @Test("not in the one canonical form is refused", arguments: Claims.notCanonical)
    func notCanonical(claim: Claims.NotCanonical) {
        #expect(
            claim.direction.error(of: claim.frame) == .malformed(.notCanonical(field: claim.field)), "\(claim.name)")
    }

    // In a process of its own: the peak never falls, so any other test that raised it before would hide what is sought.
    @Test("that claims gigabytes makes no decoder reserve them")
    func noAllocationByClaim() async {
        await #expect(processExitsWith: .success) {
            let before = try peakAddressSpaceBytes()
            for claim in Claims.overLimit { #expect(claim.direction.error(of: claim.frame) != nil) }
            for claim in Claims.unfilled { #expect(claim.direction.error(of: claim.frame) != nil) }
            for size in [UInt32.max, 1 << 31] {
                let head = Claims.prepareHead { Claims.appendFragments(sizes: [size], into: &$0) }
                #expect(Direction.request.error(of: frame(.prepare, head: head)) != nil)
                #expect(Direction.request.error(of: frame(.prepare, head: head, headSizeBytes: size)) != nil)
            }
            #expect(try peakAddressSpaceBytes() - before < 1 << 30)
        }
    }
}

/// The most address space that this process ever had.
private func peakAddressSpaceBytes() throws -> Int {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmPeak:") })
    return try #require(line.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) }) * 1024
}
