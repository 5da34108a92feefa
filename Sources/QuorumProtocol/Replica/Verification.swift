// The slow part of judging a request: signatures, hashes, fingerprints. Pure; a shell runs it wherever it likes.

import ErasureCode
import Fingerprint

/// What has to be proven about a request before it may change anything.
package struct VerificationJob: Sendable {
    package let key: ObjectKey
    package let timestamp: Timestamp
    /// A COMMIT's certificate, or a PREPARE's justification.
    package let certificate: Certificate?
    package let admission: [SignedStatement]
    /// What a PREPARE carries of each stripe, with the descriptor that it must match.
    package let fragments: ClaimedFragments?

    /// Fragments as a writer sends them.
    package struct ClaimedFragments: Sendable {
        package let descriptor: SealedDescriptor
        /// One for each stripe.
        package let bytes: [SharedBytes]
    }

    /// How long the checks take, as the number of bytes that could be hashed and fingerprinted in that time.
    package var costBytes: Int {
        let signatureCostBytes = 8 << 10
        let signatures = (certificate?.statements.count ?? 0) + admission.count
        return (fragments?.bytes.reduce(0) { $0 + $1.count } ?? 0) + signatures * signatureCostBytes
    }

    /// Runs the checks for the server that holds `fragmentIndex`, the cheap ones first, signatures last.
    package func run(
        verifier: StatementVerifier, parameters: ClusterParameters, fragmentIndex: FragmentIndex
    ) -> Result<VerificationEvidence, Refusal> {
        do {
            var verified: [VerifiedFragment] = []
            if let fragments {
                verified = try Self.verify(
                    fragments.bytes, against: fragments.descriptor.descriptor, at: fragmentIndex)
            }
            return .success(
                VerificationEvidence(
                    certificate: try verifyCertificate(verifier),
                    admission: try verifyAdmission(verifier, vouchers: parameters.quorums.vouchers),
                    fragments: verified))
        } catch {
            return .failure(error)
        }
    }

    private static func verify(
        _ fragments: [SharedBytes], against descriptor: Descriptor, at index: FragmentIndex
    ) throws(Refusal) -> [VerifiedFragment] {
        guard fragments.count == descriptor.stripes.count else {
            throw .wrongFragmentCount(got: fragments.count, expected: descriptor.stripes.count)
        }
        var verified: [VerifiedFragment] = []
        for (stripe, bytes) in fragments.enumerated() {
            do {
                verified.append(
                    try verify(bytes, against: descriptor.stripes[stripe], mode: descriptor.mode, at: index))
            } catch {
                throw .invalidFragment(StripeIndex(UInt32(stripe)), error)
            }
        }
        return verified
    }

    private static func verify(
        _ bytes: SharedBytes, against crossChecksum: CrossChecksum, mode: VerificationMode, at index: FragmentIndex
    ) throws(FragmentVerificationError) -> VerifiedFragment {
        #if PlantedFlaws
            if mode.sendsBlocks, isPlanted(.encodingUnchecked), bytes.count == crossChecksum.blockSizeBytes {
                return crossChecksum.believed(crossChecksum.code.encode(block: bytes)[index.offset], at: index)
            }
            if isPlanted(.fragmentUnverified) { return crossChecksum.believed(bytes, at: index) }
            if isPlanted(.fingerprintUnchecked) {
                try crossChecksum.verifyHash(bytes, at: index)
                return crossChecksum.believed(bytes, at: index)
            }
            if isPlanted(.fragmentIndexUnbound) {
                for other in 0..<UInt8(crossChecksum.code.fragmentCount)
                where (try? crossChecksum.verify(bytes, at: FragmentIndex(other))) != nil {
                    return crossChecksum.believed(bytes, at: index)
                }
            }
        #endif
        return try mode.sendsBlocks
            ? crossChecksum.verify(block: bytes, for: index) : crossChecksum.verify(bytes, at: index)
    }

    private func verifyCertificate(_ verifier: StatementVerifier) throws(Refusal) -> VerifiedCertificate? {
        guard let certificate else { return nil }
        do {
            return try verifier.verify(certificate, key: key)
        } catch {
            throw .invalidCertificate(error)
        }
    }

    private func verifyAdmission(
        _ verifier: StatementVerifier, vouchers: Int
    ) throws(Refusal) -> [VerifiedStatement] {
        guard !admission.isEmpty else { return [] }
        var verified: [VerifiedStatement] = []
        for signed in admission where signed.claim == .stored {
            guard !verified.contains(where: { $0.signed.server == signed.server }) else { continue }
            if isPlanted(.admissionUnverified) {
                verified.append(VerifiedStatement(key: key, timestamp: timestamp, signed: signed))
            } else if let statement = try? verifier.verify(signed, key: key, timestamp: timestamp) {
                verified.append(statement)
            }
            if verified.count == vouchers { return verified }
        }
        throw .invalidAdmission(have: verified.count, need: vouchers)
    }
}

/// What a `VerificationJob` proved.
package struct VerificationEvidence: Sendable {
    package let certificate: VerifiedCertificate?
    /// f + 1 *stored* statements of distinct servers, or none.
    package let admission: [VerifiedStatement]
    package let fragments: [VerifiedFragment]

    init(certificate: VerifiedCertificate?, admission: [VerifiedStatement], fragments: [VerifiedFragment]) {
        self.certificate = certificate
        self.admission = admission
        self.fragments = fragments
    }
}
