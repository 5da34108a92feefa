// The newest lists that a server has seen, in its home: so that nobody can take a revocation back by showing it an
// older list after a restart.
//
// A list is written, synced and renamed, and its directory synced, before the server goes by it. So whatever it has
// gone by is there after a crash.

import DurableFiles
import Glibc
import QuorumProtocol
import QuorumTransport
import Synchronization

/// The files of kept lists, HOME/lists/.
struct KeptLists {
    let directory: String

    init(_ directory: String) {
        self.directory = directory
    }

    /// The description with the kept lists where they are newer.
    ///
    /// - Returns: also why lists of the description were not taken: they are older than what is kept, or others.
    /// - Throws: when a kept list cannot be read: then the server has lost what it knew.
    func newest(
        _ described: ClusterDescription
    ) throws(ConfigurationError) -> (newest: ClusterDescription, complaints: [ConfigurationError]) {
        var newest = described
        var complaints: [ConfigurationError] = []
        for kept in try lists(for: described.configuration) {
            do throws(ListError) {
                _ = try newest.take(kept)
            } catch {
                switch error {
                case .rolledBack:
                    // What is described is newer than what is kept; whether it may follow it is still to be seen.
                    if let offered = described.lists.list(kept.kind), let fault = offered.fault(after: kept) {
                        throw .untrusted(
                            path: described.file(of: kept.kind),
                            .unsound(kept.kind, version: offered.version, fault))
                    }
                case .forked(let kind, _):
                    // The server goes by what it went by before.
                    complaints.append(.untrusted(path: described.file(of: kind), error))
                    newest.restore(kept)
                default:
                    throw .untrusted(path: directory, error)
                }
                continue
            }
            if let offered = described.lists.list(kept.kind), offered.version < kept.version {
                complaints.append(
                    .untrusted(
                        path: described.file(of: kept.kind),
                        .rolledBack(kept.kind, offered: offered.version, known: kept.version)))
            }
        }
        return (newest, complaints)
    }

    /// What is kept.
    func lists(for configuration: ClusterConfiguration) throws(ConfigurationError) -> [AnySignedList] {
        var lists: [AnySignedList] = []
        if let list = try kept(AddressList.self, configuration) { lists.append(.addresses(list)) }
        if let list = try kept(KeyList.self, configuration) { lists.append(.keys(list)) }
        if let list = try kept(AccessList.self, configuration) { lists.append(.access(list)) }
        return lists
    }

    private func kept<Contents: ListFile>(
        _ type: Contents.Type, _ configuration: ClusterConfiguration
    ) throws(ConfigurationError) -> SignedList<Contents>? {
        let path = "\(directory)/\(Contents.fileName)"
        guard access(path, F_OK) == 0 || errno != ENOENT else { return nil }
        return try SignedList(contentsOf: path, for: configuration)
    }

    /// Makes a list durable in the place of an older one.
    func keep(_ list: AnySignedList) throws(ConfigurationError) {
        if access(directory, F_OK) != 0 {
            try HomeFiles.makeDirectory(directory)
            try TextFile.writing { () throws(FileError) in try DurableFile.synchronizeDirectory(containing: directory) }
        }
        try TextFile.replace("\(directory)/\(list.kind.fileName)", list.toml, mode: 0o644)
    }
}

extension ListKind {
    /// The name of its file.
    package var fileName: String {
        switch self {
        case .configuration: ClusterConfiguration.fileName
        case .addresses: AddressList.fileName
        case .keys: KeyList.fileName
        case .access: AccessList.fileName
        }
    }
}

extension ClusterDescription {
    /// The file beside cluster.toml that a list was read from.
    package func file(of kind: ListKind) -> String { "\(directory)/\(kind.fileName)" }
}

/// What a running server knows of its cluster, and the one way by which it learns newer lists. Safe to use from any
/// thread.
package final class ListKeeper: Sendable {
    private let files: KeptLists
    /// Held while a list is made durable: one after the other.
    private let turn = Mutex(())
    private let known: Mutex<ClusterDescription>

    /// Why newer lists than those that were kept are not gone by: they could not be made durable.
    package let complaints: [ConfigurationError]

    /// Makes durable what a server is about to go by. A newer list that cannot be, since the disk is full, is not taken:
    /// the server goes by the one that it has kept, as it does when it is handed that list later.
    ///
    /// - Parameters:
    ///   - directory: where lists are kept.
    ///   - cluster: the newest that is known, as `ServerHome` has found it.
    /// - Throws: when a list cannot be made durable and none was kept.
    package init(directory: String, cluster: ClusterDescription) throws(ConfigurationError) {
        files = KeptLists(directory)
        var newest = cluster
        var complaints: [ConfigurationError] = []
        for kind in ListKind.allCases {
            guard let list = cluster.lists.list(kind) else { continue }
            do {
                try files.keep(list)
            } catch {
                let kept = try files.lists(for: cluster.configuration).first { $0.kind == kind }
                guard let kept, kept.version < list.version else { throw error }
                newest.restore(kept)
                complaints.append(error)
            }
        }
        known = Mutex(newest)
        self.complaints = complaints
    }

    /// The newest that is known.
    package var current: ClusterDescription { known.withLock { $0 } }

    /// Takes a list if it is newer than the one known, and makes it durable.
    ///
    /// - Parameters:
    ///   - origin: where it comes from, for complaints.
    ///   - apply: goes by what is known then; called for one list after the other.
    /// - Returns: whether it was newer.
    /// - Throws: `untrusted` when it is not taken, `cannotWrite` when it cannot be kept. Nothing has changed.
    package func take(
        _ offered: AnySignedList, from origin: String, apply: (ClusterDescription) -> Void
    ) throws(ConfigurationError) -> Bool {
        try turn.withLock { _ throws(ConfigurationError) -> Bool in
            var description = current
            do throws(ListError) {
                guard try description.take(offered) else { return false }
            } catch {
                throw .untrusted(path: origin, error)
            }
            try files.keep(offered)
            known.withLock { $0 = description }
            apply(description)
            return true
        }
    }
}
