// What is kept of a cluster, and what must never be.

import ClusterFiles
import Foundation
import QuorumProtocol
import Testing

@Suite("A backup") struct BackupContentsTests {
    private static let lists = ["access.toml", "addresses.toml", "cluster.toml", "keys.toml"]

    /// All files below a directory, by their paths.
    private static func files(_ directory: String) throws -> [String] {
        let names = try #require(FileManager.default.enumerator(atPath: directory)).compactMap { $0 as? String }
        return names.filter { name in
            var isDirectory: ObjCBool = false
            return FileManager.default.fileExists(atPath: "\(directory)/\(name)", isDirectory: &isDirectory)
                && !isDirectory.boolValue
        }.sorted()
    }

    @Test("has what operating and rebuilding take, and nothing that a server could run on", arguments: [false, true])
    func contents(existedBefore: Bool) throws {
        let cluster = try TemporaryCluster { $0.clientNames = ["first", "second"] }
        let target = cluster.parent + "/kept/backup"
        if existedBefore {
            try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
        }
        try FileManager.default.createDirectory(
            atPath: cluster.client("first") + "/uploads", withIntermediateDirectories: false)
        let backup = try BackupContents(of: cluster.directory)
        try backup.copy(to: target)

        let homes = ["first", "second"].flatMap { name in
            ["certificate.pem", "client.toml", "key.pem"].map { "clients/\(name)/\($0)" }
        }
        let servers = (0..<4).flatMap { number in
            ["certificate.pem", "key.pem", "server.toml"].map { "servers/\(number)/\($0)" }
        }
        #expect(try Self.files(target) == (homes + servers + Self.lists + ["operator/key.pem"]).sorted())
        #expect(backup.files.sorted() == (homes + servers + Self.lists + ["operator/key.pem"]).sorted())
        #expect(backup.elsewhere.isEmpty && backup.clientNames == ["first", "second"])
        let left = backup.omissions.map(\.what)
        #expect(
            left.sorted()
                == ["clients/*/uploads", "run", "servers/*/lists", "servers/*/statement-key.pem", "servers/*/store"])
        for name in try #require(FileManager.default.enumerator(atPath: target)).compactMap({ $0 as? String }) {
            #expect([0o600, 0o700].contains(try mode("\(target)/\(name)")), "\(name)")
        }
        for name in backup.files {
            let (copied, original) = ("\(target)/\(name)", "\(cluster.directory)/\(name)")
            #expect(FileManager.default.contentsEqual(atPath: copied, andPath: original), "\(name)")
        }
        // It can be looked at as a cluster's directory, and be copied in turn, but no server runs on it.
        #expect(try BackupContents(of: target).files == backup.files)
        #expect(try ClientHome(clusterDirectory: target, client: "second").name == "second")
        #expect(configurationError { _ = try ServerHome(path: target + "/servers/0") } != nil)
        let error = configurationError { try backup.copy(to: target) }
        #expect(error == .directoryNotEmpty(path: target))
    }

    @Test("says which homes are elsewhere, and takes none of a client that was revoked")
    func elsewhere() throws {
        let cluster = try TemporaryCluster { $0.clientNames = ["first", "gone", "moved"] }
        for home in [cluster.server(1), cluster.client("moved")] { try FileManager.default.removeItem(atPath: home) }
        _ = try OperatorHome(clusterDirectory: cluster.directory).revoke("gone")
        let backup = try BackupContents(of: cluster.directory)
        #expect(backup.elsewhere.sorted() == ["clients/moved", "servers/1"])
        #expect(backup.clientNames == ["first"])
        #expect(backup.omissions.contains { $0.what == "clients/gone" && $0.why.contains("not listed") })
        #expect(!backup.files.contains { $0.contains("gone") || $0.hasPrefix("servers/1/") })
    }

    @Test("is refused when something is missing, is not what it should be, or does not fit together")
    func incomplete() throws {
        let cluster = try TemporaryCluster { $0.clientNames = ["first", "second"] }
        let other = try TemporaryCluster { _ in }
        let target = cluster.parent + "/backup"
        func expectRefusal(_ path: String, _ label: String) {
            let error = configurationError { try BackupContents(of: cluster.directory).copy(to: target) }
            #expect(error.map { "\($0)".contains(path) } == true, "\(label): \(String(describing: error))")
            #expect(!FileManager.default.fileExists(atPath: target), "\(label)")
        }
        for name in [
            "cluster.toml", "access.toml", "keys.toml", "addresses.toml", "operator/key.pem", "clients/first/key.pem",
            "clients/second/certificate.pem", "clients/second/client.toml", "servers/2/key.pem",
            "servers/2/certificate.pem", "servers/3/server.toml",
        ] {
            let (path, away) = ("\(cluster.directory)/\(name)", cluster.parent + "/away")
            try FileManager.default.moveItem(atPath: path, toPath: away)
            expectRefusal(name, "without \(name)")
            try FileManager.default.copyItem(
                atPath: "\(other.directory)/\(name)".replacingOccurrences(
                    of: "second", with: "first"), toPath: path)
            // The file of server.toml is the same in every cluster.
            if name != "servers/3/server.toml" { expectRefusal(cluster.directory, "with another \(name)") }
            try FileManager.default.removeItem(atPath: path)
            try FileManager.default.moveItem(atPath: away, toPath: path)
        }
        try cluster.edit(cluster.server(3) + "/server.toml") {
            $0.replacingOccurrences(of: "number = 3", with: "number = 2")
        }
        expectRefusal("servers/3/server.toml", "with another's server.toml")
        try cluster.edit(cluster.server(3) + "/server.toml") {
            $0.replacingOccurrences(of: "number = 2", with: "number = 3")
        }
        try FileManager.default.moveItem(
            atPath: cluster.client("second"), toPath: cluster.directory + "/clients/.second.new")
        expectRefusal("clients/second", "with a client half added")
        try FileManager.default.removeItem(atPath: cluster.directory + "/clients/.second.new")
        try FileManager.default.removeItem(atPath: cluster.client("first"))
        expectRefusal("clients", "without any client")
    }

    @Test("is not put where it would be lost with the cluster")
    func within() throws {
        let cluster = try TemporaryCluster { _ in }
        let link = cluster.parent + "/link"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: cluster.directory)
        for place in [
            cluster.directory + "/backup", cluster.directory + "/a/b/", link + "/backup", cluster.directory, link,
        ] {
            let error = configurationError { try BackupContents(of: cluster.directory).copy(to: place) }
            #expect(error.map { "\($0)".contains("lost with it") } == true, "\(place): \(String(describing: error))")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: cluster.directory).count == 8)
        try BackupContents(of: cluster.directory).copy(to: cluster.directory + "-2")
    }
}
