// Fragment hashes: trees of SHA-256 over 2 KiB leaves, so that one fragment can fill every lane of a processor.

import CFragmentCore
import ErasureCode

extension Digest256 {
    /// The fragment's hash: SHA-256(0x01 || length as 8 bytes little-endian || leaf hashes), where a leaf hash is
    /// SHA-256(0x00 || leaf) over leaves of 2 KiB, the last one possibly shorter.
    package static func fragmentHash(of fragment: SharedBytes) -> Digest256 {
        fragment.withUnsafeBytes { bytes in
            Digest256 { digest in
                var start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
                sfc_tree_hashes(sfc_active_level(), &start, 1, bytes.count, digest)
            }
        }
    }

    /// The hashes of fragments of one size, which are hashed side by side.
    package static func fragmentHashes(of fragments: [SharedBytes]) -> [Digest256] {
        guard let sizeBytes = fragments.first?.count else { return [] }
        precondition(fragments.allSatisfy { $0.count == sizeBytes })
        return Array(unsafeUninitializedCapacity: fragments.count) { hashes, count in
            withUnsafePointers(to: fragments[...]) { pointers in
                sfc_tree_hashes(
                    sfc_active_level(), pointers.baseAddress, pointers.count, sizeBytes,
                    UnsafeMutableRawPointer(hashes.baseAddress!))
            }
            count = fragments.count
        }
    }
}
