// What is kept of a cluster elsewhere, so that it can be operated when its directory is lost.
//
// What a server has promised is no part of it: a store, or a key of statements, that ran a second time would have
// forgotten what its first life said. A server that is lost is rebuilt from the others.

import DurableFiles
import Foundation
import Glibc
import QuorumProtocol
import QuorumTransport

/// The files of a cluster's directory that are kept, and those that are not. A backup has the shape of the directory:
/// what is said here is found out of either.
package struct BackupContents: Sendable {
    /// What lies in the directory and is not kept; a star stands for any server or client.
    package struct Omission: Equatable, Sendable {
        package let what: String
        package let why: String
    }

    /// The files that are kept, by their paths below the directory.
    package private(set) var files: [String] = []
    package private(set) var omissions: [Omission] = []
    /// Homes that the directory does not have: they lie where their server or client is.
    package private(set) var elsewhere: [String] = []
    /// The listed clients that can be acted as.
    package private(set) var clientNames: [String] = []
    package let cluster: ClusterDescription

    private let directory: String

    /// Looks at a cluster's directory, or at a backup of it, and checks all that is kept.
    ///
    /// - Throws: what is missing or wrong: a backup without it would be none.
    package init(of path: String) throws(ConfigurationError) {
        directory = HomeFiles(path).directory
        cluster = try ClusterDescription(directory: directory)
        _ = try OperatorHome(clusterDirectory: directory)
        files = [
            ClusterConfiguration.fileName, AddressList.fileName, KeyList.fileName, AccessList.fileName,
            OperatorHome.fileName,
        ]
        try addClients()
        try addServers()
        noteOthers(in: "", but: Set(files + ["operator", "clients", "servers"]))
    }

    // MARK: What is kept

    private mutating func addClients() throws(ConfigurationError) {
        for client in cluster.clients {
            let name = "clients/\(client.name)"
            guard isThere(name) else {
                guard !isThere(OperatorHome.stagingName(of: client.name)) else {
                    throw .inconsistent(
                        path: "\(directory)/\(name)",
                        reason: "adding this client was interrupted; "
                            + "'solidus client add \(directory) \(client.name)' completes it")
                }
                elsewhere.append(name)
                continue
            }
            _ = try ClientHome(path: "\(directory)/\(name)", of: cluster)
            clientNames.append(client.name)
            add(["client.toml", "key.pem", "certificate.pem"], of: name)
            noteOthers(in: name, as: "clients/*", but: ["client.toml", "key.pem", "certificate.pem"])
        }
        guard !clientNames.isEmpty else {
            throw .inconsistent(
                path: "\(directory)/clients",
                reason: "no listed client has its home here, so nobody could ask the servers for anything; "
                    + "'solidus client add \(directory) NAME' makes one")
        }
        noteOthers(in: "clients", but: Set(clientNames))
    }

    private mutating func addServers() throws(ConfigurationError) {
        for server in cluster.servers {
            let name = "servers/\(server.node.rawValue)"
            guard isThere(name) else {
                elsewhere.append(name)
                continue
            }
            let home = HomeFiles("\(directory)/\(name)")
            guard try ServerHome.number(ServerHome.file(home)) == Int(server.node.rawValue) else {
                throw .inconsistent(path: home.serverFile, reason: "it is not that of \(server.node)")
            }
            _ = try home.identity(
                pinned: server.pins, owner: server.node.description, listedIn: cluster.addressesFile)
            add(["server.toml", "key.pem", "certificate.pem"], of: name)
            noteOthers(in: name, as: "servers/*", but: ["server.toml", "key.pem", "certificate.pem"])
        }
    }

    private mutating func add(_ names: [String], of home: String) { files += names.map { "\(home)/\($0)" } }

    private func isThere(_ name: String) -> Bool { access("\(directory)/\(name)", F_OK) == 0 }

    // MARK: What is not

    private static func reason(_ what: String) -> String {
        switch what {
        case "servers/*/statement-key.pem":
            "no two servers may ever sign with one key; a lost server is rebuilt and gets a new one"
        case "servers/*/store":
            "a copy has forgotten what the server promises after it; a lost server is rebuilt from the others"
        case "servers/*/rebuild.json", "servers/*/rebuilt.json", "servers/*/rolled-back.json": "it belongs to the store"
        case "run": "which servers run on this machine"
        case "clients/*/uploads": "how far uploads of this machine's files are"
        case _ where what.hasPrefix("servers/*/"): "what a server writes while it runs, and copies of the lists"
        case _ where what.hasPrefix("clients/*/"): "no part of a client's home but copies of the lists"
        case _ where what.hasPrefix("clients/"): "the home of a client that is not listed any more"
        default: "no part of the cluster's configuration"
        }
    }

    /// - Parameter pattern: what stands for the directory in what is said.
    private mutating func noteOthers(in name: String, as pattern: String? = nil, but kept: Set<String>) {
        let found = (try? FileManager.default.contentsOfDirectory(atPath: "\(directory)/\(name)")) ?? []
        for other in found.sorted() where !kept.contains(other) {
            let what = name.isEmpty ? other : "\(pattern ?? name)/\(other)"
            guard !omissions.contains(where: { $0.what == what }) else { continue }
            omissions.append(Omission(what: what, why: Self.reason(what)))
        }
    }

    // MARK: Copying

    /// Copies what is kept into a directory that must be absent or empty; it is there in full and durably, or not at
    /// all. Nobody but its owner may read any of it.
    ///
    /// - Throws: also when what was copied does not fit together.
    package func copy(to target: String) throws(ConfigurationError) {
        let path = HomeFiles(target).directory
        guard !Self.isWithin(path, directory) else {
            throw .cannotWrite(path: path, reason: "it is within \(directory), and would be lost with it")
        }
        var directories: [String] = []
        for file in files {
            let names = file.split(separator: "/").dropLast()
            for count in names.indices {
                let directory = names[...count].joined(separator: "/")
                if !directories.contains(directory) { directories.append(directory) }
            }
        }
        // cluster.toml, without which there is no cluster, comes last.
        let entries = directories.filter { !$0.contains("/") } + files.filter { !$0.contains("/") }.reversed()
        let place = try NewDirectory(path, entries: entries)
        do throws(ConfigurationError) {
            for directory in directories { try HomeFiles.makeDirectory("\(place.staging)/\(directory)") }
            for file in files {
                let bytes = try TextFile.read(
                    "\(directory)/\(file)", advice: "it was there a moment ago",
                    sizeBytesMax: TextFile.listSizeBytesMax)
                try TextFile.writing { () throws(FileError) in
                    try DurableFile.create("\(place.staging)/\(file)", bytes, mode: 0o600)
                }
            }
            guard try BackupContents(of: place.staging).files == files else {
                throw .inconsistent(path: directory, reason: "it was changed while it was copied; try again")
            }
            try place.finish()
        } catch {
            place.abandon()
            throw error
        }
    }

    /// Whether a path, or of one that does not exist yet what it is to be made in, lies within a directory.
    private static func isWithin(_ path: String, _ directory: String) -> Bool {
        var place = Array(path.utf8)
        while access(String(decoding: place, as: UTF8.self), F_OK) != 0 {
            guard let slash = place.lastIndex(of: UInt8(ascii: "/")), slash > 0 else {
                place = Array(place.first == UInt8(ascii: "/") ? "/".utf8 : ".".utf8)
                break
            }
            place = Array(place[..<slash])
        }
        let (inner, outer) = (OpenFile.resolved(place), OpenFile.resolved(Array(directory.utf8)))
        return inner == outer || inner.starts(with: outer + [UInt8(ascii: "/")])
    }
}
