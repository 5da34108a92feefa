// addresses.toml, keys.toml and access.toml: what reads back, what is refused, and who may change them.

import ClusterFiles
import Crypto
import Foundation
import QuorumProtocol
import QuorumTransport
import Testing

@Suite struct ListFileTests {
    /// One way to spoil a list's file, and the key that the complaint must name.
    struct Fault: Sendable, CustomTestStringConvertible {
        let file: String
        let key: String
        let replaced: String
        let by: String

        var testDescription: String { "\(file): \(key)" }
    }

    static let faults = [
        Fault(file: "addresses.toml", key: "servers[3].number", replaced: "number = 3", by: "number = 65536"),
        Fault(file: "addresses.toml", key: "servers[3].number", replaced: "number = 3", by: "number = 2"),
        Fault(file: "addresses.toml", key: "servers[3].address", replaced: ":7403", by: ":7400"),
        Fault(file: "addresses.toml", key: "servers[0].address", replaced: "127.0.0.1:7400", by: "127.0.0.1"),
        Fault(file: "addresses.toml", key: "servers[0].address", replaced: "127.0.0.1:7400", by: "127.0.0.1:0"),
        Fault(file: "addresses.toml", key: "servers[0].address", replaced: "127.0.0.1:7400", by: "127.0.0.1:65536"),
        Fault(file: "addresses.toml", key: "servers[0].address", replaced: "127.0.0.1:7400", by: "::1:7400"),
        Fault(file: "addresses.toml", key: "servers[1].certificate_pin", replaced: "certificate_pin = ", by: "pin = "),
        Fault(
            file: "keys.toml", key: "keys[2].incarnation", replaced: "number = 2\nincarnation = 1",
            by: "number = 2\nincarnation = 0"),
        Fault(file: "keys.toml", key: "keys[2].incarnation", replaced: "number = 2", by: "number = 1"),
        Fault(
            file: "keys.toml", key: "keys[0].statement_key", replaced: "statement_key = \"04",
            by: "statement_key = \"04\(String(repeating: "11", count: 64))\" # "),
        Fault(file: "access.toml", key: "clients[0].name", replaced: "\"first\"", by: "\"../first\""),
        Fault(file: "access.toml", key: "clients[1].name", replaced: "\"second\"", by: "\"first\""),
        Fault(file: "access.toml", key: "clients[0].rights", replaced: "*:read,write", by: "*:read,own"),
        Fault(file: "access.toml", key: "clients[0].rights", replaced: "*:read,write", by: "*:read,read"),
        Fault(file: "access.toml", key: "clients[0].rights", replaced: "*:read,write", by: "_buckets:read,write"),
        Fault(
            file: "access.toml", key: "clients[0].rights", replaced: "[\"*:read,write,list,admin\"]", by: "\"*:read\""),
        Fault(
            file: "access.toml", key: "clients[0].quota_uncommitted_percent", replaced: "rights = [",
            by: "quota_uncommitted_percent = 101\nrights = ["),
        Fault(
            file: "access.toml", key: "clients[0].quota_bare_versions", replaced: "rights = [",
            by: "quota_bare_versions = 1000001\nrights = ["),
        Fault(
            file: "access.toml", key: "clients[0].quota_bytes", replaced: "rights = [",
            by: "quota_bytes = -2\nrights = ["),
        Fault(file: "access.toml", key: "colour", replaced: "format = 1", by: "format = 1\ncolour = 1"),
        Fault(file: "access.toml", key: "version", replaced: "version = 1", by: "version = 0"),
        Fault(file: "access.toml", key: "format = 2", replaced: "format = 1", by: "format = 2"),
    ]

    @Test("A spoilt list is refused with the file and the key at fault", arguments: faults)
    func refuses(fault: Fault) throws {
        let cluster = try TemporaryCluster { $0.clientNames = ["first", "second"] }
        let path = "\(cluster.directory)/\(fault.file)"
        let good = try String(contentsOfFile: path, encoding: .utf8)
        try cluster.edit(path) { $0.replacingOccurrences(of: fault.replaced, with: fault.by) }
        try #require(try String(contentsOfFile: path, encoding: .utf8) != good)
        let error = try #require(configurationError { _ = try ClusterDescription(contentsOf: cluster.clusterFile) })
        #expect(error.description.contains(path), "\(error)")
        #expect(fault.key == "servers[1].certificate_pin" || error.description.contains(fault.key), "\(error)")
        if case .untrusted = error { Issue.record("only the signature tells: \(error)") }
    }

