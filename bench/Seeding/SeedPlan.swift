// What is to be seeded, and what every seeded object holds: both follow from an object's number alone, so that whoever
// reads a seeded cluster knows what is right.

import ErasureCode
import QuorumProtocol

/// The objects of one new bucket.
package struct SeedPlan: Sendable {
    /// What in a pattern stands for the object's number.
    package static let placeholder = "{}"
    /// A larger value is staged ahead of its version, which seeding does not do.
    package static let valueSizeBytesMax = 1 << 20

    package let bucket: String
    package let objectCount: Int
    package let valueSizeBytes: Int
    /// The objects' names within the bucket, with one placeholder.
    package let pattern: String
    /// Who is said to have written them; nil for the first client listed.
    package let client: String?
    /// The server that lacks the last objects, and how many of them.
    package let laggard: (node: NodeID, missingCount: Int)?

    package init(
        bucket: String, objectCount: Int, valueSizeBytes: Int, pattern: String = "object-\(placeholder)",
        client: String? = nil, laggard: (node: NodeID, missingCount: Int)? = nil
    ) {
        self.bucket = bucket
        self.objectCount = objectCount
        self.valueSizeBytes = valueSizeBytes
        self.pattern = pattern
        self.client = client
        self.laggard = laggard
    }

    /// Numbers are written in so many digits, so that names are in the order of their numbers.
    private var digitCount: Int { max(7, "\(max(0, objectCount - 1))".count) }

    /// The key of an object.
    ///
    /// - Throws: when bucket and pattern make no key.
    package func key(_ number: Int) throws(ObjectKeyError) -> ObjectKey {
        let digits = "\(number)"
        let padded = String(repeating: "0", count: max(0, digitCount - digits.count)) + digits
        return try ObjectKey("\(bucket)/\(pattern.replacing(Self.placeholder, with: padded))")
    }

    /// The value of an object: bytes without a pattern, and others for every number.
    package func value(_ number: Int) -> SharedBytes {
        SharedBytes(count: valueSizeBytes) { target in
            // SplitMix64.
            var state = UInt64(truncatingIfNeeded: number) &* 0xd134_2543_de82_ef95
            for offset in stride(from: 0, to: target.count, by: 8) {
                state &+= 0x9e37_79b9_7f4a_7c15
                var word = state
                word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
                word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
                word ^= word >> 31
                withUnsafeBytes(of: word.littleEndian) { bytes in
                    UnsafeMutableRawBufferPointer(rebasing: target[offset..<min(offset + 8, target.count)])
                        .copyBytes(from: bytes.prefix(target.count - offset))
                }
            }
        }
    }

    /// Why nothing can be seeded by the plan, or nil.
    package func complaint(_ parameters: ClusterParameters) -> SeedingError? {
        guard !parameters.mode.verifiesLater else { return .modeVerifiesLater(parameters.mode) }
        let limit = min(Self.valueSizeBytesMax, parameters.limits.stripeSizeBytesMax)
        guard (0...limit).contains(valueSizeBytes) else { return .valueTooLarge(valueSizeBytes, limit: limit) }
        guard pattern.ranges(of: Self.placeholder).count == 1 else { return .pattern(pattern) }
        if let laggard {
            let nodes = parameters.configuration.nodes.map(\.id)
            guard nodes.contains(laggard.node) else { return .unknownServer(laggard.node) }
            guard (0...objectCount).contains(laggard.missingCount) else {
                return .laggardMissesTooMany(laggard.missingCount, of: objectCount)
            }
        }
        return nil
    }

    /// Whether the node is to have the object.
    func isHeld(_ number: Int, by node: NodeID) -> Bool {
        guard let laggard, laggard.node == node else { return true }
        return number < objectCount - laggard.missingCount
    }
}

/// Why a cluster was not seeded.
package enum SeedingError: Error, CustomStringConvertible {
    case modeVerifiesLater(VerificationMode)
    case valueTooLarge(Int, limit: Int)
    case pattern(String)
    case unknownServer(NodeID)
    case laggardMissesTooMany(Int, of: Int)
    /// A store has it, so it is no object of a new bucket.
    case exists(ObjectKey, NodeID)

    package var description: String {
        switch self {
        case .modeVerifiesLater(let mode):
            "a server of the mode \(mode) finds out by itself what is sound; it cannot be told by seeding"
        case .valueTooLarge(let size, let limit): "values of \(size) bytes cannot be seeded, only up to \(limit)"
        case .pattern(let pattern): "the pattern '\(pattern)' does not have \(SeedPlan.placeholder) exactly once"
        case .unknownServer(let node): "the cluster has no \(node)"
        case .laggardMissesTooMany(let count, let all): "a server cannot lack \(count) of \(all) objects"
        case .exists(let key, let node): "\(node) has \(key) already; objects are seeded into new buckets only"
        }
    }
}
