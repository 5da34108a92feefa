// The roots whose signatures were checked before, so that a statement's second certificate costs no signature.
//
// A root that was checked once is remembered together with its server, epoch, incarnation, leaf count AND signature: a
// certificate that carries a known root under an altered signature must fail here as it fails everywhere else, or a
// correct server would store, and hand on as proof, what nobody else accepts.
//
// Each root has one place, which its first bytes name; a later one with the same place takes it over. What is forgotten
// by that is checked again: a server that signs roots for the places of others' can cost time, and nothing else.

import Fingerprint

/// A signed root, with the signature that was checked. All of it lies in one piece, without a reference to follow,
/// count or release.
struct CheckedRoot: Equatable {
    private let signature: SIMD8<UInt64>
    private let root: Digest256
    private let incarnation: Incarnation
    private let leafCount: UInt32
    private let server: ServerIndex

    /// Nil when the signature has not the size that signatures have.
    init?(_ signed: SignedRoot, _ signature: [UInt8]) {
        guard signature.count == SignedStatement.signatureSizeBytes else { return nil }
        self.signature =
            isPlanted(.rememberedRootUnderAnySignature)
            ? SIMD8() : signature.withUnsafeBytes { $0.loadUnaligned(as: SIMD8<UInt64>.self) }
        root = signed.root
        server = signed.server
        incarnation = signed.incarnation
        leafCount = signed.leafCount
    }

    /// Equal roots of several servers have places of their own.
    fileprivate var placeHint: UInt64 { root.prefixWord &+ UInt64(server.rawValue) }
}

/// A bounded memory of such roots.
struct CheckedRoots {
    /// The most roots that are remembered.
    static let countMax = 8192
    /// For how many there is room from the first one on.
    private static let countMin = 64

    private var roots: [CheckedRoot] = []
    /// By place, twice as many as there may be roots before there are more: 1 + the position of its root, or 0. Two
    /// roots that have places of their own among few have them among more.
    private var positions: [UInt16] = []
    /// The position of the root that makes room for the next one once there are as many as may be.
    private var oldest = 0

    private func place(of root: CheckedRoot) -> Int {
        Int(truncatingIfNeeded: root.placeHint & UInt64(positions.count - 1))
    }

    func contains(_ root: CheckedRoot) -> Bool {
        guard !positions.isEmpty else { return false }
        let position = positions[place(of: root)]
        return position > 0 && roots[Int(position) - 1] == root
    }

    mutating func insert(_ root: CheckedRoot) {
        if 2 * roots.count >= positions.count, roots.count < Self.countMax { makeRoom() }
        let place = place(of: root)
        var position = Int(positions[place]) - 1
        if position >= 0 {
            roots[position] = root
            return
        }
        if roots.count < Self.countMax {
            position = roots.count
            roots.append(root)
        } else {
            position = oldest
            oldest = (oldest + 1) % Self.countMax
            positions[self.place(of: roots[position])] = 0
            roots[position] = root
        }
        positions[place] = UInt16(position + 1)
    }

    private mutating func makeRoom() {
        let count = max(2 * roots.count, Self.countMin)
        roots.reserveCapacity(count)
        positions = Array(repeating: 0, count: 2 * count)
        for (position, root) in roots.enumerated() { positions[place(of: root)] = UInt16(position + 1) }
    }
}
