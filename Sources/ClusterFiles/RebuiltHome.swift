// Beginning the store of a server anew. The order of the steps is such that a crash between two of them leaves nothing
// that would speak for what was forgotten: the mark that the server is being rebuilt is there before the store is, and
// the new life's key counts for nothing before the operator has listed it.

import Crypto
import DurableFiles
import Foundation
import Glibc
import QuorumProtocol

/// The home of a server whose store is lost.
package struct RebuiltHome: Sendable {
    /// The new life's entry in the list of keys.
    package let entry: KeyEntry
    package let cluster: ClusterID
    package let storeDirectory: String
    /// The directory of the cluster of which the home is a part.
    package let clusterDirectory: String
    private let files: HomeFiles

    /// Whether the list of keys that the home sees names the new life already.
    package let isListed: Bool

    /// Begins the next life: makes its key, unless that was done before.
    ///
    /// - Parameters:
    ///   - path: the server's home; its store must be gone.
    ///   - begunLife: the incarnation of a store that an earlier run has made; nil: there is none.
    ///   - hasPromisedNothing: whether the server has said nothing since an earlier run. What lies where the store was
    ///     is then what that run has left of one that it did not finish, and is removed.
    /// - Throws: what is wrong, and where.
    package init(path: String, begunLife: Incarnation?, hasPromisedNothing: Bool) throws(ConfigurationError) {
        files = HomeFiles(path)
        let file = try ServerHome.file(files)
        let number = try ServerHome.number(file)
        let clusterFile = files.clusterFile
        let (description, _) = try KeptLists(files.lists).newest(ClusterDescription(contentsOf: clusterFile))
        guard let raw = UInt16(exactly: number), description.server(NodeID(raw)) != nil else {
            throw file.invalid("number", number, "\(clusterFile) lists no server of this number")
        }
        let node = NodeID(raw)
        cluster = description.parameters.configuration.cluster
        storeDirectory = files.store
        clusterDirectory = description.directory
        let listed = description.statementKeys.fences.incarnation(of: node)
        if let begunLife {
            guard begunLife.rawValue >= listed.rawValue, access(files.rebuildMark, F_OK) == 0 else {
                throw .storeInTheWay(path: files.store)
            }
            let key = try ServerHome.statementKey(files.statementKey)
            let known = description.lists.keys.contents.key(of: node, begunLife)
            guard known == nil || known == Array(key.publicKey.x963Representation) else {
                throw .storeInTheWay(path: files.store)
            }
            isListed = known != nil
            guard isListed || begunLife.rawValue == listed.rawValue + 1 else {
                throw .storeInTheWay(path: files.store)
            }
            entry = KeyEntry(node: node, incarnation: begunLife, key: key.publicKey)
            return
        }
        try files.clearStore(ofUnfinished: hasPromisedNothing)
        isListed = false
        let key = P256.Signing.PrivateKey()
        entry = KeyEntry(node: node, incarnation: Incarnation(listed.rawValue + 1), key: key.publicKey)
        try TextFile.replace(files.statementKey, key.pemRepresentation + "\n", mode: 0o600)
    }

    /// Where it is noted how far rebuilding is.
    package var rebuildFile: String { files.rebuildMark }

    /// The same of a home that need not be one.
    package static func rebuildFile(ofHome path: String) -> String { HomeFiles(path).rebuildMark }

    /// What is to be added to the list of keys.
    package var listLines: [String] { ["[[\(KeyList.section)]]"] + entry.lines }
}

extension HomeFiles {
    /// Sees to it that nothing lies where a store is to be made. The directory itself stays: it may be a disk's.
    fileprivate func clearStore(ofUnfinished isUnfinished: Bool) throws(ConfigurationError) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: store)) ?? []
        guard names.isEmpty || isUnfinished else { throw .storeInTheWay(path: store) }
        for name in names {
            do {
                try FileManager.default.removeItem(atPath: "\(store)/\(name)")
            } catch {
                throw .cannotWrite(path: "\(store)/\(name)", reason: "\(error)")
            }
        }
    }
}
