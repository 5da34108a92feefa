// solidus cluster down

import ArgumentParser
import ClusterFiles
import CommandOutcome
import Glibc
import ServerProcesses

struct ClusterDown: ParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "down",
        abstract: "Stop the servers that run on this machine; those that do not run are no error.",
        discussion: """
            Also those that were started in another way than by 'cluster up', or whose pid files were lost. A server that \
            has not ended ten seconds after SIGTERM is killed.

            Examples:
              solidus cluster down demo
              solidus cluster down demo --server 2
            """)

    @OptionGroup var target: ClusterArgument
    @OptionGroup var selection: ServerSelection
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        let stopped: [Int]
        let killed: [Int]
    }

    func run() throws {
        let target = try target.place
        let cluster = try ClusterDescription(contentsOf: target.clusterFile)
        let chosen = try selection.chosen(of: cluster)
        let run = target.run
        try ProcessStamp.checkProcesses()
        guard access(run.path, F_OK) == 0 || chosen.contains(where: { run.server($0) != nil }) else {
            try finish(stopped: [], killed: [])
            return
        }
        try run.create()
        try run.locked {
            // A supervisor in the foreground would report each server that is stopped behind its back; asked to end, it
            // stops its servers itself.
            let supervisor = selection.numbers.isEmpty ? run.supervisor : nil
            let servers = chosen.compactMap { index in run.server(index).map { (index: index, stamp: $0) } }
            let forced = ProcessStamp.end(servers.map(\.stamp), heldBy: supervisor)
            for server in servers { run.remove(run.serverFile(server.index), of: server.stamp) }
            if let supervisor { run.remove(run.supervisorFile, of: supervisor) }
            for server in servers where forced.contains(server.stamp.processID) {
                Standard.complain("warning: server \(server.index) did not end in time and was killed")
            }
            try finish(
                stopped: servers.map(\.index),
                killed: servers.filter { forced.contains($0.stamp.processID) }.map(\.index))
        }
    }

    private func finish(stopped: [Int], killed: [Int]) throws {
        try Report.finish(
            report, Outcome(stopped: stopped, killed: killed), text: "stopped \(serverCount(stopped.count))")
    }

}
