// A server that is not running, for whoever writes its store: with its own key, and as its own process would.

import ClusterFiles
import ObjectStorage
import ProtocolStorage
import QuorumProtocol
import QuorumServer
import Synchronization

/// One server's store and its signing hand.
final class SeededServer: Sendable {
    let node: NodeID
    let signer: StatementSigner
    private let store: ObjectStore

    /// - Throws: what is wrong with the home; `StorageError` when the store cannot be opened, also because the server
    ///   runs.
    init(home: ServerHome) throws {
        let parameters = home.cluster.parameters
        node = home.node
        store = try ObjectStore(
            directory: home.storeDirectory, owner: StoreOwner(home.node, of: parameters.configuration.cluster),
            options: StorageOptions(segmentSizeBytes: home.segmentSizeBytes))
        signer = StatementSigner(
            node: home.node, incarnation: Incarnation(store.incarnation), mode: parameters.mode,
            key: .p256(home.statementKey))
    }

    /// - Throws: `SeedingError.exists` when there is anything in the bucket, deleted objects too: that was written by a
    ///   protocol that seeding would go behind the back of.
    func checkIsNew(_ bucket: String) throws {
        let record = try ObjectKey(recordOf: bucket)
        if try store.record(of: record.bytes) != nil { throw SeedingError.exists(record, node) }
        let prefix = Array("\(bucket)/".utf8)
        guard let first = try store.objects(after: prefix, limit: 1).first, first.key.starts(with: prefix) else {
            return
        }
        throw SeedingError.exists(try ObjectKey(bytes: first.key), node)
    }

    /// Stores what this server is to have of some new objects, in one append and with one sync.
    func store(_ objects: [SeededObject]) throws {
        var mutation = StoreMutation()
        var charges: [ClientID: Charge] = [:]
        for object in objects {
            guard let change = object.mutation(of: node) else { continue }
            mutation.objects.append(change)
            for charge in object.charges {
                charges[charge.client] = (charges[charge.client] ?? Charge()) + charge.charge
            }
        }
        guard !mutation.objects.isEmpty else { return }
        for (client, charge) in charges {
            mutation.rows.append(.add(.accounts, key: client.bytes, charge.numbers))
        }
        for result in store.apply([mutation]) { try result.get() }
        _ = try store.reclaimShare()
    }

    /// Closes the store so that the server's next start replays nothing.
    func close() throws { try store.close() }

    /// Closes it as a crash would.
    func abandon() { store.abandon() }
}
