// The homes of servers and clients: what loads, and which wrong file is called what.

import ClusterFiles
import Foundation
import QuorumProtocol
import Testing

@Suite struct HomeTests {
    @Test("Every server's home and the client's load with their own keys")
    func loads() throws {
        let cluster = try TemporaryCluster { $0.faults = 1 }
        for index in 0..<4 {
            let home = try ServerHome(path: cluster.server(index) + "/")
            #expect(home.node.rawValue == index)
            #expect(home.identity.pin == home.cluster.servers[index].pin)
            #expect(home.cluster.lists.keys.contents.contains(home.statementKey.publicKey, of: home.node))
            #expect(home.storeDirectory == cluster.server(index) + "/store")
        }
        let client = try ClientHome(clusterDirectory: cluster.directory)
        #expect(client.name == "first")
        #expect(client.id == client.cluster.clients[0].id)
        #expect(client.identity.pin.digest == client.cluster.clients[0].pin)
    }

    @Test("A client is found by its name, and an unknown name is refused with those there are")
    func findsClient() throws {
        let cluster = try TemporaryCluster { $0.clientNames = ["first", "second"] }
        #expect(try ClientHome(clusterDirectory: cluster.directory, client: "second").name == "second")
        let error = configurationError { _ = try ClientHome(clusterDirectory: cluster.directory, client: "../first") }
        #expect(
            error == .unknownClient(path: cluster.accessFile, name: "../first", listed: ["first", "second"]))
    }

    @Test("A home's own cluster.toml, with the lists beside it, counts before the one two directories up")
    func findsClusterFile() throws {
        let cluster = try TemporaryCluster { _ in }
        let alone = cluster.parent + "/alone"
        try FileManager.default.copyItem(atPath: cluster.client("first"), toPath: alone)
        let error = configurationError { _ = try ClientHome(path: alone) }
        guard case .fileMissing(alone + "/cluster.toml", _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        for name in ["cluster.toml", "addresses.toml", "keys.toml"] {
            try FileManager.default.copyItem(atPath: "\(cluster.directory)/\(name)", toPath: "\(alone)/\(name)")
        }
        let second = configurationError { _ = try ClientHome(path: alone) }
        guard case .fileMissing(alone + "/access.toml", _)? = second else {
            Issue.record("\(String(describing: second))")
            return
        }
        try FileManager.default.copyItem(atPath: cluster.accessFile, toPath: alone + "/access.toml")
        #expect(try ClientHome(path: alone).name == "first")
    }

    @Test(
        "A missing file of a server's home is named",
        arguments: ["server.toml", "key.pem", "certificate.pem", "statement-key.pem"])
    func missingServerFile(name: String) throws {
        let cluster = try TemporaryCluster { _ in }
        let path = cluster.server(1) + "/" + name
        try FileManager.default.removeItem(atPath: path)
        let error = configurationError { _ = try ServerHome(path: cluster.server(1)) }
        guard case .fileMissing(path, _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(error?.description.contains(path) == true)
    }

    @Test("A missing file of a client's home is named", arguments: ["client.toml", "key.pem", "certificate.pem"])
    func missingClientFile(name: String) throws {
        let cluster = try TemporaryCluster { _ in }
        let path = cluster.client("first") + "/" + name
        try FileManager.default.removeItem(atPath: path)
        let error = configurationError { _ = try ClientHome(clusterDirectory: cluster.directory) }
        guard case .fileMissing(path, _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test("A directory that is no cluster, a file that is a directory and a file that is too large are told apart")
    func unreadableFiles() throws {
        let cluster = try TemporaryCluster { _ in }
        guard case .fileMissing? = configurationError({ _ = try ClientHome(clusterDirectory: cluster.parent) }) else {
            Issue.record("a directory without cluster.toml passed")
            return
        }
        guard
            case .fileUnreadable(cluster.directory, _)? = configurationError({
                _ = try ClusterConfiguration(contentsOf: cluster.directory)
            })
        else {
            Issue.record("a directory passed for a file")
            return
        }
        try cluster.edit(cluster.clusterFile) { $0 + String(repeating: "#", count: 1 << 20) }
        guard
            case .fileTooLarge(cluster.clusterFile, _)? = configurationError({
                _ = try ServerHome(path: cluster.server(0))
            })
        else {
            Issue.record("a large file passed")
            return
        }
    }

    @Test("Another cluster's certificate in a server's home is refused, with both pins")
    func foreignServerCertificate() throws {
        let cluster = try TemporaryCluster { _ in }
        let other = try TemporaryCluster { _ in }
        for name in ["key.pem", "certificate.pem"] {
            try cluster.replace("\(cluster.server(2))/\(name)", with: "\(other.server(2))/\(name)")
        }
        let error = configurationError { _ = try ServerHome(path: cluster.server(2)) }
        guard case .foreignCertificate(let path, _, "server 2", let expected, let found)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(path == cluster.server(2) + "/certificate.pem")
        #expect(try expected == ClusterDescription(contentsOf: cluster.clusterFile).servers[2].pin.description)
        #expect(try found == ClusterDescription(contentsOf: other.clusterFile).servers[2].pin.description)
    }

    @Test("A server's home under another server's number is refused")
    func exchangedIndex() throws {
        let cluster = try TemporaryCluster { _ in }
        let file = cluster.server(2) + "/server.toml"
        try cluster.edit(file) { $0.replacingOccurrences(of: "number = 2", with: "number = 3") }
        guard
            case .foreignCertificate(_, _, "server 3", _, _)? = configurationError({
                _ = try ServerHome(path: cluster.server(2))
            })
        else {
            Issue.record("server 2 passed for server 3")
            return
        }
        try cluster.edit(file) { $0.replacingOccurrences(of: "number = 3", with: "number = 4") }
        guard
            case .invalidValue(_, "number", "4", _)? = configurationError({
                _ = try ServerHome(path: cluster.server(2))
            })
        else {
            Issue.record("a server passed that is not listed")
            return
        }
    }

    @Test("Another cluster's statement key is refused")
    func foreignStatementKey() throws {
        let cluster = try TemporaryCluster { _ in }
        let other = try TemporaryCluster { _ in }
        let path = cluster.server(0) + "/statement-key.pem"
        try cluster.replace(path, with: other.server(0) + "/statement-key.pem")
        let error = configurationError { _ = try ServerHome(path: cluster.server(0)) }
        guard case .foreignStatementKey(path, _, "server 0")? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test("Another cluster's client is refused, by its certificate and by its id")
    func foreignClient() throws {
        let cluster = try TemporaryCluster { _ in }
        let other = try TemporaryCluster { _ in }
        let home = cluster.client("first")
        for name in ["key.pem", "certificate.pem"] {
            try cluster.replace("\(home)/\(name)", with: "\(other.client("first"))/\(name)")
        }
        guard
            case .foreignCertificate(_, _, "client first", _, _)? = configurationError({
                _ = try ClientHome(path: home)
            })
        else {
            Issue.record("another cluster's certificate passed")
            return
        }
        try cluster.replace("\(home)/client.toml", with: "\(other.client("first"))/client.toml")
        guard case .invalidValue(_, "id", _, _)? = configurationError({ _ = try ClientHome(path: home) }) else {
            Issue.record("another cluster's client id passed")
            return
        }
    }

    @Test("A key that does not belong to its certificate, and a file that is no key, are refused with the file's name")
    func unusableKeys() throws {
        let cluster = try TemporaryCluster { _ in }
        let key = cluster.server(0) + "/key.pem"
        try cluster.replace(key, with: cluster.server(1) + "/key.pem")
        guard
            case .unusableIdentity(let mismatch)? = configurationError({ _ = try ServerHome(path: cluster.server(0)) })
        else {
            Issue.record("another certificate's key passed")
            return
        }
        #expect(mismatch.contains(key))
        try cluster.edit(cluster.server(2) + "/statement-key.pem") { _ in "nothing" }
        guard case .unusableIdentity(let noKey)? = configurationError({ _ = try ServerHome(path: cluster.server(2)) })
        else {
            Issue.record("a text passed for a key")
            return
        }
        #expect(noKey.contains(cluster.server(2) + "/statement-key.pem"))
    }

    @Test("An expired certificate and one of the future are refused with the second in question")
    func validity() throws {
        let now = Date()
        let expired = try TemporaryCluster {
            $0.validFrom = now.addingTimeInterval(-7200)
            $0.validUntil = now.addingTimeInterval(-3600)
        }
        let early = try TemporaryCluster {
            $0.validFrom = now.addingTimeInterval(3600)
            $0.validUntil = now.addingTimeInterval(7200)
        }
        for path in [expired.server(0) + "/certificate.pem", expired.client("first") + "/certificate.pem"] {
            let error = configurationError {
                _ =
                    try path.contains("servers")
                    ? Int(ServerHome(path: expired.server(0)).node.rawValue)
                    : ClientHome(path: expired.client("first")).name.count
            }
            guard case .certificateExpired(path, let notAfter, _)? = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
            #expect(abs(Double(notAfter) - (now.timeIntervalSince1970 - 3600)) <= 1)
            #expect(error?.description.contains("expired at") == true)
        }
        guard case .certificateNotYetValid? = configurationError({ _ = try ServerHome(path: early.server(3)) }) else {
            Issue.record("a certificate of the future passed")
            return
        }
    }

    @Test(
        "A server leaves out the optimisations that its server.toml names, and none when it names none",
        arguments: [
            ("", []), ("without = []\n", []), ("without = [\"group-commit\"]\n", [.groupCommit]),
            (
                "without = [ 'remembered-checks',\"batched-signatures\", ] # all\n",
                [.rememberedChecks, .batchedSignatures]
            ),
        ] as [(String, Set<Optimisation>)])
    func withoutOptimisations(line: String, expected: Set<Optimisation>) throws {
        let cluster = try TemporaryCluster { _ in }
        try cluster.edit(cluster.server(0) + "/server.toml") { $0 + line }
        #expect(try ServerHome(path: cluster.server(0)).without == expected)
    }

    @Test("A new cluster's servers leave out what was asked for, as far as servers have a part in it")
    func newClusterWithout() throws {
        let cluster = try TemporaryCluster { $0.without = Set(Optimisation.allCases) }
        #expect(
            try ServerHome(path: cluster.server(3)).without == Set(Optimisation.allCases.filter(\.isServers)))
    }

    @Test(
        "An optimisation that no server has, an unknown one and one named twice are refused with those that are allowed",
        arguments: ["hedging", "group commit", "", "group-commit\", \"group-commit"])
    func unknownOptimisation(names: String) throws {
        let cluster = try TemporaryCluster { _ in }
        let path = cluster.server(0) + "/server.toml"
        try cluster.edit(path) { $0 + "without = [\"\(names)\"]\n" }
        let error = configurationError { _ = try ServerHome(path: cluster.server(0)) }
        guard case .invalidValue(path, "without", let value, let reason)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(names.hasPrefix(value))
        #expect(names.contains(",") ? reason.contains("twice") : reason.contains("\"group-commit\""))
    }

    @Test("Optimisations that are no array of strings are refused", arguments: ["\"group-commit\"", "1", "true"])
    func wrongOptimisations(value: String) throws {
        let cluster = try TemporaryCluster { _ in }
        let path = cluster.server(0) + "/server.toml"
        try cluster.edit(path) { $0 + "without = \(value)\n" }
        let error = configurationError { _ = try ServerHome(path: cluster.server(0)) }
        guard case .wrongType(path, "without", _, _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test(
        "A server's verification takes what its server.toml allows it, and the usual when that says nothing",
        arguments: [
            ("", VerificationBudget()),
            ("verification_mib_per_second = 3\n", VerificationBudget(bytesPerSecond: 3 << 20)),
            (
                "verification_processor_percent = 200\nverification_mib_per_second = 100000\n",
                VerificationBudget(bytesPerSecond: 100_000 << 20, processorPercent: 200)
            ),
        ])
    func verificationBudget(lines: String, expected: VerificationBudget) throws {
        let cluster = try TemporaryCluster { _ in }
        try cluster.edit(cluster.server(0) + "/server.toml") { $0 + lines }
        #expect(try ServerHome(path: cluster.server(0)).verificationBudget == expected)
    }

    @Test(
        "A budget of nothing, below it or beyond reason is refused",
        arguments: ["verification_mib_per_second", "verification_processor_percent"], [0, -1, 100_001, Int.max, .min])
    func wrongBudget(budgetKey: String, value: Int) throws {
        let cluster = try TemporaryCluster { _ in }
        let path = cluster.server(0) + "/server.toml"
        try cluster.edit(path) { $0 + "\(budgetKey) = \(value)\n" }
        let error = configurationError { _ = try ServerHome(path: cluster.server(0)) }
        guard case .invalidValue(path, budgetKey, _, let reason)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(reason.contains("an integer from 1 to "))
    }

    @Test(
        "What requests and answers may hold of memory is said in server.toml, and follows from the stripe otherwise",
        arguments: [("", 1, 512), ("", 64, 4096), ("memory_mib = 64\n", 1, 64), ("memory_mib = 1024\n", 64, 1024)])
    func memoryBudget(lines: String, stripeMebibytes: Int, expectedMebibytes: Int) throws {
        let cluster = try TemporaryCluster { $0.stripeSizeBytesMax = stripeMebibytes << 20 }
        try cluster.edit(cluster.server(0) + "/server.toml") { $0 + lines }
        #expect(try ServerHome(path: cluster.server(0)).memoryBudgetBytes == expectedMebibytes << 20)
    }

    @Test(
        "Memory that has no room for sixteen stripes, or beyond reason, is refused",
        arguments: [(1, 63), (64, 1023), (1, (1 << 20) + 1), (1, -1), (1, Int.max)])
    func wrongMemory(stripeMebibytes: Int, value: Int) throws {
        let cluster = try TemporaryCluster { $0.stripeSizeBytesMax = stripeMebibytes << 20 }
        let path = cluster.server(0) + "/server.toml"
        try cluster.edit(path) { $0 + "memory_mib = \(value)\n" }
        let error = configurationError { _ = try ServerHome(path: cluster.server(0)) }
        guard case .invalidValue(path, "memory_mib", _, let reason)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(reason.contains("an integer from \(max(64, 16 * stripeMebibytes)) to 1048576"))
    }

    @Test(
        "The size of segments is said in server.toml, and is 64 MiB otherwise",
        arguments: [("", 64), ("segment_mib = 1\n", 1), ("segment_mib = 1024\n", 1024)])
    func segments(lines: String, expectedMebibytes: Int) throws {
        let cluster = try TemporaryCluster { _ in }
        try cluster.edit(cluster.server(0) + "/server.toml") { $0 + lines }
        #expect(try ServerHome(path: cluster.server(0)).segmentSizeBytes == expectedMebibytes << 20)
    }

    @Test("Segments of nothing, below it or beyond reason are refused", arguments: [0, -1, 1025, Int.max])
    func wrongSegments(value: Int) throws {
        let cluster = try TemporaryCluster { _ in }
        let path = cluster.server(0) + "/server.toml"
        try cluster.edit(path) { $0 + "segment_mib = \(value)\n" }
        let error = configurationError { _ = try ServerHome(path: cluster.server(0)) }
        guard case .invalidValue(path, "segment_mib", _, let reason)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(reason.contains("an integer from 1 to 1024"))
    }

    @Test("Unknown keys and another format in server.toml and client.toml are refused")
    func strictHomes() throws {
        let cluster = try TemporaryCluster { _ in }
        let server = cluster.server(0) + "/server.toml"
        let client = cluster.client("first") + "/client.toml"
        try cluster.edit(server) { $0 + "port = 1\n" }
        try cluster.edit(client) { $0.replacingOccurrences(of: "format = 1", with: "format = 7") }
        #expect(
            configurationError { _ = try ServerHome(path: cluster.server(0)) }
                == .unknownKey(path: server, key: "port"))
        #expect(
            configurationError { _ = try ClientHome(path: cluster.client("first")) }
                == .unsupportedFormat(path: client, found: 7, supported: 1))
    }
}
