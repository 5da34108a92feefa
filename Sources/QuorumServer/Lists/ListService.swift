// A server's lists: what it goes by, what it takes from whom, and what it gives to those who are behind.
//
// Anybody who may connect may bring a list, since a list is believed by its signature alone. What is not newer is let
// go of unread; a forged one costs one check of a signature, and its sender the connection.

import ClusterFiles
import Logging
import NIOPosix
import QuorumProtocol
import QuorumTransport
import QuorumWire
import Synchronization

/// The one way by which a running server learns newer lists. Safe to use from any thread.
final class ListService: Sendable {
    private let keeper: ListKeeper
    private let workers: NIOThreadPool
    private let logger: Logger
    private let apply = Mutex<(@Sendable (ListKind, ClusterDescription) -> Void)?>(nil)

    init(keeper: ListKeeper, workers: NIOThreadPool, logger: Logger) {
        self.keeper = keeper
        self.workers = workers
        self.logger = logger
    }

    /// Names who goes by newer lists; before that, and after `detach`, none is taken.
    func attach(_ apply: @escaping @Sendable (ListKind, ClusterDescription) -> Void) {
        self.apply.withLock { $0 = apply }
    }

    /// Lets go of who goes by lists.
    func detach() {
        apply.withLock { $0 = nil }
    }

    /// The newest that is known.
    var current: ClusterDescription { keeper.current }

    /// Takes over the lists beside cluster.toml that are newer than those known.
    ///
    /// - Returns: what is wrong with those that are not taken.
    func takeFromDisk() -> [ConfigurationError] {
        var (lists, complaints) = current.listsOnDisk()
        for list in lists {
            do {
                try take(list, from: current.file(of: list.kind))
            } catch {
                complaints.append(error)
            }
        }
        for complaint in complaints { logger.error("a list is not taken: \(complaint)") }
        return complaints
    }

    /// Takes a list that was brought, on a worker thread, if it is newer and signed.
    ///
    /// - Parameter done: told what is wrong with what the sender brought; nil when nothing is. On any thread.
    func take(bytes: [UInt8], from sender: String, done: @escaping @Sendable (String?) -> Void) {
        // Senders of what is known, or older, did not know better.
        if let claim = AnySignedList.claim(of: bytes), claim.version <= current.lists.version(of: claim.kind) {
            done(nil)
            return
        }
        workers.submit { _ in
            let configuration = self.current.configuration
            do throws(ListError) {
                let list = try AnySignedList(
                    decoding: bytes, cluster: configuration.parameters.configuration.cluster,
                    checkedBy: configuration.operatorKey)
                self.takeOrLog(list, from: sender)
                done(nil)
            } catch {
                done("\(error)")
            }
        }
    }

    /// Takes a list that is signed, on a worker thread, if it is newer; a failure is logged.
    func offer(_ list: AnySignedList, from sender: String) {
        workers.submit { _ in self.takeOrLog(list, from: sender) }
    }

    private func takeOrLog(_ list: AnySignedList, from sender: String) {
        do {
            try take(list, from: sender)
        } catch {
            logger.error("a list is not taken: \(error)")
        }
    }

    /// The list if it is newer than the version that somebody has; no bytes otherwise.
    func list(_ kind: ListKind, after known: UInt64) -> [UInt8] {
        guard let list = current.lists.list(kind), list.version > known else { return [] }
        return list.bytes
    }

    private func take(_ list: AnySignedList, from origin: String) throws(ConfigurationError) {
        guard let apply = apply.withLock({ $0 }) else { return }
        if try keeper.take(list, from: origin, apply: { apply(list.kind, $0) }) {
            logger.info("took over the \(list.kind), version \(list.version), from \(origin)")
        }
    }
}
