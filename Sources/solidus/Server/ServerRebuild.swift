// solidus server rebuild

import ArgumentParser
import ClusterFiles
import CommandOutcome
import QuorumProtocol

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
        let life = try NewLife(home: home)
        let (rebuilt, entry, version, isListed) = (life.rebuilt, life.rebuilt.entry, life.keysVersion, life.isListed)
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
}
