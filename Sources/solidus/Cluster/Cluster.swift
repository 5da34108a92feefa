// solidus cluster

import ArgumentParser
import ClusterFiles
import Glibc
import ServerProcesses

struct Cluster: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a cluster on this machine, start it, stop it, hand it new lists, keep what is needed of it.",
        subcommands: [
            ClusterInit.self, ClusterUp.self, ClusterDown.self, ClusterStatus.self, ClusterReload.self,
            ClusterRestart.self, Recover.self, ClusterWants.self, ClusterBackup.self, ClusterRestore.self,
            ClusterSign.self, RenewCertificates.self,
        ])
}

/// A cluster's directory and what lies in it.
struct ClusterDirectory {
    static let environmentName = "SOLIDUS_CLUSTER"

    /// The path without slashes at its end.
    let path: String

    /// The directory that was named, or else the one of the environment.
    ///
    /// - Throws: `ValidationError` when there is none.
    init(_ named: String?) throws {
        guard var path = try named ?? Self.ofEnvironment, !path.isEmpty else {
            throw ValidationError("No cluster: name its directory or set \(Self.environmentName).")
        }
        while path.utf8.count > 1, path.utf8.last == UInt8(ascii: "/") { path = String(path.unicodeScalars.dropLast()) }
        self.path = path
    }

    private static var ofEnvironment: String? {
        get throws {
            guard let value = getenv(environmentName) else { return nil }
            guard let text = String(validatingCString: value) else {
                throw ValidationError("The environment's \(environmentName) is not UTF-8 text.")
            }
            return text
        }
    }

    var run: RunDirectory { RunDirectory(clusterDirectory: path) }
    var clusterFile: String { path + "/" + ClusterConfiguration.fileName }
    func home(_ index: Int) -> String { "\(path)/servers/\(index)" }
}

/// A cluster's directory on the command line.
struct ClusterArgument: ParsableArguments {
    @Argument(
        help: "The cluster's directory; the environment's SOLIDUS_CLUSTER when not given.", completion: .directory)
    var directory: String?

    mutating func validate() throws { _ = try place }

    var place: ClusterDirectory {
        get throws { try ClusterDirectory(directory) }
    }
}

/// A cluster's directory and the name of one of its clients.
struct ClusterAndClient: ParsableArguments {
    @Argument(
        help: ArgumentHelp(
            "The cluster's directory (when not given: the environment's SOLIDUS_CLUSTER), and the client's name.",
            valueName: "directory> <name"))
    var words: [String]

    mutating func validate() throws {
        guard (1...2).contains(words.count) else {
            throw ValidationError("Give the cluster's directory and the client's name.")
        }
        _ = try place
    }

    var place: ClusterDirectory {
        get throws { try ClusterDirectory(words.count == 2 ? words[0] : nil) }
    }
    var name: String { words.last ?? "" }
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
