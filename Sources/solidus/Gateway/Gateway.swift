// solidus gateway

import ArgumentParser
import ClusterFiles
import CommandOutcome
import QuorumClient
import S3Gateway

struct Gateway: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve the cluster to clients of S3.",
        discussion: """
            A gateway is a client of the cluster of its own name, with a home in DIR/clients/NAME. Whoever uses it trusts \
            it; the servers need not.
            """,
        subcommands: [GatewayInit.self, GatewayServe.self, GatewayKey.self, GatewayBucket.self])
}

/// Which gateway a command is about.
struct GatewayArguments: ParsableArguments {
    @Option(help: "The cluster's directory; the environment's SOLIDUS_CLUSTER when not given.", completion: .directory)
    var cluster: String?
    @Option(help: "The gateway, by its client's name; need not be given where there is one only.")
    var name: String?

    func home() throws -> GatewayHome {
        try GatewayHome(clusterDirectory: ClusterDirectory(cluster).path, name: name)
    }

    /// Runs `body` with the gateway's client, which is closed afterwards.
    func withClient<R>(_ body: (GatewayHome, ObjectClient) async throws -> R) async throws -> R {
        let home = try home()
        let client = try ObjectClient(home: home.client)
        do {
            let result = try await body(home, client)
            await client.close()
            return result
        } catch {
            await client.close()
            throw Failure(ofGateway: error)
        }
    }
}

extension Failure {
    /// What a gateway's error means for who called the command.
    init(ofGateway error: any Error) {
        guard let error = error as? GatewayError else {
            self = Failure(ofAny: error) ?? Failure(.unexpected, "\(error)")
            return
        }
        let status: ExitStatus =
            switch error {
            case .cannotListen: .inputOutput
            case .configuration, .unsuitableMode: .configuration
            case .noSuchCredential: .notFound
            case .invalidCredential: .usage
            }
        self.init(status, error.description)
    }
}

struct GatewayInit: ParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Make a gateway: a client with every right, its settings, and the key that gateways share.",
        discussion: """
            Each gateway process is a client of its own. The first one makes the key by which access keys are encrypted \
            in the cluster; further ones get it from there. Where there are several, none can promise that conditional \
            writes are atomic, so these are off in all but the first, and have to be turned off in the first one's \
            gateway.toml, too.

            Example: solidus gateway init demo s3 --region us-east-1
            """)

    @OptionGroup var target: ClusterAndClient
    @Option(help: "The region that clients sign their requests for.")
    var region = "us-east-1"
    @Option(help: "A name below which the first labels of a host are a bucket; may be repeated.")
    var domain: [String] = []
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        let gateway: String
        let home: String
        let conditionalWrites: String
        let lists: DistributedLists
    }

    func run() throws {
        let (target, name) = (try target.place, target.name)
        let others = GatewayHome.names(in: target.path)
        var settings = GatewaySettings()
        settings.region = region
        settings.domains = domain.map { $0.lowercased() }
        settings.conditionalWrites = others.isEmpty ? .singleGateway : .off
        let list = try OperatorHome(clusterDirectory: target.path).add(NewClient(name: name))
        try GatewayHome.make(name, clusterDirectory: target.path, settings: settings)
        // What was written is what will be read.
        _ = try GatewayHome(clusterDirectory: target.path, name: name)
        let cluster = try ClusterDescription(contentsOf: target.clusterFile)
        let distribution = try ListDistribution(target, cluster)
        distribution.warn()
        if !others.isEmpty {
            Standard.complain(
                "warning: there are other gateways (\(others.joined(separator: ", "))); conditional writes have to be "
                    + "off in the gateway.toml of each")
        }
        let home = "\(target.path)/clients/\(name)"
        try Report.finish(
            report,
            Outcome(
                gateway: name, home: home, conditionalWrites: settings.conditionalWrites.rawValue,
                lists: DistributedLists(cluster, distribution)),
            text: "made gateway \(name), home \(home); access list \(list.version) is \(distribution.text)")
    }
}
