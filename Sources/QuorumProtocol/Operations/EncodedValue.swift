// From a value to what its writer sends: the descriptor, and for each server what PREPARE carries.

import ErasureCode
import Fingerprint

/// What a write makes of its object.
package indirect enum WriteContent: Sendable {
    /// The salt tells versions apart that are equal in all else, in the mode `none`.
    case value(SharedBytes, ObjectMetadata, salt: VersionSalt)
    case deletion(modifiedMilliseconds: UInt64)
    /// A large value, all of which is staged.
    case staged(StagedContents, ObjectMetadata, salt: VersionSalt)
}

/// The encoding of what a write makes of its object, to be done once and anywhere.
package struct EncodingJob: Sendable {
    let key: ObjectKey
    let content: WriteContent
    let parameters: ClusterParameters
    let leavesSpares: Bool

    package func run() -> EncodedValue {
        switch content {
        case .value(let value, let metadata, let salt):
            EncodedValue(
                value, key: key, metadata: metadata, parameters: parameters, leavesSpares: leavesSpares, salt: salt)
        case .deletion(let modified):
            EncodedValue(tombstone: key, modifiedMilliseconds: modified, parameters: parameters)
        case .staged(let staged, let metadata, let salt):
            EncodedValue(
                descriptor: SealedDescriptor(
                    Descriptor(value: key, staged: staged, metadata: metadata, parameters: parameters, salt: salt)),
                fragments: Array<[SharedBytes]>(repeating: [], count: parameters.quorums.serverCount))
        }
    }
}

/// The encoding of stripes of which m good fragments each are known, as PREPARE or STAGE carries them; to be done once
/// and anywhere.
package struct ReencodingJob: Sendable {
    let timestamp: Timestamp
    /// Which stripe of a large value this is; nil for all stripes of another value.
    let stripe: StripeIndex?
    let crossChecksums: [CrossChecksum]
    let fragments: [[VerifiedFragment]]
    let mode: VerificationMode

    /// What is to be hashed or coded.
    package var costBytes: Int { crossChecksums.reduce(0) { $0 + $1.blockSizeBytes } }

    /// For each server what it takes, one entry a stripe.
    package func run() -> [[SharedBytes]] {
        guard let code = crossChecksums.first?.code else { preconditionFailure("nothing is to be encoded") }
        var servers: [[SharedBytes]] = Array(repeating: [], count: code.fragmentCount)
        for (crossChecksum, good) in zip(crossChecksums, fragments) {
            guard let block = try? crossChecksum.decode(good) else {
                preconditionFailure("m verified fragments of one stripe do not decode")
            }
            let whole = mode.sendsBlocks ? servers.map { _ in block } : code.encode(block: block)
            for server in servers.indices { servers[server].append(whole[server]) }
        }
        return servers
    }
}

/// A value, or the absence of one, ready to be written.
package struct EncodedValue: Sendable {
    package let descriptor: SealedDescriptor
    /// For each server what PREPARE carries of each stripe: the server's fragment or, in the mode `full`, the block.
    package let fragments: [[SharedBytes]]

    fileprivate init(descriptor: SealedDescriptor, fragments: [[SharedBytes]]) {
        self.descriptor = descriptor
        self.fragments = fragments
    }

    /// Cuts a value into stripes and encodes them as the cluster's mode wants it.
    package init(
        _ value: SharedBytes, key: ObjectKey, metadata: ObjectMetadata, parameters: ClusterParameters,
        leavesSpares: Bool = false, salt: VersionSalt = .random()
    ) {
        let mode = parameters.mode
        let stripeSize = parameters.limits.stripeSizeBytesMax
        var stripes: [CrossChecksum] = []
        var fragments: [[SharedBytes]] = Array(repeating: [], count: parameters.quorums.serverCount)
        for start in stride(from: 0, to: value.count, by: stripeSize) {
            let block = value[start..<min(start + stripeSize, value.count)]
            let encoded = CrossChecksum.encode(block: block, code: parameters.quorums.code, coverage: mode.coverage)
            stripes.append(encoded.crossChecksum)
            for server in parameters.quorums.positions {
                fragments[server.offset].append(mode.sendsBlocks ? block : encoded.fragments[server.offset])
            }
        }
        self.fragments = fragments
        descriptor = SealedDescriptor(
            Descriptor(
                value: key, lengthBytes: UInt64(value.count), stripeSizeBytes: UInt32(stripeSize), stripes: stripes,
                metadata: metadata, parameters: parameters, leavesSpares: leavesSpares, salt: salt))
    }

    /// What deletes the object.
    package init(tombstone key: ObjectKey, modifiedMilliseconds: UInt64, parameters: ClusterParameters) {
        descriptor = SealedDescriptor(
            Descriptor(tombstone: key, modifiedMilliseconds: modifiedMilliseconds, parameters: parameters))
        fragments = Array(repeating: [], count: parameters.quorums.serverCount)
    }
}
