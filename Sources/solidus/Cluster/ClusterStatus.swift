// solidus cluster status

import ArgumentParser
import ClusterFiles
import CommandOutcome
import Glibc

struct ClusterStatus: ParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show which of the servers that 'cluster up' started run.")

    @OptionGroup var target: ClusterArgument
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        struct Server: Encodable {
            let index: Int
            let address: String
            let running: Bool
            let process: Int?
        }
        let running: Int
        let needed: Int
        let servers: [Server]
    }

    func run() throws {
        let cluster = try ClusterConfiguration(contentsOf: target.clusterFile)
        let servers = cluster.servers.map { entry in
            let stamp = target.run.server(entry.index.offset)
            return Outcome.Server(
                index: entry.index.offset, address: entry.address, running: stamp != nil,
                process: stamp.map { Int($0.processID) })
        }
        let outcome = Outcome(
            running: servers.count(where: \.running), needed: cluster.parameters.quorums.quorum, servers: servers)
        let rows = servers.map { server in
            "server \(server.index)  \(server.address)  "
                + (server.process.map { "running, process \($0)" } ?? "not running")
        }
        try Report.finish(
            report, outcome,
            text: (rows + ["\(outcome.running) of \(servers.count) servers run; \(outcome.needed) are needed"])
                .joined(separator: "\n"))
    }
}
