// The program that people run.

import ArgumentParser
import CommandOutcome
import QuorumProtocol

@main
struct Solidus: Program {
    static let configuration = CommandConfiguration(
        commandName: "solidus",
        abstract: "An object store that stays right while some of its servers fail, lie or lose their disks.",
        discussion: ExitStatus.table,
        version: "solidus \(Release.version)",
        subcommands: [
            Cluster.self, Client.self, Serve.self, MakeBucket.self, RemoveBucket.self, Put.self, Get.self,
            Concatenate.self, Compare.self, List.self, DiskUsage.self, Stat.self, Verify.self, Copy.self, Move.self,
            Remove.self, Uploads.self, ServerCommands.self,
            Torture.self, Check.self,
            ClusterStatus.self, Audit.self, EvidenceCommands.self, Recover.self, Gateway.self,
        ])

    @MainActor static func main() async { await runToExit() }
}
