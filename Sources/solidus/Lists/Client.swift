// solidus client

import ArgumentParser
import ClusterFiles
import CommandOutcome
import QuorumProtocol

struct Client: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Add clients to a cluster, revoke them, list them.",
        discussion: """
            Adding and revoking write a new version of DIR/access.toml, which takes the operator's key \
            (DIR/operator/key.pem), and have the running servers of this machine take it over.
            """,
        subcommands: [
            ClientAdd.self, ClientRevoke.self, ClientQuota.self, ClientList.self, ClientPending.self,
            ClientPurge.self,
        ])
}

/// What came of a change of the access list, in JSON.
struct ChangedClient: Encodable {
    let client: String
    let home: String?
    let lists: DistributedLists
}

struct ClientAdd: ParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Make a client, its home in DIR/clients/NAME, and give it rights.",
        discussion: """
            Rights are read, write, list and admin, on one bucket or on every one ('*'). Reading takes read or write, since \
            a writer in doubt reads; writing and deleting take write. Servers that are not reached learn of the client when \
            they are given the list.

            Examples:
              solidus client add demo guest --grant photos:read,list
              solidus client add demo keeper --grant 'photos:admin,write' --grant '*:read'
            """)

    @OptionGroup var target: ClusterAndClient
    @Option(
        name: .customLong("grant"),
        help: ArgumentHelp(
            "Rights on a bucket; may be repeated. Every right on every bucket when not given.",
            valueName: "bucket:right,..."),
        transform: GrantArgument.grant)
    var grants: [Grant] = []
    @OptionGroup var report: ReportOptions

    func run() throws {
        let (target, name) = (try target.place, target.name)
        let client = grants.isEmpty ? NewClient(name: name) : NewClient(name: name, grants: grants)
        let list = try OperatorHome(clusterDirectory: target.path).add(client)
        let cluster = try ClusterDescription(contentsOf: target.clusterFile)
        let distribution = try ListDistribution(target, cluster)
        distribution.warn()
        let home = "\(target.path)/clients/\(name)"
        let rights = client.grants.map(\.description).joined(separator: " ")
        try Report.finish(
            report,
            ChangedClient(client: name, home: home, lists: DistributedLists(cluster, distribution)),
            text:
                "added client \(name) with \(rights), home \(home); access list \(list.version) is \(distribution.text)"
        )
    }
}

struct ClientRevoke: ParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "revoke",
        abstract: "Take every right from a client, and end its sessions.",
        discussion: """
            Prints the client's id, by which 'client purge' knows it from now on. \
            It is done when a quorum of each group goes by the new list; until then the command fails (exit code 4), and \
            'solidus cluster reload' is to be repeated. What the client wrote stays. Its home stays, too, and is worth \
            nothing any more.

            Example: solidus client revoke demo guest
            """)

    @OptionGroup var target: ClusterAndClient
    @OptionGroup var report: ReportOptions

    func run() throws {
        let (target, name) = (try target.place, target.name)
        let id = try ClusterDescription(contentsOf: target.clusterFile).lists.access.contents.client(named: name)?.id
        let list = try OperatorHome(clusterDirectory: target.path).revoke(name)
        // Also when not enough servers go by the list yet: nothing else tells it any more.
        if let id { Standard.complain("client \(name) has the id \(id)") }
        let cluster = try ClusterDescription(contentsOf: target.clusterFile)
        let distribution = try ListDistribution(target, cluster)
        distribution.warn()
        guard distribution.isInForce else { throw distribution.failure }
        try Report.finish(
            report,
            ChangedClient(client: name, home: nil, lists: DistributedLists(cluster, distribution)),
            text: "revoked client \(name); access list \(list.version) is \(distribution.text)")
    }
}

struct ClientList: ParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Show the clients of the access list and their rights.",
        discussion: "Example: solidus client list demo")

    @OptionGroup var target: ClusterArgument
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        struct Client: Encodable {
            let name: String
            let id: String
            let rights: [String]
            let quotas: ClientQuotaReport
        }
        let version: UInt64
        let clients: [Client]
    }

    func run() throws {
        let target = try target.place
        let access = try ClusterDescription(contentsOf: target.clusterFile).lists.access
        let clients = access.contents.clients
        let width = clients.map(\.name.count).max() ?? 0
        let lines = clients.map { client in
            client.name + String(repeating: " ", count: width - client.name.count + 2) + "\(client.id)  "
                + client.grants.map(\.description).joined(separator: " ")
                + (client.quotas.text.map { "  quota \($0)" } ?? "")
        }
        try Report.finish(
            report,
            Outcome(
                version: access.version,
                clients: clients.map { client in
                    Outcome.Client(
                        name: client.name, id: client.id.description, rights: client.grants.map(\.description),
                        quotas: ClientQuotaReport(client.quotas))
                }),
            text: (["access list, version \(access.version)"] + lines).joined(separator: "\n"))
    }
}
