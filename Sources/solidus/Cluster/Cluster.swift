// solidus cluster

import ArgumentParser
import ClusterFiles
import ServerProcesses

struct Cluster: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a cluster on this machine, start it, stop it.",
        subcommands: [ClusterInit.self, ClusterUp.self, ClusterDown.self, ClusterStatus.self])
}

/// A cluster's directory on the command line.
struct ClusterArgument: ParsableArguments {
    @Argument(help: "The cluster's directory.", completion: .directory)
    var directory: String

    mutating func validate() throws {
        guard !directory.isEmpty else { throw ValidationError("The cluster's directory is empty.") }
    }

    /// The directory without slashes at its end.
    var path: String {
        var trimmed = directory[...]
        while trimmed.count > 1, trimmed.hasSuffix("/") { trimmed = trimmed.dropLast() }
        return String(trimmed)
    }

    var run: RunDirectory { RunDirectory(clusterDirectory: path) }
    var clusterFile: String { path + "/" + ClusterConfiguration.fileName }
    func home(_ index: Int) -> String { "\(path)/servers/\(index)" }
}

/// Which of the servers on this machine a command is about.
struct ServerSelection: ParsableArguments {
    @Option(name: .customLong("server"), help: "Only this server, by its index; may be repeated.")
    var indices: [Int] = []

    /// The servers chosen, in order; all of them when none was named.
    func chosen(of cluster: ClusterConfiguration) throws -> [Int] {
        let all = Array(cluster.servers.indices)
        for index in indices where !all.contains(index) {
            throw ValidationError("There is no server \(index); the cluster has servers 0 to \(all.count - 1).")
        }
        return indices.isEmpty ? all : Set(indices).sorted()
    }
}
