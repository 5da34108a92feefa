// The slow part of judging a request: signatures, hashes, fingerprints. Pure; a shell runs it wherever it likes.

import ErasureCode
import Fingerprint

/// A request about which something has to be proven before it may change anything.
package enum VerificationJob: Sendable {
    case prepare(Prepare)
    case commit(Commit)
    case stage(Stage)
    case restate(Restate)

    private var key: ObjectKey {
        switch self {
        case .prepare(let prepare): prepare.key
        case .commit(let commit): commit.key
        case .stage(let stage): stage.key
        case .restate(let restate): restate.key
        }
    }

    /// A COMMIT's certificate, a PREPARE's justification, or what is to be restated.
    private var certificate: Certificate? {
        switch self {
        case .prepare(let prepare): prepare.justification
        case .commit(let commit): commit.certificate
        case .restate(let restate): restate.certificate
        case .stage: nil
        }
    }

    /// How long the checks take, as the number of bytes that could be hashed and fingerprinted in that time.
    package var costBytes: Int {
        let signatureCostBytes = 8 << 10
        if case .stage(let stage) = self { return stage.fragment.count }
        var signatures = certificate?.statements.count ?? 0
        if case .restate(let restate) = self { signatures += restate.statements.count }
        guard case .prepare(let prepare) = self else { return signatures * signatureCostBytes }
        return prepare.fragments.reduce(0) { $0 + $1.count }
            + (signatures + prepare.admission.count) * signatureCostBytes
    }

    /// Runs the checks, the cheap ones first, signatures last. Fragments are checked for the position that PREPARE
    /// names, which the replica has found to be its own.
    package func run(
        verifier: StatementVerifier, parameters: ClusterParameters
    ) -> Result<VerificationEvidence, Refusal> {
        do {
            if case .stage(let stage) = self {
                let fragment = try Self.verify(
                    [stage.fragment], against: [stage.crossChecksum], mode: parameters.mode,
                    at: FragmentIndex(stage.position.rawValue))
                return .success(VerificationEvidence(certificate: nil, admission: [], fragments: fragment))
            }
            if case .restate(let restate) = self {
                let certificate = try verifyCertificate(verifier)
                let statements = Self.stored(
                    restate.statements, of: restate.certificate.timestamp, restate.key, verifier,
                    enough: parameters.quorums.vouchers)
                return .success(VerificationEvidence(certificate: certificate, admission: statements, fragments: []))
            }
            guard case .prepare(let prepare) = self else {
                let certificate = try verifyCertificate(verifier)
                return .success(VerificationEvidence(certificate: certificate, admission: [], fragments: []))
            }
            let fragments = try Self.verify(
                prepare.fragments, against: prepare.descriptor.descriptor.stripes, mode: parameters.mode,
                at: FragmentIndex(prepare.position.rawValue))
            return .success(
                VerificationEvidence(
                    certificate: try verifyCertificate(verifier),
                    admission: try Self.verifyAdmission(
                        of: prepare, verifier, vouchers: parameters.quorums.vouchers),
                    fragments: fragments))
        } catch {
            return .failure(error)
        }
    }

    private static func verify(
        _ fragments: [SharedBytes], against stripes: [CrossChecksum], mode: VerificationMode, at index: FragmentIndex
    ) throws(Refusal) -> [VerifiedFragment] {
        guard fragments.count == stripes.count else {
            throw .wrongFragmentCount(got: fragments.count, expected: stripes.count)
        }
        var verified: [VerifiedFragment] = []
        for (stripe, bytes) in fragments.enumerated() {
            do {
                verified.append(
                    try verify(bytes, against: stripes[stripe], mode: mode, at: index))
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

    private static func verifyAdmission(
        of prepare: Prepare, _ verifier: StatementVerifier, vouchers: Int
    ) throws(Refusal) -> [VerifiedStatement] {
        guard !prepare.admission.isEmpty else { return [] }
        let verified = stored(
            prepare.admission, of: prepare.timestamp, prepare.key, verifier, enough: vouchers)
        guard verified.count == vouchers else { throw .invalidAdmission(have: verified.count, need: vouchers) }
        return verified
    }

    /// *Stored* statements of distinct servers that count, not more than are enough.
    private static func stored(
        _ statements: [SignedStatement], of timestamp: Timestamp, _ key: ObjectKey, _ verifier: StatementVerifier,
        enough: Int
    ) -> [VerifiedStatement] {
        var verified: [VerifiedStatement] = []
        for signed in statements where signed.claim == .stored && verified.count < enough {
            guard !verified.contains(where: { $0.signed.node == signed.node }) else { continue }
            if isPlanted(.admissionUnverified) {
                verified.append(VerifiedStatement(key: key, timestamp: timestamp, signed: signed))
            } else if let statement = try? verifier.verifyCounting(signed, key: key, timestamp: timestamp) {
                verified.append(statement)
            }
        }
        return verified
    }
}

/// What a `VerificationJob` proved.
package struct VerificationEvidence: Sendable {
    package let certificate: VerifiedCertificate?
    /// f + 1 *stored* statements of distinct servers, or none; with RESTATE as many of these as it brought.
    package let admission: [VerifiedStatement]
    package let fragments: [VerifiedFragment]

    init(certificate: VerifiedCertificate?, admission: [VerifiedStatement], fragments: [VerifiedFragment]) {
        self.certificate = certificate
        self.admission = admission
        self.fragments = fragments
    }
}
