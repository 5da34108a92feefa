// Messages as the buffers that a network library sends.

import ErasureCode
import NIOCore

extension EncodedMessage {
    /// Preamble and head.
    package var headBuffer: ByteBuffer { ByteBuffer(bytes: head) }

    /// The fragments, copied one behind the other into a buffer of the network's; nil when there are none.
    package var fragmentBuffer: ByteBuffer? {
        let size = fragments.reduce(0) { $0 + $1.count }
        guard size > 0 else { return nil }
        var buffer = ByteBufferAllocator().buffer(capacity: size)
        for fragment in fragments {
            _ = fragment.withUnsafeBytes { buffer.writeBytes($0) }
        }
        return buffer
    }
}
