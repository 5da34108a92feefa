// solidus cluster

import ArgumentParser
import ClusterFiles
import ServerProcesses

struct Cluster: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a cluster on this machine, start it, stop it, hand it new lists.",
        subcommands: [
            ClusterInit.self, ClusterUp.self, ClusterDown.self, ClusterStatus.self, ClusterReload.self,
            ClusterSign.self,
        ])
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
    @Option(name: .customLong("server"), help: "Only this server, by its number; may be repeated.")
    var numbers: [Int] = []

    /// The servers chosen, in order; all of them when none was named.
    func chosen(of cluster: ClusterDescription) throws -> [Int] {
        let all = cluster.servers.map { Int($0.node.rawValue) }
        for number in numbers where !all.contains(number) {
            throw ValidationError("There is no server \(number); 'solidus cluster status' lists them.")
        }
        return numbers.isEmpty ? all : Set(numbers).sorted()
    }
}
