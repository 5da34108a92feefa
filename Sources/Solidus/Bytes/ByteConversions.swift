// Bytes as the library has them, and as Swift programs do.

import ErasureCode
import NIOCore
import QuorumClient
import QuorumWire

extension SharedBytes {
    /// The readable bytes of a buffer, without copying them. Whoever writes to the buffer later writes to a copy.
    public init(_ buffer: ByteBuffer) {
        self.init(sharing: buffer)
    }
}

extension ByteBuffer {
    /// A copy of the bytes: a buffer owns its memory alone.
    public init(_ bytes: SharedBytes) {
        self = bytes.withUnsafeBytes { ByteBuffer(bytes: $0) }
    }
}

extension StoredObject {
    /// A copy of the value as an array.
    public var bytes: [UInt8] { value.array }

    /// A copy of the value as a buffer.
    public var buffer: ByteBuffer { ByteBuffer(value) }

    /// The value as text; nil when it is not UTF-8.
    public var text: String? { value.withUnsafeBytes { String(validating: $0, as: UTF8.self) } }
}
