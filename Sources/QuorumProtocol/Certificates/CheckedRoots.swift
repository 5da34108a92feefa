// The roots whose signatures were checked before, so that a statement's second certificate costs no signature.
//
// A root that was checked once is remembered together with its server, epoch, incarnation, leaf count AND signature: a
// certificate that carries a known root under an altered signature must fail here as it fails everywhere else, or a
// correct server would store, and hand on as proof, what nobody else accepts.
//
// Each root has one place, which its first bytes name; a later one with the same place takes it over. What is forgotten
// by that is checked again: a server that signs roots for the places of others' can cost time, and nothing else.

import Fingerprint

/// A signed root, with the signature that was checked.
struct CheckedRoot: Equatable {
    private let root: Digest256
    private let server: ServerIndex
    private let incarnation: Incarnation
    private let leafCount: UInt32
    private let signature: [UInt8]

    init(_ signed: SignedRoot, _ signature: [UInt8]) {
        root = signed.root
        server = signed.server
        incarnation = signed.incarnation
        leafCount = signed.leafCount
        self.signature = isPlanted(.rememberedRootUnderAnySignature) ? [] : signature
    }

    /// Equal roots of several servers have places of their own.
    fileprivate var placeHint: UInt64 { root.prefixWord &+ UInt64(server.rawValue) }
}

/// A bounded memory of such roots.
struct CheckedRoots {
    /// The most places there are.
    static let placesMax = 8192
    /// The places there are from the first root on.
    private static let placesMin = 64

    private var places: [CheckedRoot?] = []
    private var count = 0

    private static func place(of root: CheckedRoot, among placeCount: Int) -> Int {
        Int(truncatingIfNeeded: root.placeHint & UInt64(placeCount - 1))
    }

    func contains(_ root: CheckedRoot) -> Bool {
        !places.isEmpty && places[Self.place(of: root, among: places.count)] == root
    }

    mutating func insert(_ root: CheckedRoot) {
        // Half full, so that few have to share a place.
        if 2 * count >= places.count, places.count < Self.placesMax { grow() }
        put(root)
    }

    private mutating func put(_ root: CheckedRoot) {
        let place = Self.place(of: root, among: places.count)
        if places[place] == nil { count += 1 }
        places[place] = root
    }

    private mutating func grow() {
        let known = places
        places = Array(repeating: nil, count: max(2 * known.count, Self.placesMin))
        count = 0
        for case let root? in known { put(root) }
    }
}
