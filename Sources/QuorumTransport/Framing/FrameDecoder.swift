// Cuts a stream of bytes into frames, without trusting a byte of it.
//
// The size in a header is judged before anything is stored for it. A frame is assembled in a buffer of its own,
// reserved once its size is known and accepted: every byte is copied exactly once whatever the sizes of the chunks, a
// frame handed up keeps no memory alive but its own, and the buffer that TLS decrypts into is free for the next read.

import NIOCore

/// Why a stream of bytes is no stream of frames.
package enum FramingError: Error, Equatable, Sendable {
    /// A header announces `sizeBytes` where at most `limitBytes` are allowed.
    case tooLarge(sizeBytes: UInt32, limitBytes: Int)
    /// A header announces a frame without bytes.
    case empty
}

/// An incremental decoder of the frame format; after an error the stream is beyond repair and must be closed.
package struct FrameDecoder {
    /// The largest payload accepted from the next header on, in bytes.
    package var limitBytes: Int
    /// Bytes of the frame that `header(from:)` has found and `next(from:)` has not begun on yet; 0 otherwise.
    private var announcedBytes = 0
    private var header: UInt32 = 0
    private var headerByteCount = 0
    private var payload = ByteBuffer()
    private var missingPayloadBytes = 0

    /// A decoder at the start of a stream.
    package init(limitBytes: Int) {
        precondition(limitBytes > 0 && limitBytes <= FrameFormat.largestLimitBytes)
        self.limitBytes = limitBytes
    }

    /// Bytes known to be missing from the frame that has begun; 0 between frames.
    package var missingBytes: Int {
        if missingPayloadBytes > 0 || announcedBytes > 0 { return missingPayloadBytes + announcedBytes }
        return headerByteCount == 0 ? 0 : FrameFormat.headerSizeBytes - headerByteCount
    }

    /// Takes the next frame's header from `chunk` and returns the frame's size in bytes, for whoever wants to know it
    /// before there is memory for it; nil when memory was taken already, or the header is not complete.
    package mutating func header(from chunk: inout ByteBuffer) throws(FramingError) -> Int? {
        guard missingPayloadBytes == 0 else { return nil }
        if announcedBytes == 0 {
            guard readHeader(from: &chunk) else { return nil }
            let sizeBytes = header
            header = 0
            headerByteCount = 0
            guard sizeBytes > 0 else { throw .empty }
            guard sizeBytes <= UInt32(limitBytes) else { throw .tooLarge(sizeBytes: sizeBytes, limitBytes: limitBytes) }
            announcedBytes = Int(sizeBytes)
        }
        return announcedBytes
    }

    /// Takes bytes from `chunk` up to the end of the next frame and returns that frame; nil when `chunk` is used up.
    package mutating func next(from chunk: inout ByteBuffer) throws(FramingError) -> ByteBuffer? {
        if missingPayloadBytes == 0 {
            guard let sizeBytes = try header(from: &chunk) else { return nil }
            announcedBytes = 0
            missingPayloadBytes = sizeBytes
            payload = ByteBuffer()
            payload.reserveCapacity(missingPayloadBytes)
        }
        let takenBytes = min(missingPayloadBytes, chunk.readableBytes)
        payload.writeWithUnsafeMutableBytes(minimumWritableBytes: takenBytes) { target in
            chunk.readWithUnsafeReadableBytes { source in
                target.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[0..<takenBytes]))
                return takenBytes
            }
            return takenBytes
        }
        missingPayloadBytes -= takenBytes
        guard missingPayloadBytes == 0 else { return nil }
        let frame = payload
        payload = ByteBuffer()
        return frame
    }

    /// Completes the header; false when `chunk` ends before it does.
    private mutating func readHeader(from chunk: inout ByteBuffer) -> Bool {
        if headerByteCount == 0, let whole = chunk.readInteger(endianness: .little, as: UInt32.self) {
            header = whole
            headerByteCount = FrameFormat.headerSizeBytes
            return true
        }
        while headerByteCount < FrameFormat.headerSizeBytes {
            guard let byte = chunk.readInteger(as: UInt8.self) else { return false }
            header |= UInt32(byte) << UInt32(8 * headerByteCount)
            headerByteCount += 1
        }
        return true
    }
}
