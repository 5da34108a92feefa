// Pointers into several pieces at once, as C kernels want them.

/// Calls `body` with the address of each piece's first byte (nil for an empty piece), in order.
///
/// The pointers are valid only during the call: the pieces, and through them their storage, are kept alive until then.
package func withUnsafePointers<R, E: Error>(
    to pieces: [SharedBytes], _ body: ([UnsafePointer<UInt8>?]) throws(E) -> R
) throws(E) -> R {
    defer { withExtendedLifetime(pieces) {} }
    let pointers = pieces.map { piece in
        piece.withUnsafeBytes { bytes in bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) }
    }
    return try body(pointers)
}