    @Test(
        "A list that was changed after it was signed is refused, and so is one of an earlier signature",
        arguments: [
            ("addresses.toml", ":7403", ":7404"), ("keys.toml", "incarnation = 1", "incarnation = 2"),
            ("access.toml", "\"*:read,write,list,admin\"", "\"*:read\""), ("access.toml", "version = 1", "version = 2"),
            ("access.toml", "name = \"first\"", "name = \"forged\""),
        ])
    func forged(file: String, old: String, new: String) throws {
        let cluster = try TemporaryCluster { _ in }
        let path = "\(cluster.directory)/\(file)"
        try cluster.edit(path) { $0.replacingOccurrences(of: old, with: new) }
        let error = configurationError { _ = try ClusterDescription(contentsOf: cluster.clusterFile) }
        guard case .untrusted(path, .wrongSignature)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test("Another cluster's list is refused, however well it is signed")
    func foreign() throws {
        let cluster = try TemporaryCluster { _ in }
        let other = try TemporaryCluster { _ in }
        try cluster.replace(cluster.accessFile, with: other.accessFile)
        let error = configurationError { _ = try ClusterDescription(contentsOf: cluster.clusterFile) }
        guard case .untrusted(cluster.accessFile, .foreignCluster(.access, _))? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test("A client is added with its rights, listed, and revoked; each time the version goes up by one")
    func addsAndRevokes() throws {
        let cluster = try TemporaryCluster { _ in }
        let grants = try ["photos:read,write", "*:read", "photos:list"].map { try #require(Grant($0)) }
        let home = try OperatorHome(clusterDirectory: cluster.directory)
        #expect(try home.add(NewClient(name: "guest", grants: grants)).version == 2)
        let guest = try ClientHome(clusterDirectory: cluster.directory, client: "guest")
        let entry = try #require(guest.cluster.clients.last)
        #expect(entry.id == guest.id)
        #expect(entry.grants.map(\.description) == ["*:read", "photos:read,write,list"])
        #expect(throws: ConfigurationError.self) { try home.add(NewClient(name: "guest")) }
        #expect(throws: ConfigurationError.self) { try home.add(NewClient(name: "../guest")) }
        #expect(try home.revoke("guest").version == 3)
        #expect(throws: ConfigurationError.self) { try home.revoke("guest") }
        let error = configurationError { _ = try ClientHome(clusterDirectory: cluster.directory, client: "guest") }
        #expect(error == .unknownClient(path: cluster.accessFile, name: "guest", listed: ["first"]))
        #expect(try home.revoke("first").version == 4)
        #expect(try ClusterDescription(contentsOf: cluster.clusterFile).clients.isEmpty)
    }

    @Test("Without the operator's key, and with another cluster's, nobody changes a list")
    func needsOperatorKey() throws {
        let cluster = try TemporaryCluster { _ in }
        let other = try TemporaryCluster { _ in }
        let key = cluster.directory + "/operator/key.pem"
        try cluster.replace(key, with: other.directory + "/operator/key.pem")
        #expect(
            configurationError { _ = try OperatorHome(clusterDirectory: cluster.directory) }
                == .foreignOperatorKey(path: key, listedIn: cluster.clusterFile))
        try FileManager.default.removeItem(atPath: key)
        guard
            case .fileMissing(key, _)? = configurationError({
                _ = try OperatorHome(clusterDirectory: cluster.directory)
            })
        else {
            Issue.record("no key passed for one")
            return
        }
        #expect(try ClusterDescription(contentsOf: cluster.clusterFile).lists.access.version == 1)
    }

    @Test("Lists that were edited are signed as the next version, the others are left alone")
    func signsEdited() throws {
        let cluster = try TemporaryCluster { _ in }
        let home = try OperatorHome(clusterDirectory: cluster.directory)
        #expect(try home.signEdited().isEmpty)
        try cluster.edit(cluster.addressesFile) {
            $0.replacingOccurrences(of: "127.0.0.1:7402", with: "store.example:9000")
        }
        #expect(configurationError { _ = try ClusterDescription(contentsOf: cluster.clusterFile) } != nil)
        let signed = try home.signEdited()
        #expect(signed.map(\.kind) == [.addresses] && signed.map(\.version) == [2])
        let description = try ClusterDescription(contentsOf: cluster.clusterFile)
        #expect(description.server(NodeID(2))?.address == "store.example:9000")
        #expect(description.lists.keys.version == 1 && description.lists.access.version == 1)
    }
}

@Suite struct KeptListTests {
    private func keeper(_ home: ServerHome) throws -> ListKeeper {
        try ListKeeper(directory: home.listDirectory, cluster: home.cluster)
    }

    @Test("A server that has seen a newer list goes by it after a restart, whatever lies beside cluster.toml")
    func rollback() throws {
        let cluster = try TemporaryCluster { $0.clientNames = ["first", "second"] }
        let old = try String(contentsOfFile: cluster.accessFile, encoding: .utf8)
        _ = try keeper(ServerHome(path: cluster.server(0)))
        _ = try OperatorHome(clusterDirectory: cluster.directory).revoke("second")
        let newer = try ServerHome(path: cluster.server(0))
        #expect(newer.complaints.isEmpty && newer.cluster.lists.access.version == 2)
        _ = try keeper(newer)
        try cluster.edit(cluster.accessFile) { _ in old }
        let again = try ServerHome(path: cluster.server(0))
        #expect(again.cluster.lists.access.version == 2)
        #expect(again.cluster.clients.map(\.name) == ["first"])
        #expect(
            again.complaints
                == [.untrusted(path: cluster.accessFile, .rolledBack(.access, offered: 1, known: 2))])
        // One that has not seen the newer list cannot know.
        #expect(try ServerHome(path: cluster.server(1)).cluster.lists.access.version == 1)
    }

    @Test("Of two lists of one version a server keeps the one that it went by")
    func fork() throws {
        let cluster = try TemporaryCluster { $0.clientNames = ["first", "second"] }
        let old = try String(contentsOfFile: cluster.accessFile, encoding: .utf8)
        let home = try OperatorHome(clusterDirectory: cluster.directory)
        _ = try home.revoke("second")
        _ = try keeper(ServerHome(path: cluster.server(0)))
        try cluster.edit(cluster.accessFile) { _ in old }
        _ = try home.revoke("first")
        let again = try ServerHome(path: cluster.server(0))
        #expect(again.cluster.clients.map(\.name) == ["first"])
        #expect(again.complaints == [.untrusted(path: cluster.accessFile, .forked(.access, version: 2))])
    }

    @Test("A running server takes a newer list once, and nothing that it may not take; what it takes is durable first")
    func takes() throws {
        let cluster = try TemporaryCluster { $0.clientNames = ["first", "second"] }
        let lists = try keeper(ServerHome(path: cluster.server(0)))
        let home = try OperatorHome(clusterDirectory: cluster.directory)
        let second = AnySignedList.access(try home.revoke("second"))
        let third = AnySignedList.access(try home.revoke("first"))
        var applied: [UInt64] = []
        func take(_ list: AnySignedList) throws(ConfigurationError) -> Bool {
            try lists.take(list, from: "test") { description in
                applied.append(description.lists.access.version)
                let kept = try? String(contentsOfFile: cluster.server(0) + "/lists/access.toml", encoding: .utf8)
                #expect(kept?.contains("version = \(description.lists.access.version)\n") == true)
            }
        }
        #expect(try take(second))
        #expect(try !take(second))
        #expect(try take(third))
        #expect(
            configurationError { _ = try take(second) }
                == .untrusted(path: "test", .rolledBack(.access, offered: 2, known: 3)))
        #expect(applied == [2, 3])
        #expect(lists.current.clients.isEmpty)
        #expect(try ServerHome(path: cluster.server(0)).cluster.lists.access.version == 3)
    }

