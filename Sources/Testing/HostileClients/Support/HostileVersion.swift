// Versions of objects as an attacker makes them: valid ones, that it may leave behind or commit.

import ErasureCode
import Fingerprint
import QuorumProtocol

/// A value with its fragments, from which versions of any object are made without encoding it again.
struct EncodedBlock: Sendable {
    let sizeBytes: Int
    /// What a PREPARE for each position carries.
    let fragments: [SharedBytes]
    let crossChecksum: CrossChecksum

    /// A value of random bytes.
    init(sizeBytes: Int, _ parameters: ClusterParameters) {
        self.sizeBytes = sizeBytes
        let block = SharedBytes(count: sizeBytes) { target in
            var generator = SystemRandomNumberGenerator()
            var offset = 0
            while offset < sizeBytes {
                withUnsafeBytes(of: generator.next()) { word in
                    let count = min(word.count, sizeBytes - offset)
                    target[offset..<offset + count].copyBytes(from: word.prefix(count))
                }
                offset += 8
            }
        }
        let encoded = CrossChecksum.encode(
            block: block, code: parameters.quorums.code, coverage: parameters.mode.coverage)
        crossChecksum = encoded.crossChecksum
        fragments = parameters.mode.sendsBlocks ? encoded.fragments.map { _ in block } : encoded.fragments
    }
}

/// A version of an object that its writer can send to every server.
struct HostileVersion: Sendable {
    let key: ObjectKey
    let timestamp: Timestamp
    private let descriptor: SealedDescriptor
    private let block: EncodedBlock
    private let parameters: ClusterParameters

    init(_ block: EncodedBlock, of key: ObjectKey, counter: UInt64 = 1, by attacker: Attacker) {
        self.key = key
        self.block = block
        parameters = attacker.parameters
        descriptor = SealedDescriptor(
            Descriptor(
                value: key, lengthBytes: UInt64(block.sizeBytes),
                stripeSizeBytes: UInt32(parameters.limits.stripeSizeBytesMax), stripes: [block.crossChecksum],
                metadata: ObjectMetadata(), parameters: parameters))
        timestamp = Timestamp(counter: counter, writer: attacker.home.id, digest: descriptor.digest)
    }

    /// The PREPARE for a server; nil for one that has no part of the object.
    ///
    /// - Parameter changing: what becomes of the fragment.
    func prepare(
        at server: NodeID, justification: Certificate? = nil, changing: (SharedBytes) -> SharedBytes = { $0 }
    ) -> Request? {
        guard let position = parameters.placement(of: key).position(of: server) else { return nil }
        return .prepare(
            Prepare(
                key: key, timestamp: timestamp, position: position, descriptor: descriptor,
                fragments: [changing(block.fragments[position.offset])], justification: justification))
    }
}

extension Attacker {
    /// Stores an object as a correct client would, over sessions of these servers.
    ///
    /// - Throws: `AttackError.notStored` when no quorum takes it.
    func store(_ version: HostileVersion, over sessions: [HostileSession]) async throws {
        let placement = parameters.placement(of: version.key)
        let statements = try await statements(version, over: sessions)
        let certificate = placement.certificate(of: version.timestamp, statements)
        var committedCount = 0
        var others: [String] = []
        for session in sessions where placement.position(of: session.server.node) != nil {
            let reply = try await session.ask(.commit(Commit(key: version.key, certificate: certificate)))
            if case .committed = reply { committedCount += 1 } else { others.append("\(reply)") }
        }
        guard committedCount >= parameters.quorums.quorum else {
            throw AttackError.notStored(key: "\(version.key)", answers: others)
        }
    }

    /// Sends a version to all servers that have a part of it; the statements of a quorum.
    ///
    /// - Throws: `AttackError.notStored` when there is none.
    func statements(_ version: HostileVersion, over sessions: [HostileSession]) async throws -> [SignedStatement] {
        var statements: [SignedStatement] = []
        var others: [String] = []
        for session in sessions {
            guard let request = version.prepare(at: session.server.node) else { continue }
            switch try await session.ask(request) {
            case .prepared(let statement, _): statements.append(statement)
            case let reply: others.append("\(reply)")
            }
        }
        guard statements.count >= parameters.quorums.quorum else {
            throw AttackError.notStored(key: "\(version.key)", answers: others)
        }
        return Array(statements.prefix(parameters.quorums.quorum))
    }

    /// Opens a session to every server that can be reached, for as long as `body` takes.
    func withAllSessions<T: Sendable>(_ body: @Sendable ([HostileSession]) async throws -> T) async throws -> T {
        let sessions = await openSessions()
        do {
            let result = try await withTaskCancellationHandler {
                try await body(sessions)
            } onCancel: {
                for session in sessions { session.abandon() }
            }
            for session in sessions { await session.close() }
            return result
        } catch {
            for session in sessions { await session.close() }
            throw error
        }
    }

    private func openSessions() async -> [HostileSession] {
        await withTaskGroup(of: HostileSession?.self) { tasks in
            for server in servers { tasks.addTask { try? await HostileSession.open(to: server, by: self) } }
            return await tasks.reduce(into: []) { sessions, session in if let session { sessions.append(session) } }
        }
    }
}
