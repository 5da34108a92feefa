// Pointers into several pieces at once, as C kernels want them.

/// Calls `body` with the address of each piece's first byte (nil for an empty piece), in order.
///
/// The pointers, and the buffer that holds them, are valid only during the call: the pieces, and through them their
/// storage, are kept alive until then. Up to 128 pointers take no allocation.
package func withUnsafePointers<R>(
    to pieces: ArraySlice<SharedBytes>, _ body: (UnsafeBufferPointer<UnsafePointer<UInt8>?>) -> R
) -> R {
    defer { withExtendedLifetime(pieces) {} }
    return withUnsafeTemporaryAllocation(of: UnsafePointer<UInt8>?.self, capacity: pieces.count) { pointers in
        for (position, piece) in pieces.enumerated() {
            pointers.initializeElement(at: position, to: piece.start)
        }
        return body(UnsafeBufferPointer(pointers))
    }
}

extension SharedBytes {
    /// The first byte's address, nil when there is none; good only while these bytes are kept alive.
    package var start: UnsafePointer<UInt8>? {
        withUnsafeBytes { $0.baseAddress?.assumingMemoryBound(to: UInt8.self) }
    }
}
