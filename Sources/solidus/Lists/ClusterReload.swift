// solidus cluster reload, solidus cluster sign

import ArgumentParser
import ClusterFiles
import CommandOutcome

struct ClusterReload: ParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Have the running servers take over addresses.toml, keys.toml and access.toml, without a restart.",
        discussion: """
            It signals the servers of the directory that run on this machine (SIGHUP), waits until they go by the lists, \
            and names those that it could not reach. It fails unless a quorum of each group does. Clients that a list \
            revokes are cut off, and what they had under way is over when this ends. A server refuses a list with a wrong \
            signature, one with a lower version than it has seen, and another one of the same version.

            Example: solidus cluster reload demo
            """)

    @OptionGroup var target: ClusterArgument
    @Option(help: "How many seconds the servers may take.")
    var timeout = Double(ListDistribution.patienceMilliseconds) / 1000
    @OptionGroup var report: ReportOptions

    mutating func validate() throws {
        guard timeout > 0, timeout <= 86_400 else {
            throw ValidationError("--timeout must be more than 0 and at most 86400 seconds.")
        }
    }

    func run() throws {
        let target = try target.place
        let cluster = try ClusterDescription(contentsOf: target.clusterFile)
        let distribution = try ListDistribution(target, cluster, patienceMilliseconds: max(1, Int(timeout * 1000)))
        distribution.warn()
        guard distribution.isInForce else { throw distribution.failure }
        try Report.finish(report, DistributedLists(cluster, distribution), text: distribution.text)
    }
}

struct ClusterSign: ParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "sign",
        abstract: "Sign the lists that were edited, each as its next version.",
        discussion: """
            Takes the operator's key, DIR/operator/key.pem. 'solidus cluster reload DIR' hands the lists to the servers; \
            homes on other machines get copies of the files. An entry of keys.toml may never be removed or changed: no \
            server would take the list. cluster.toml cannot be signed anew, since an epoch's configuration never changes.

            Example: solidus cluster sign demo
            """)

    @OptionGroup var target: ClusterArgument
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        let signed: [String: UInt64]
    }

    func run() throws {
        let target = try target.place
        let signed = try OperatorHome(clusterDirectory: target.path).signEdited()
        // What is signed now has to fit together.
        _ = try ClusterDescription(contentsOf: target.clusterFile)
        let text = signed.map { "signed the \($0.kind) as version \($0.version)" }.joined(separator: "\n")
        let names = Dictionary(uniqueKeysWithValues: signed.map { ($0.kind.fileName, $0.version) })
        try Report.finish(report, Outcome(signed: names), text: signed.isEmpty ? "no list was edited" : text)
    }
}