    @Test(
        "A list of keys that lacks an earlier key, or has another in its place, is not taken", arguments: [false, true])
    func keysStay(replaces: Bool) throws {
        let cluster = try TemporaryCluster { _ in }
        let lists = try keeper(ServerHome(path: cluster.server(0)))
        let fresh = P256.Signing.PrivateKey().publicKey
        let first = try #require(lists.current.lists.keys.contents.keys.first)
        try cluster.edit(cluster.keysFile) { text in
            let own = first.keyBytes.map { String(format: "%02x", $0) }.joined()
            let new = fresh.x963Representation.map { String(format: "%02x", $0) }.joined()
            let line = "incarnation = 1\nstatement_key = \"\(own)\""
            return text.replacingOccurrences(
                of: line, with: "incarnation = \(replaces ? 1 : 2)\nstatement_key = \"\(new)\"")
        }
        #expect(try OperatorHome(clusterDirectory: cluster.directory).signEdited().map(\.kind) == [.keys])
        let offered = try #require(lists.current.listsOnDisk().lists.first { $0.kind == .keys })
        #expect(
            configurationError { _ = try lists.take(offered, from: "test") { _ in Issue.record("it was taken") } }
                == .untrusted(
                    path: "test", .unsound(.keys, version: 2, .keyRemoved(NodeID(0), Incarnation(1)))))
    }

    @Test("A kept list that is damaged keeps the server from starting, by its name")
    func damaged() throws {
        let cluster = try TemporaryCluster { _ in }
        _ = try keeper(ServerHome(path: cluster.server(0)))
        let path = cluster.server(0) + "/lists/access.toml"
        try cluster.edit(path) { $0.replacingOccurrences(of: "\"*:read,write,list,admin\"", with: "\"*:read\"") }
        guard
            case .untrusted(path, .wrongSignature(.access, 1))? = configurationError({
                _ = try ServerHome(path: cluster.server(0))
            })
        else {
            Issue.record("a damaged list passed")
            return
        }
    }
}
