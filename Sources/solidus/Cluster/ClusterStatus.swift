// solidus cluster status

import ArgumentParser
import ClusterFiles
import CommandOutcome
import Glibc
import QuorumProtocol

struct ClusterStatus: ParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show which of the servers that 'cluster up' started run, group by group.")

    @OptionGroup var target: ClusterArgument
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        struct Server: Encodable {
            let number: Int
            let address: String
            let zone: String?
            let running: Bool
            let process: Int?
        }
        struct Group: Encodable {
            let number: Int
            let servers: [Int]
            let running: Int
            let needed: Int
        }
        let running: Int
        let servers: [Server]
        let groups: [Group]
    }

    func run() throws {
        let cluster = try ClusterDescription(contentsOf: target.clusterFile)
        let configuration = cluster.parameters.configuration
        let servers = zip(cluster.servers, configuration.nodes).map { entry, node in
            let stamp = target.run.server(Int(entry.node.rawValue))
            return Outcome.Server(
                number: Int(entry.node.rawValue), address: entry.address, zone: node.zone.isEmpty ? nil : node.zone,
                running: stamp != nil, process: stamp.map { Int($0.processID) })
        }
        let running = Set(servers.filter(\.running).map(\.number))
        let groups = configuration.groups.map { group in
            let members = group.members.map { Int($0.rawValue) }
            return Outcome.Group(
                number: Int(group.id.rawValue), servers: members, running: members.count(where: running.contains),
                needed: configuration.quorums.quorum)
        }
        let rows = servers.map { server in
            "server \(server.number)  \(server.address)  " + (server.zone.map { "zone \($0)  " } ?? "")
                + (server.process.map { "running, process \($0)" } ?? "not running")
        }
        let states = groups.map { group in
            let members = group.servers.map(String.init).joined(separator: " ")
            return "group \(group.number) of servers \(members): \(group.running) run, \(group.needed) are needed"
                + (group.running < group.needed ? "; its objects are out of reach" : "")
        }
        try Report.finish(
            report, Outcome(running: running.count, servers: servers, groups: groups),
            text: (rows + states).joined(separator: "\n"))
    }
}
