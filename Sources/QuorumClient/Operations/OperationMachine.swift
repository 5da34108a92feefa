// What the writer and the reader have in common for the shell that drives them.

import ErasureCode
import Fingerprint
import QuorumProtocol

/// A sans-I/O machine of one operation.
protocol OperationMachine: Sendable {
    associatedtype Input: Sendable
    associatedtype Effect: Sendable
    associatedtype Outcome: Sendable

    mutating func handle(_ input: Input, into effects: inout [Effect])

    static func reply(_ reply: Reply, from server: ServerIndex) -> Input
    static func connected(_ server: ServerIndex) -> Input
    static var start: Input { get }
    static var retransmit: Input { get }
    static var deadline: Input { get }
    /// The hedge timer's input, for machines that have one.
    static var hedge: Input? { get }

    /// What the shell has to do for an effect.
    static func step(_ effect: Effect, key: ObjectKey, verifier: StatementVerifier) -> OperationStep<Self>
}

/// What an effect asks of the shell.
enum OperationStep<Machine: OperationMachine> {
    case send(ServerIndex, Request)
    /// Pure work whose result goes back into the machine; `costBytes` are to be hashed.
    case work(costBytes: Int, @Sendable () -> Machine.Input)
    case finish(Result<Machine.Outcome, OperationFailure>)
}

private func verify(
    _ certificate: Certificate, key: ObjectKey, verifier: StatementVerifier
) -> Result<VerifiedCertificate, CertificateError> {
    Result { () throws(CertificateError) in try verifier.verify(certificate, key: key) }
}

private func verify(
    _ bytes: SharedBytes, of server: ServerIndex, against crossChecksum: CrossChecksum
) -> Result<VerifiedFragment, FragmentVerificationError> {
    Result { () throws(FragmentVerificationError) in
        try crossChecksum.verify(bytes, at: FragmentIndex(server.rawValue))
    }
}

extension Writer: OperationMachine {
    typealias Outcome = WriteOutcome

    static func reply(_ reply: Reply, from server: ServerIndex) -> Input { .reply(server, reply) }
    static func connected(_ server: ServerIndex) -> Input { .connected(server) }
    static var start: Input { .start }
    static var retransmit: Input { .retransmit }
    static var deadline: Input { .deadline }
    static var hedge: Input? { nil }

    static func step(_ effect: Effect, key: ObjectKey, verifier: StatementVerifier) -> OperationStep<Writer> {
        switch effect {
        case .send(let server, let request):
            .send(server, request)
        case .verifyCertificate(let server, let certificate):
            .work(costBytes: 0) {
                .certificateVerified(server, certificate, verify(certificate, key: key, verifier: verifier))
            }
        case .verifyStatement(let server, let signed, let timestamp):
            .work(costBytes: 0) {
                let result = Result { () throws(CertificateError) in
                    try verifier.verify(signed, key: key, timestamp: timestamp)
                }
                return .statementVerified(server, signed, timestamp, result)
            }
        case .verifyFragment(let server, let timestamp, let stripe, let crossChecksum, let bytes):
            .work(costBytes: bytes.count) {
                .fragmentVerified(server, timestamp, stripe, verify(bytes, of: server, against: crossChecksum))
            }
        case .reencode(let timestamp, let descriptor, let stripes):
            .work(costBytes: Int(clamping: descriptor.descriptor.lengthBytes)) {
                .reencoded(timestamp, fragments: Writer.reencode(stripes, of: descriptor))
            }
        case .finish(let result):
            .finish(result)
        }
    }
}

extension Reader: OperationMachine {
    typealias Outcome = ReadOutcome

    static func reply(_ reply: Reply, from server: ServerIndex) -> Input { .reply(server, reply) }
    static func connected(_ server: ServerIndex) -> Input { .connected(server) }
    static var start: Input { .start }
    static var retransmit: Input { .retransmit }
    static var deadline: Input { .deadline }
    static var hedge: Input? { .hedge }

    static func step(_ effect: Effect, key: ObjectKey, verifier: StatementVerifier) -> OperationStep<Reader> {
        switch effect {
        case .send(let server, let request):
            .send(server, request)
        case .verifyCertificate(let server, let certificate):
            .work(costBytes: 0) {
                .certificateVerified(server, certificate, verify(certificate, key: key, verifier: verifier))
            }
        case .verifyFragment(let server, let timestamp, let stripe, let crossChecksum, let bytes):
            .work(costBytes: bytes.count) {
                .fragmentVerified(server, timestamp, stripe, verify(bytes, of: server, against: crossChecksum))
            }
        case .finish(let result):
            .finish(result)
        }
    }
}
