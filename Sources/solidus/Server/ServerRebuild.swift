// solidus server rebuild

import ArgumentParser
import ClusterFiles
import CommandOutcome
import Foundation
import Glibc
import ObjectStorage
import QuorumProtocol
import QuorumServer

struct ServerRebuild: ParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebuild",
        abstract: "Begin the store of a server anew that has lost it.",
        discussion: """
            For a server whose disk is lost, or whose store was rolled back to an earlier state. Its home must still have \
            server.toml, key.pem and certificate.pem, and HOME/store must be empty or gone. The command makes a new statement \
            key and an empty store of the server's next incarnation. From the moment when the other servers know the new key, \
            nothing counts any more that this server had signed before; so the operator has to sign the list of keys. Where \
            the operator's key lies beside the cluster's lists, that is done at once. Otherwise the lines are printed that \
            are to be added to keys.toml, before 'solidus cluster sign' and 'solidus cluster reload'.

            Then start the server. It answers requests as soon as a quorum of the others has told it what they have committed, \
            and brings back its fragments in the background: 'solidus cluster status' says how far it is. Until it is well \
            again it counts as one of the faulty servers, so rebuild one after the other. The command may be repeated.

            Example: solidus server rebuild --home demo/servers/2
            """)

    @Option(help: "The server's home, DIR/servers/NUMBER.", completion: .directory)
    var home: String
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        let server: Int
        let incarnation: UInt64
        let isListed: Bool
        let keysVersion: UInt64?
        let listLines: [String]
    }

    func run() throws {
        let begun = try begunLife()
        let phase = RebuildMark(path: RebuiltHome.rebuildFile(ofHome: home))?.phase
        let rebuilt = try RebuiltHome(path: home, begunLife: begun, hasPromisedNothing: phase == .listing)
        if begun != nil, phase == .healing { throw ConfigurationError.storeInTheWay(path: rebuilt.storeDirectory) }
        let entry = rebuilt.entry
        // Also where there is a mark: it may be that of a life that was lost in turn.
        if begun == nil { try begin(rebuilt) }
        try makeStore(rebuilt)
        var version: UInt64?
        if !rebuilt.isListed, OperatorHome.isThere(clusterDirectory: rebuilt.clusterDirectory) {
            version = try OperatorHome(clusterDirectory: rebuilt.clusterDirectory).add(entry).version
        }
        let isListed = rebuilt.isListed || version != nil
        let next =
            isListed
            ? "start it, and have the others take over the list of keys: solidus cluster reload \(rebuilt.clusterDirectory)"
            : "add this to keys.toml where the operator's key is, then 'solidus cluster sign' and 'solidus cluster reload' "
                + "there, and copy keys.toml to the cluster's files here:\n"
                + rebuilt.listLines.joined(separator: "\n")
        let made = "\(entry.node) has an empty store of \(entry.incarnation)"
        let signed = version.map { "; the operator's list of keys, version \($0), names it" } ?? ""
        try Report.finish(
            report,
            Outcome(
                server: Int(entry.node.rawValue), incarnation: entry.incarnation.rawValue, isListed: isListed,
                keysVersion: version, listLines: rebuilt.listLines),
            text: "\(made)\(signed)\n\(next)")
    }

    /// The incarnation of the store that an earlier run of the command has made.
    private func begunLife() throws -> Incarnation? {
        do {
            return try ObjectStore.incarnation(inDirectory: "\(home)/store").map(Incarnation.init)
        } catch {
            throw Failure(ServerError.storage(error))
        }
    }

    /// Ahead of the store: a store without the mark may speak for what it holds.
    private func begin(_ rebuilt: RebuiltHome) throws {
        var mark = RebuildMark()
        mark.beganMilliseconds = UInt64(Date().timeIntervalSince1970 * 1000)
        do {
            try mark.write(to: rebuilt.rebuildFile)
        } catch {
            throw Failure(.inputOutput, "\(rebuilt.rebuildFile) cannot be written: \(error)")
        }
    }

    private func makeStore(_ rebuilt: RebuiltHome) throws {
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
