// Bytes shared with a network buffer: not copied, and out of reach of whoever writes to the buffer afterwards.

import ErasureCode
import NIOCore
import QuorumProtocol
import QuorumWire
import Testing

@Suite("Bytes shared with a buffer")
struct SharedBytesTests {
    private static let content = (0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 31) }

    /// Writes over everything the buffer has, then lets it go and makes its storage's place attractive to others.
    private func overwriteAndDrop(_ buffer: inout ByteBuffer) {
        buffer.clear()
        buffer.writeRepeatingByte(0xee, count: Self.content.count)
        buffer = ByteBuffer()
        for _ in 0..<64 { _ = ByteBuffer(repeating: 0xdd, count: Self.content.count) }
    }

    @Test("stay as they were when the buffer is written to and dropped")
    func unchanged() {
        var buffer = ByteBuffer(bytes: Self.content)
        let shared = SharedBytes(sharing: buffer)
        buffer.setRepeatingByte(0xcc, count: 100, at: 50)
        #expect(shared.array == Self.content)
        overwriteAndDrop(&buffer)
        #expect(shared.array == Self.content)
    }

    @Test("are the readable bytes of a slice only, and outlive slice and buffer")
    func slices() throws {
        var buffer = ByteBuffer(bytes: Self.content)
        buffer.moveReaderIndex(forwardBy: 3)
        let taken = buffer.readSlice(length: 1000)
        var slice = try #require(taken)
        let shared = SharedBytes(sharing: slice)
        let rest = SharedBytes(sharing: buffer)
        slice.setRepeatingByte(0xcc, count: 10, at: slice.readerIndex)
        overwriteAndDrop(&slice)
        overwriteAndDrop(&buffer)
        #expect(shared.array == Array(Self.content[3..<1003]))
        #expect(shared[10..<20].array == Array(Self.content[13..<23]))
        #expect(rest.array == Array(Self.content[1003...]))
    }

    @Test("are where the buffer has them")
    func notCopied() {
        let buffer = ByteBuffer(bytes: Self.content)
        let shared = SharedBytes(sharing: buffer)
        let address = buffer.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
        #expect(shared.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) } == address)
    }

    @Test("of an empty buffer are none")
    func empty() {
        var drained = ByteBuffer(bytes: Self.content)
        drained.moveReaderIndex(to: drained.writerIndex)
        for buffer in [ByteBuffer(), drained] {
            let shared = SharedBytes(sharing: buffer)
            #expect(shared.count == 0)
            #expect(shared == SharedBytes())
            #expect(shared.array == [])
        }
    }

    @Test("make a decoded fragment that outlives its frame")
    func fragmentOutlivesFrame() throws {
        let fragment = SharedBytes(Self.content)
        let prepare = Prepare(
            key: Sample.key, timestamp: Sample.timestamp(1, of: Sample.value), position: 1, descriptor: Sample.value,
            fragments: [fragment])
        var buffer = ByteBuffer(bytes: Message.request(.prepare(prepare)).frame(number: 1))
        let decoded = try Request.decode(buffer, parameters: cluster).request
        overwriteAndDrop(&buffer)
        #expect(decoded == .prepare(prepare))
    }
}
