// A frame on its way out: one or two pieces, so that a payload slice needs no copy in front of the socket.

import NIOCore

/// An opaque frame: the bytes of `head` followed by those of `body`.
package struct OutboundFrame: Sendable {
    /// The encoded message, or all of it but a large payload.
    package var head: ByteBuffer
    /// A large payload, sent as it is after the head.
    package var body: ByteBuffer?

    package init(head: ByteBuffer, body: ByteBuffer? = nil) {
        self.head = head
        self.body = body
    }

    /// Bytes of payload, header excluded.
    package var sizeBytes: Int { head.readableBytes + (body?.readableBytes ?? 0) }
}

/// The numbers of the frame format: a little-endian UInt32 with the payload's size in bytes, then the payload.
package enum FrameFormat {
    /// Bytes of a frame's header.
    package static let headerSizeBytes = 4
    /// The limit for the first frame each way, before the peers know each other.
    package static let helloLimitBytes = 4096
    /// The largest limit that can be configured.
    package static let largestLimitBytes = Int(Int32.max)
}
