// The roots whose signatures were checked before, so that a statement's second certificate costs no signature.
//
// A root that was checked once is remembered together with its epoch, server, incarnation, leaf count AND signature, by
// a verifier of one cluster: a certificate that carries a known root under an altered signature must fail here as
// it fails everywhere else, or a correct server would store, and hand on as proof, what nobody else accepts.
//
// A root has its place in one of many small buckets, which its first bytes name. There are so many that a bucket is
// seldom full; then a root takes another's place. What is forgotten by that is checked again: a server that signs roots
// for the buckets of others' can cost time, and nothing else.

import Fingerprint

/// A signed root, with the signature that was checked. All of it lies in one piece, without a reference to follow,
/// count or release.
struct CheckedRoot: Equatable {
    private let signature: SIMD8<UInt64>
    private let root: Digest256
    private let epoch: UInt64
    private let incarnation: Incarnation
    private let leafCount: UInt32
    private let node: NodeID

    /// Nil when the signature has not the size that signatures have.
    init?(_ signed: SignedRoot, _ signature: [UInt8]) {
        guard signature.count == SignedStatement.signatureSizeBytes else { return nil }
        self.signature =
            isPlanted(.rememberedRootUnderAnySignature)
            ? SIMD8() : signature.withUnsafeBytes { $0.loadUnaligned(as: SIMD8<UInt64>.self) }
        root = signed.root
        epoch = signed.epoch
        node = signed.node
        incarnation = signed.incarnation
        leafCount = signed.leafCount
    }

    /// Names the bucket; equal roots of several servers have buckets of their own.
    fileprivate var bucketHint: UInt64 { root.prefixWord &+ UInt64(node.rawValue) }
}

/// A bounded memory of such roots.
struct CheckedRoots {
    /// The most roots that are remembered.
    static let countMax = 8192
    /// For how many there is room from the first one on.
    private static let countMin = 64
    private static let placesPerBucket = 4

    private var roots: [CheckedRoot] = []
    /// As many buckets of places as there may be roots before there are more: in each place 1 + the position of a root,
    /// or 0. Roots that have found a place among few buckets find one among twice as many.
    private var places: [UInt16] = []
    /// The position of the root that makes room for the next one once there are as many as may be.
    private var oldest = 0

    /// The places in which the root may be.
    private func bucket(of root: CheckedRoot) -> Range<Int> {
        let bucketCount = places.count / Self.placesPerBucket
        let start = Self.placesPerBucket * Int(truncatingIfNeeded: root.bucketHint & UInt64(bucketCount - 1))
        return start..<start + Self.placesPerBucket
    }

    func contains(_ root: CheckedRoot) -> Bool {
        guard !places.isEmpty else { return false }
        for place in bucket(of: root) where places[place] > 0 && roots[Int(places[place]) - 1] == root { return true }
        return false
    }

    mutating func insert(_ root: CheckedRoot) {
        guard !contains(root) else { return }
        if Self.placesPerBucket * roots.count >= places.count, roots.count < Self.countMax { makeRoom() }
        let bucket = bucket(of: root)
        guard let free = bucket.first(where: { places[$0] == 0 }) else {
            roots[Int(places[bucket.lowerBound]) - 1] = root
            return
        }
        if roots.count < Self.countMax {
            roots.append(root)
            places[free] = UInt16(roots.count)
        } else {
            forget(oldest)
            roots[oldest] = root
            places[free] = UInt16(oldest + 1)
            oldest = (oldest + 1) % Self.countMax
        }
    }

    private mutating func forget(_ position: Int) {
        for place in bucket(of: roots[position]) where places[place] == UInt16(position + 1) { places[place] = 0 }
    }

    private mutating func makeRoom() {
        let count = max(2 * roots.count, Self.countMin)
        roots.reserveCapacity(count)
        places = Array(repeating: 0, count: Self.placesPerBucket * count)
        for (position, root) in roots.enumerated() {
            guard let free = bucket(of: root).first(where: { places[$0] == 0 }) else {
                preconditionFailure("a bucket was fuller than there are places")
            }
            places[free] = UInt16(position + 1)
        }
    }
}
