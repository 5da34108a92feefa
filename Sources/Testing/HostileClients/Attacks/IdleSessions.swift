import NIOCore
import QuorumProtocol
import QuorumTransport
import QuorumWire
import Synchronization

/// As many sessions as one identity may have at a server. Half of them leave a frame open that was announced as the
/// largest there may be; the others ask for large answers and take none. Where nothing large could be stored, as while
/// servers are harmed, they ask for what others write.
final class IdleSessions: Attack {
    /// As many as a server lets one identity have.
    private static let sessionsPerServer = AdmissionLimits().maximumSessionsPerPeer
    private static let valueSizeBytes = 4 << 20
    /// What is sent of an open frame at first, and then every second: too little to be progress.
    private static let beginSizeBytes = 64 << 10
    private static let trickleSizeBytes = 1 << 10
    private static let readsPerSession = 64
    /// After a session that the server refused.
    private static let pause = Duration.milliseconds(500)

    private let names = Numbers()
    /// What is asked for.
    private let large = Mutex<ObjectKey?>(nil)

    func prepare(by attacker: Attacker) async throws {
        let size = min(Self.valueSizeBytes, attacker.parameters.limits.stripeSizeBytesMax)
        // Another name each time: part of an earlier one may be there.
        let version = HostileVersion(
            EncodedBlock(sizeBytes: size, attacker.parameters), of: attacker.key("large/\(names.next())"), by: attacker)
        do {
            try await attacker.withAllSessions { try await attacker.store(version, over: $0) }
            large.withLock { $0 = version.key }
        } catch {
            // While servers are harmed it may not be stored. What others write is asked for then.
            guard let other = attacker.objects.first, !Task.isCancelled else { throw error }
            large.withLock { $0 = other }
        }
    }

    func run(by attacker: Attacker) async {
        guard let key = large.withLock({ $0 }) else { preconditionFailure("the attack was not prepared") }
        await attacker.besiege { server, _ in
            await attacker.hold(Self.sessionsPerServer, at: server, pause: Self.pause) { session, place in
                if place.isMultiple(of: 2) {
                    try await Self.leaveOpen(session, attacker)
                } else {
                    try await Self.leaveUnread(session, key)
                }
            }
        }
    }

    private static func leaveOpen(_ session: HostileSession, _ attacker: Attacker) async throws {
        var left = WireLimits.frameSizeBytesMax(attacker.parameters)
        var head = ByteBuffer()
        head.writeInteger(UInt32(left), endianness: .little)
        try await session.write(head)
        try await session.write(ByteBuffer(repeating: 0, count: beginSizeBytes))
        left -= beginSizeBytes
        while left > trickleSizeBytes {
            try await Task.sleep(for: .seconds(1))
            try await session.write(ByteBuffer(repeating: 0, count: trickleSizeBytes))
            left -= trickleSizeBytes
        }
        await session.waitForEnd()
    }

    private static func leaveUnread(_ session: HostileSession, _ key: ObjectKey) async throws {
        try await session.stopReading()
        let frame = session.frame(.read(Read(key: key, portion: .fragments)))
        for _ in 0..<readsPerSession { try await session.send(frame, unansweredMax: .max) }
        await session.waitForEnd()
    }
}
