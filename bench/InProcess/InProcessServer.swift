// One server without sockets and disk: its replica, and what it would have stored, as the bytes that it would have
// stored.

import ErasureCode
import Fingerprint
import NIOCore
import QuorumProtocol
import QuorumWire

/// A replica that does at once whatever it wants done.
final class InProcessServer {
    private struct Version {
        let descriptor: [UInt8]
        let fragments: [SharedBytes]
    }

    private let parameters: ClusterParameters
    private let signer: StatementSigner
    private let verifier: StatementVerifier
    private var replica: Replica
    private var accounts = Accounts()
    private var records: [ObjectKey: [UInt8]] = [:]
    private var versions: [Timestamp: Version] = [:]

    init(parameters: ClusterParameters, signer: StatementSigner, verifier: StatementVerifier) {
        self.parameters = parameters
        self.signer = signer
        self.verifier = verifier
        replica = Replica(
            parameters: parameters, group: parameters.configuration.groups[0], node: signer.node,
            incarnation: signer.incarnation)
    }

    /// The frame that answers a client's frame.
    func answer(_ frame: ByteBuffer, from client: ClientID) throws -> ByteBuffer {
        let (number, _, request) = try Request.decode(frame, parameters: parameters)
        var inputs: [ReplicaInput] = [
            .request(RequestTag(session: 0, request: number), from: .client(client), request)
        ]
        var answer: Reply?
        while let input = inputs.popLast() {
            var effects: [ReplicaEffect] = []
            replica.handle(input, accounts: &accounts, into: &effects)
            for effect in effects { try perform(effect, &inputs, &answer) }
        }
        guard let answer else { preconditionFailure("a request without an answer") }
        return answer.encoded(request: number).frame
    }

    private func perform(_ effect: ReplicaEffect, _ inputs: inout [ReplicaInput], _ answer: inout Reply?) throws {
        let outcome = effect.perform(
            in: self, verifier: verifier, parameters: parameters, node: signer.node)
        switch outcome {
        case .reply(_, let reply):
            answer = reply
        case .input(let input):
            inputs.append(input)
        case .store(let token, let change, let statements):
            if let change { store(change) }
            inputs.append(.stored(token, .success(try signer.sign(statements))))
        case .verifyVersions, .repairEnded, .restate, .forgotten, .due:
            // For idle time, which is not part of an operation.
            break
        }
    }

    private func store(_ change: ObjectChange) {
        records[change.key] = change.record.bytes
        for put in change.puts {
            versions[put.timestamp] = Version(
                descriptor: put.descriptor.bytes, fragments: put.fragments.map(\.bytes))
        }
        for drop in change.drops { versions[drop] = nil }
    }
}

extension InProcessServer: ReplicaStore {
    func record(of key: ObjectKey) -> StoredParts<ObjectRecord> {
        guard let bytes = records[key] else { return .absent }
        return (try? ObjectRecord(decoding: bytes)).map(StoredParts.held) ?? .lost
    }

    func descriptor(of timestamp: Timestamp, key: ObjectKey) -> StoredParts<SealedDescriptor> {
        guard let version = versions[timestamp] else { return .absent }
        let descriptor = try? SealedDescriptor(decoding: version.descriptor, parameters: parameters)
        return descriptor.map(StoredParts.held) ?? .lost
    }

    func fragments(of timestamp: Timestamp, key: ObjectKey, stripeCount: Int) -> StoredParts<[SharedBytes]> {
        (versions[timestamp]?.fragments).map(StoredParts.held) ?? .absent
    }

    // The values measured here go with PREPARE.
    func stagedEntry(of attempt: AttemptName, stripe: UInt32, key: ObjectKey) -> StoredParts<[UInt8]> { .absent }
    func stagedFragment(of attempt: AttemptName, stripe: UInt32, key: ObjectKey) -> StoredParts<SharedBytes> { .absent }

    func bareObjects(of client: ClientID, after: ObjectKey?, limit: Int) -> [ObjectKey] { [] }

    func due(beforeMilliseconds time: UInt64, limit: Int) -> [ObjectKey] { [] }
}

extension EncodedMessage {
    /// The whole message in one buffer, as it comes out of a socket.
    var frame: ByteBuffer {
        var frame = headBuffer
        if let fragments = fragmentBuffer { frame.writeImmutableBuffer(fragments) }
        return frame
    }
}
