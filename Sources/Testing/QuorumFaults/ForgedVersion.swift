// Versions as liars make them: sound ones, poisoned ones, and ones that hold together nowhere.

import ErasureCode
import Fingerprint
import QuorumProtocol

/// A version with the fragments of all positions, made by somebody who need not be honest.
package struct ForgedVersion: Sendable {
    package let timestamp: Timestamp
    package let descriptor: SealedDescriptor
    /// For each position what PREPARE carries of each stripe: its fragment or, in the mode `full`, the block.
    package let fragments: [[SharedBytes]]

    package init(timestamp: Timestamp, descriptor: SealedDescriptor, fragments: [[SharedBytes]]) {
        self.timestamp = timestamp
        self.descriptor = descriptor
        self.fragments = fragments
    }

    package var key: ObjectKey { descriptor.descriptor.key }

    /// The PREPARE for the server at `position`.
    package func prepare(
        for position: Position, justification: Certificate? = nil, admission: [SignedStatement] = []
    ) -> Request {
        .prepare(
            Prepare(
                key: key, timestamp: timestamp, position: position, descriptor: descriptor,
                fragments: fragments[position.offset], justification: justification, admission: admission))
    }

    /// The COMMIT with a certificate.
    package func commit(_ certificate: Certificate) -> Request {
        .commit(Commit(key: key, certificate: certificate))
    }

    /// The same descriptor and fragments under another counter and writer.
    package func renamed(counter: UInt64, writer: ClientID) -> ForgedVersion {
        ForgedVersion(
            timestamp: Timestamp(counter: counter, writer: writer, digest: timestamp.digest), descriptor: descriptor,
            fragments: fragments)
    }
}

extension ForgedVersion {
    /// How a writer makes a stripe's cross-checksum.
    package enum Soundness: Sendable {
        /// As an honest writer does.
        case sound
        /// The fragment of this position is garbage under the right hash, the fingerprints are those of the honest data
        /// under the key that follows from the altered hashes: the most consistent that such a writer can be.
        case garbage(at: Position)
        /// Honest hashes, and fingerprints that have nothing to do with them.
        case arbitraryFingerprints
        /// Every fragment is garbage of its own under the right hash.
        case unrelated
    }

    /// A value's version, or a tombstone's when `value` is nil.
    package static func make(
        key: ObjectKey, value: [UInt8]?, counter: UInt64, writer: ClientID, parameters: ClusterParameters,
        soundness: Soundness = .sound, etag: String = ""
    ) -> ForgedVersion {
        guard let value else {
            let descriptor = SealedDescriptor(
                Descriptor(tombstone: key, modifiedMilliseconds: 0, parameters: parameters))
            return ForgedVersion(
                timestamp: Timestamp(counter: counter, writer: writer, digest: descriptor.digest),
                descriptor: descriptor, fragments: parameters.quorums.positions.map { _ in [] })
        }
        let stripeSizeBytes = parameters.limits.stripeSizeBytesMax
        var fragments: [[SharedBytes]] = parameters.quorums.positions.map { _ in [] }
        var stripes: [CrossChecksum] = []
        for start in stride(from: 0, to: value.count, by: stripeSizeBytes) {
            let block = SharedBytes(value[start..<min(value.count, start + stripeSizeBytes)])
            let mode = parameters.mode
            let (encoded, crossChecksum) = encode(block, parameters.quorums.code, mode.coverage, soundness)
            stripes.append(crossChecksum)
            for (position, fragment) in encoded.enumerated() {
                fragments[position].append(mode.sendsBlocks ? block : fragment)
            }
        }
        let descriptor = SealedDescriptor(
            Descriptor(
                value: key, lengthBytes: UInt64(value.count), stripeSizeBytes: UInt32(stripeSizeBytes),
                stripes: stripes, metadata: ObjectMetadata(etag: etag), parameters: parameters))
        return ForgedVersion(
            timestamp: Timestamp(counter: counter, writer: writer, digest: descriptor.digest), descriptor: descriptor,
            fragments: fragments)
    }

    private static func encode(
        _ block: SharedBytes, _ code: ReedSolomonCode, _ coverage: CrossChecksumCoverage, _ soundness: Soundness
    ) -> ([SharedBytes], CrossChecksum) {
        let (honest, crossChecksum) = CrossChecksum.encode(block: block, code: code, coverage: coverage)
        guard coverage != .nothing else { return (honest, crossChecksum) }
        var fragments = honest
        switch soundness {
        case .sound:
            break
        case .garbage(let victim):
            fragments[victim.offset] = fragments[victim.offset].inverted
        case .unrelated:
            fragments = fragments.enumerated().map { position, fragment in
                SharedBytes(fragment.array.map { $0 &+ UInt8(truncatingIfNeeded: position * 41 + 1) })
            }
        case .arbitraryFingerprints:
            return (fragments, altered(crossChecksum))
        }
        let hashes = Digest256.fragmentHashes(of: fragments)
        guard coverage == .hashesAndFingerprints else {
            return (
                fragments,
                made {
                    try CrossChecksum(
                        code: code, blockSizeBytes: block.count, hashes: hashes, fingerprints: [])
                }
            )
        }
        return (
            fragments,
            CrossChecksum(
                code: code, blockSizeBytes: block.count, hashes: hashes, data: honest.prefix(code.dataFragmentCount))
        )
    }

    /// The stripe with garbage under the right hash at one position, where there are no fingerprints.
    static func poisoned(_ stripe: StripeToStage, at victim: Position) -> StripeToStage {
        var fragments = stripe.fragments
        fragments[victim.offset] = fragments[victim.offset].inverted
        let crossChecksum = made {
            try CrossChecksum(
                code: stripe.crossChecksum.code, blockSizeBytes: stripe.crossChecksum.blockSizeBytes,
                hashes: Digest256.fragmentHashes(of: fragments), fingerprints: [])
        }
        return StripeToStage(
            attempt: stripe.attempt, stripeSizeBytes: stripe.stripeSizeBytes, stripe: stripe.stripe,
            crossChecksum: crossChecksum, fragments: fragments)
    }

    /// The same hashes under other fingerprints, where there are any.
    private static func altered(_ crossChecksum: CrossChecksum) -> CrossChecksum {
        let altered = crossChecksum.fingerprints.map { fingerprint in
            guard let altered = Fingerprint(bytes: fingerprint.bytes.map { ~$0 }) else {
                preconditionFailure("sixteen bytes are a fingerprint")
            }
            return altered
        }
        return made {
            try CrossChecksum(
                code: crossChecksum.code, blockSizeBytes: crossChecksum.blockSizeBytes, hashes: crossChecksum.hashes,
                fingerprints: altered)
        }
    }

    private static func made(_ make: () throws -> CrossChecksum) -> CrossChecksum {
        guard let crossChecksum = try? make() else {
            preconditionFailure("n hashes, with m fingerprints or none, are a cross-checksum")
        }
        return crossChecksum
    }
}

extension SharedBytes {
    /// Other bytes of the same size: every bit turned; no bytes stay none.
    var inverted: SharedBytes { SharedBytes(array.map { ~$0 }) }
}
