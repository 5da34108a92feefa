// Beginning a server's store anew, in steps that may be repeated: whatever ends one of them, the next run goes on.

import ClusterFiles
import CommandOutcome
import Foundation
import ObjectStorage
import QuorumProtocol
import QuorumServer

/// A server's next life, as far as it can be begun in its home.
struct NewLife {
    let rebuilt: RebuiltHome
    /// The version of the list of keys that has just been signed with its key in it.
    let keysVersion: UInt64?
    /// Whether the operator's list of keys has its key.
    var isListed: Bool { rebuilt.isListed || keysVersion != nil }

    /// Makes an empty store of the next incarnation in a home that has lost its store, and, where the operator's key is
    /// beside the lists, signs the list of keys with it.
    ///
    /// - Throws: when there is a store that has served, or something cannot be written.
    init(home: String) throws {
        let begun = try Self.incarnation(home)
        let phase = RebuildMark(path: RebuiltHome.rebuildFile(ofHome: home))?.phase
        rebuilt = try RebuiltHome(path: home, begunLife: begun, hasPromisedNothing: phase == .listing)
        if begun != nil, phase == .healing { throw ConfigurationError.storeInTheWay(path: rebuilt.storeDirectory) }
        // Ahead of the store, and also where there is a mark: it may be that of a life that was lost in turn.
        if begun == nil { try Self.mark(rebuilt.rebuildFile) }
        try Self.makeStore(rebuilt)
        if !rebuilt.isListed, OperatorHome.isThere(clusterDirectory: rebuilt.clusterDirectory) {
            keysVersion = try OperatorHome(clusterDirectory: rebuilt.clusterDirectory).add(rebuilt.entry).version
        } else {
            keysVersion = nil
        }
    }

    /// The same where there is a store that is whole, as far as anybody knows: it is given up.
    init(home: String, givingUp store: Incarnation) throws {
        // From here on the store speaks for nothing, and then it is none: with whatever this is interrupted, what is left
        // of it is never taken for a store.
        try Self.mark(RebuiltHome.rebuildFile(ofHome: home))
        do {
            try ObjectStore.discard(directory: "\(home)/store")
        } catch {
            throw Failure(ServerError.storage(error))
        }
        try self.init(home: home)
    }

    /// Whether a life was begun in this home that nobody knows of yet.
    static func isUnfinished(_ home: String, in cluster: ClusterDescription, of node: NodeID) throws -> Bool {
        guard RebuildMark(path: RebuiltHome.rebuildFile(ofHome: home))?.phase == .listing else { return false }
        return try incarnation(home).map { $0 > cluster.statementKeys.fences.incarnation(of: node) } ?? true
    }

    /// Of the store in a home; nil where there is none.
    static func incarnation(_ home: String) throws -> Incarnation? {
        do {
            return try ObjectStore.incarnation(inDirectory: "\(home)/store").map(Incarnation.init)
        } catch {
            throw Failure(ServerError.storage(error))
        }
    }

    private static func mark(_ path: String) throws {
        var mark = RebuildMark()
        mark.beganMilliseconds = UInt64(Date().timeIntervalSince1970 * 1000)
        do {
            try mark.write(to: path)
        } catch {
            throw Failure(.inputOutput, "\(path) cannot be written: \(error)")
        }
    }

    private static func makeStore(_ rebuilt: RebuiltHome) throws {
        let owner = StoreOwner(rebuilt.entry.node, of: rebuilt.cluster)
        do {
            guard try ObjectStore.incarnation(inDirectory: rebuilt.storeDirectory) == nil else { return }
            try ObjectStore.create(
                directory: rebuilt.storeDirectory, owner: owner, incarnation: rebuilt.entry.incarnation.rawValue)
        } catch {
            throw Failure(ServerError.storage(error))
        }
    }
}
