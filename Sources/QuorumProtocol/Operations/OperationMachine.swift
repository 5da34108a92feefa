// What the writer and the reader have in common for whoever drives them: the client library, servers that verify, the
// simulator, the benchmark. The work that they ask for is done here, in one place.

import ErasureCode
import Fingerprint

/// A sans-I/O machine of one operation.
package protocol OperationMachine: Sendable {
    associatedtype Input: Sendable
    associatedtype Effect: Sendable
    associatedtype Outcome: Sendable

    /// Where the object lies: the machine speaks of its positions, whoever drives it of the servers there.
    var placement: Placement { get }

    mutating func handle(_ input: Input, into effects: inout [Effect])

    /// Which of the invariants that hold between any two inputs is broken, or nil: a bug of our own.
    var brokenInvariant: String? { get }

    static func reply(_ reply: Reply, from server: Position) -> Input
    static func connected(_ server: Position) -> Input
    /// The server has lost its memory: what it has said before counts no more.
    static func renewed(_ server: Position) -> Input
    static var start: Input { get }
    static var retransmit: Input { get }
    static var deadline: Input { get }
    static var hedge: Input { get }

    /// What the shell has to do for an effect.
    static func step(_ effect: Effect, key: ObjectKey, verifier: StatementVerifier) -> OperationStep<Self>
}

extension OperationMachine {
    /// Most go by nothing that they are told but what they can check.
    package static func renewed(_ server: Position) -> Input { connected(server) }
}

/// What an effect asks of the shell.
package enum OperationStep<Machine: OperationMachine> {
    case send(Position, Request)
    /// Pure work whose result goes back into the machine; `costBytes` are to be hashed.
    case work(costBytes: Int, @Sendable () -> Machine.Input)
    /// Pure work as well, but for another thread however small it is: the answers to what was sent before are awaited
    /// meanwhile.
    case encode(@Sendable () -> Machine.Input)
    /// Start the hedge timer, whose end is told by `Machine.hedge`: those who were asked first have so much time.
    case startHedge
    indirect case finish(Result<Machine.Outcome, OperationFailure>)
}

private func checked(
    _ certificate: Certificate, key: ObjectKey, verifier: StatementVerifier
) -> Result<VerifiedCertificate, CertificateError> {
    Result { () throws(CertificateError) in try verifier.verifyCounting(certificate, key: key) }
}

private func checked(
    _ signed: SignedStatement, key: ObjectKey, timestamp: Timestamp, verifier: StatementVerifier
) -> Result<VerifiedStatement, CertificateError> {
    Result { () throws(CertificateError) in
        try verifier.verifyCounting(signed, key: key, timestamp: timestamp)
    }
}

private func checked(
    _ bytes: SharedBytes, of server: Position, against crossChecksum: CrossChecksum
) -> Result<VerifiedFragment, FragmentVerificationError> {
    Result { () throws(FragmentVerificationError) in
        try crossChecksum.verify(bytes, at: FragmentIndex(server.rawValue))
    }
}

extension Writer: OperationMachine {
    package typealias Outcome = WriteOutcome

    package static func renewed(_ server: Position) -> Input { .renewed(server) }
    package static func reply(_ reply: Reply, from server: Position) -> Input { .reply(server, reply) }
    package static func connected(_ server: Position) -> Input { .connected(server) }
    package static var start: Input { .start }
    package static var retransmit: Input { .retransmit }
    package static var deadline: Input { .deadline }
    package static var hedge: Input { .hedge }

    package static func step(_ effect: Effect, key: ObjectKey, verifier: StatementVerifier) -> OperationStep<Writer> {
        switch effect {
        case .send(let server, let request):
            .send(server, request)
        case .encode(let job):
            .encode {
                let value = job.run()
                return .encoded(value.descriptor, fragments: value.fragments)
            }
        case .verifyCertificate(let server, let certificate):
            .work(costBytes: 0) {
                .certificateVerified(server, certificate, checked(certificate, key: key, verifier: verifier))
            }
        case .verifyStatement(let server, let signed, let timestamp):
            .work(costBytes: 0) {
                .statementVerified(
                    server, signed, timestamp, checked(signed, key: key, timestamp: timestamp, verifier: verifier))
            }
        case .verifyFragment(let server, let timestamp, let stripe, let crossChecksum, let bytes):
            .work(costBytes: bytes.count) {
                .fragmentVerified(server, timestamp, stripe, checked(bytes, of: server, against: crossChecksum))
            }
        case .checkEncoding(let timestamp, let stripes):
            .work(costBytes: stripes.reduce(0) { $0 + $1.crossChecksum.blockSizeBytes }) {
                .encodingChecked(
                    timestamp, stripe: stripes.first?.number ?? 0, isSound: stripes.allSatisfy(\.isSound))
            }
        case .reencode(let job):
            .work(costBytes: job.costBytes) { .reencoded(job, fragments: job.run()) }
        case .startHedge:
            .startHedge
        case .finish(let result):
            .finish(result)
        }
    }
}

extension Reader: OperationMachine {
    package typealias Outcome = ReadOutcome

    package static func renewed(_ server: Position) -> Input { .renewed(server) }
    package static func reply(_ reply: Reply, from server: Position) -> Input { .reply(server, reply) }
    package static func connected(_ server: Position) -> Input { .connected(server) }
    package static var start: Input { .start }
    package static var retransmit: Input { .retransmit }
    package static var deadline: Input { .deadline }
    package static var hedge: Input { .hedge }

    package static func step(_ effect: Effect, key: ObjectKey, verifier: StatementVerifier) -> OperationStep<Reader> {
        switch effect {
        case .send(let server, let request):
            .send(server, request)
        case .verifyCommitted(let server, let certificate):
            .work(costBytes: 0) {
                .certificateVerified(
                    server, certificate,
                    Result { () throws(CertificateError) in try verifier.verify(certificate, key: key) })
            }
        case .verifyCertificate(let server, let certificate):
            .work(costBytes: 0) {
                .certificateVerified(server, certificate, checked(certificate, key: key, verifier: verifier))
            }
        case .verifyFragment(let server, let timestamp, let stripe, let crossChecksum, let bytes):
            .work(costBytes: bytes.count) {
                .fragmentVerified(server, timestamp, stripe, checked(bytes, of: server, against: crossChecksum))
            }
        case .checkEncoding(let timestamp, let stripes):
            .work(costBytes: stripes.reduce(0) { $0 + $1.crossChecksum.blockSizeBytes }) {
                .encodingChecked(
                    timestamp, stripe: stripes.first?.number ?? 0, isSound: stripes.allSatisfy(\.isSound))
            }
        case .verifyStatement(let server, let signed, let timestamp):
            .work(costBytes: 0) {
                .statementVerified(
                    server, signed, timestamp, checked(signed, key: key, timestamp: timestamp, verifier: verifier))
            }
        case .startHedge:
            .startHedge
        case .finish(let result):
            .finish(result)
        }
    }
}
