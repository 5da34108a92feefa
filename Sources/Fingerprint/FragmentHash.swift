// Fragment hashes: trees of SHA-256 over 2 KiB leaves, so that one fragment can fill every lane of a processor.

import CFragmentCore
import ErasureCode

extension Digest256 {
    /// The fragment's hash: SHA-256(0x01 || length as 8 bytes little-endian || leaf hashes), where a leaf hash is
    /// SHA-256(0x00 || leaf) over leaves of 2 KiB, the last one possibly shorter.
    package static func fragmentHash(of fragment: SharedBytes) -> Digest256 {
        fragmentHashes(of: [fragment])[0]
    }

    /// The hashes of fragments of one size, which are hashed side by side.
    package static func fragmentHashes(of fragments: [SharedBytes]) -> [Digest256] {
        guard let sizeBytes = fragments.first?.count else { return [] }
        precondition(fragments.allSatisfy { $0.count == sizeBytes })
        var packed = [UInt8](repeating: 0, count: fragments.count * Self.sizeBytes)
        withUnsafePointers(to: fragments) { pointers in
            sfc_tree_hashes(sfc_active_level(), pointers, pointers.count, sizeBytes, &packed)
        }
        return packed.withUnsafeBufferPointer { packed in
            (0..<fragments.count).map { position in
                Digest256 { digest in
                    digest.update(from: packed.baseAddress! + position * Self.sizeBytes, count: Self.sizeBytes)
                }
            }
        }
    }
}
