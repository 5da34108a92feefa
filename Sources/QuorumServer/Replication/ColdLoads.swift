// Records of objects that are to be read from the disk. A record is read once for all who wait for it. So that nobody
// waits for the turn of another, who may have asked for thousands or be served last, it is read in the turn of whoever
// comes first of those who have asked since.

import QuorumProtocol
import Synchronization

/// What is to be read, in whose turns. Safe to use from any thread.
final class ColdLoads: Sendable {
    private struct Load {
        let work: WorkTurns.Work
        /// Who has a turn for it; nil is the server itself.
        var owners: Set<Principal?>
    }

    private let loads = Mutex<[ObjectKey: Load]>([:])
    /// Read without the lock: mostly all is in memory.
    private let count = Atomic(0)

    /// Begins to wait for an object's record.
    ///
    /// - Returns: what to do in its owner's turn: the work, unless that was done in another's.
    func begin(_ key: ObjectKey, for owner: Principal?, _ work: @escaping WorkTurns.Work) -> WorkTurns.Work {
        loads.withLock { loads in
            loads[key] = Load(work: work, owners: [owner])
            count.store(loads.count, ordering: .releasing)
        }
        return { self.take(key)?() }
    }

    /// What to do in the turn of somebody else who waits for the record; nil when nothing is left to do, or he has such
    /// a turn already.
    func join(_ key: ObjectKey, _ principal: Principal) -> WorkTurns.Work? {
        guard count.load(ordering: .acquiring) > 0 else { return nil }
        let isNew = loads.withLock { $0[key]?.owners.insert(principal).inserted ?? false }
        guard isNew else { return nil }
        return { self.take(key)?() }
    }

    private func take(_ key: ObjectKey) -> WorkTurns.Work? {
        loads.withLock { loads in
            defer { count.store(loads.count, ordering: .releasing) }
            return loads.removeValue(forKey: key)?.work
        }
    }
}
