import QuorumProtocol
import Synchronization

/// Reads of objects that are not in memory: each waits for the disk. The attacker writes objects of its own, and has
/// the machine forget what the servers' files hold of them, if these are on it.
final class ColdReads: Attack {
    private static let valueSizeBytes = 1 << 20
    private static let objectCount = 256
    private static let unansweredMax = 16
    private static let sessionsPerServer = 2

    private struct State {
        /// The journals before the first object was stored.
        var before: Set<String>?
        /// Where storing goes on if it was interrupted.
        var next = 0
        /// Files that hold the attacker's objects and nobody else's.
        var files: [String] = []
    }

    private let state = Mutex(State())

    func prepare(by attacker: Attacker) async throws {
        let journals = StoreFiles.journals(of: attacker.stores)
        let before = state.withLock { state in
            state.before = state.before ?? journals
            return state.before ?? journals
        }
        let block = EncodedBlock(
            sizeBytes: min(Self.valueSizeBytes, attacker.parameters.limits.stripeSizeBytesMax), attacker.parameters)
        try await attacker.withAllSessions { sessions in
            while let number = self.nextNumber() {
                try await attacker.store(
                    HostileVersion(block, of: attacker.key("cold/\(number)"), by: attacker), over: sessions)
            }
        }
        // What was there before holds others' objects, and the newest will.
        let made = attacker.stores.flatMap { store in
            StoreFiles.journals(of: [store]).subtracting(before).sorted().dropLast()
        }
        state.withLock { $0.files = made }
    }

    /// The number of the next object to be stored; each is handed out once, since part of one may be there.
    private func nextNumber() -> Int? {
        state.withLock { state in
            guard state.next < Self.objectCount else { return nil }
            defer { state.next += 1 }
            return state.next
        }
    }

    func run(by attacker: Attacker) async {
        let files = state.withLock { $0.files }
        await withTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await Self.forget(files, attacker) }
            tasks.addTask {
                await attacker.besiege(placesPerServer: Self.sessionsPerServer) { server, _ in
                    await attacker.persist(at: server) { try await Self.read($0, attacker) }
                }
            }
        }
    }

    private static func read(_ session: HostileSession, _ attacker: Attacker) async throws {
        while !Task.isCancelled {
            let key = attacker.key("cold/\(Int.random(in: 0..<objectCount))")
            guard attacker.parameters.placement(of: key).position(of: session.server.node) != nil else { continue }
            try await session.send(.read(Read(key: key, portion: .fragments)), unansweredMax: unansweredMax)
        }
    }

    private static func forget(_ files: [String], _ attacker: Attacker) async {
        while !Task.isCancelled {
            let dropped = files.count { StoreFiles.forget($0) }
            attacker.tally.count { $0.droppedFiles += UInt64(dropped) }
            try? await Task.sleep(for: .milliseconds(100))
        }
    }
}
