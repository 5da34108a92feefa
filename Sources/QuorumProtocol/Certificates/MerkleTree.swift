// The Merkle tree over one batch of statements: one signature for all of them.
//
// Leaf = SHA-256(0x00 ‖ statement), node = SHA-256(0x01 ‖ left ‖ right); an odd node at the end of a level is promoted
// as it is, never paired with itself (a duplicated leaf must not pass for two). The path of a leaf is thereby fixed in
// length and sides by (leaf index, leaf count) alone, and the signature covers the leaf count: a path of any other
// shape is refused.

import Fingerprint

package enum MerkleTree {
    /// The most leaves a tree may have.
    package static let leafCountMax = 1 << 16

    /// What a leaf's bytes begin with, and what a node's do.
    static let leafMark: UInt8 = 0x00
    static let nodeMark: UInt8 = 0x01

    package static func leaf(_ statement: [UInt8]) -> Digest256 {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(1 + statement.count)
        bytes.append(leafMark)
        bytes.append(contentsOf: statement)
        return Digest256.sha256(bytes)
    }

    static func node(_ left: Digest256, _ right: Digest256) -> Digest256 {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(1 + 2 * Digest256.sizeBytes)
        bytes.append(nodeMark)
        left.withUnsafeBytes { bytes.append(contentsOf: $0) }
        right.withUnsafeBytes { bytes.append(contentsOf: $0) }
        return Digest256.sha256(bytes)
    }

    /// The root, and for each leaf the siblings from the bottom up. There must be 1...leafCountMax leaves.
    package static func build(_ leaves: [Digest256]) -> (root: Digest256, paths: [[Digest256]]) {
        precondition((1...leafCountMax).contains(leaves.count))
        if leaves.count == 1 { return (leaves[0], [[]]) }
        var paths = [[Digest256]](repeating: [], count: leaves.count)
        var level = leaves
        var positions = Array(leaves.indices)
        while level.count > 1 {
            for leaf in leaves.indices {
                let sibling = positions[leaf] ^ 1
                if sibling < level.count { paths[leaf].append(level[sibling]) }
                positions[leaf] /= 2
            }
            level = stride(from: 0, to: level.count, by: 2).map { left in
                left + 1 < level.count ? node(level[left], level[left + 1]) : level[left]
            }
        }
        return (level[0], paths)
    }

    /// The root that `leaf` and `path` lead to, or nil when a tree of `leafCount` leaves has no such path.
    package static func root(leaf: Digest256, index: UInt32, leafCount: UInt32, path: [Digest256]) -> Digest256? {
        guard leafCount >= 1, leafCount <= leafCountMax, index < leafCount else { return nil }
        var digest = leaf
        var position = index
        var width = leafCount
        var siblings = path[...]
        while width > 1 {
            if position ^ 1 < width {
                guard let sibling = siblings.popFirst() else { return nil }
                digest = position & 1 == 0 ? node(digest, sibling) : node(sibling, digest)
            }
            position /= 2
            width = (width + 1) / 2
        }
        return siblings.isEmpty ? digest : nil
    }
}
