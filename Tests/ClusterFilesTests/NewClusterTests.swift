// Making a cluster: what lies on the disk afterwards, and after a failure.

import ClusterFiles
import Foundation
import Testing

@Suite struct NewClusterTests {
    @Test("Private keys are readable by their owner only, and so are the directories")
    func modes() throws {
        let cluster = try TemporaryCluster { _ in }
        for home in (0..<4).map(cluster.server) + [cluster.client("first")] {
            #expect(try mode(home) == 0o700)
            #expect(try mode(home + "/key.pem") == 0o600)
        }
        for index in 0..<4 { #expect(try mode(cluster.server(index) + "/statement-key.pem") == 0o600) }
        #expect(try mode(cluster.directory + "/operator/key.pem") == 0o600)
        for directory in ["", "/servers", "/clients", "/operator"] {
            #expect(try mode(cluster.directory + directory) == 0o700)
        }
    }

    @Test("A directory with anything in it is refused and left alone")
    func refusesNonEmpty() throws {
        let cluster = try TemporaryCluster()
        try FileManager.default.createDirectory(atPath: cluster.directory, withIntermediateDirectories: true)
        try "mine".write(toFile: cluster.directory + "/note", atomically: true, encoding: .utf8)
        let error = configurationError {
            try NewCluster().write(to: cluster.directory, makeStore: makeEmptyDirectory)
        }
        #expect(error == .directoryNotEmpty(path: cluster.directory))
        #expect(try FileManager.default.contentsOfDirectory(atPath: cluster.directory) == ["note"])
    }

    @Test("An empty directory that exists is taken, with the parents that do not exist")
    func takesEmptyDirectory() throws {
        let cluster = try TemporaryCluster()
        try FileManager.default.createDirectory(atPath: cluster.directory, withIntermediateDirectories: true)
        try NewCluster().write(to: cluster.directory + "/", makeStore: makeEmptyDirectory)
        #expect(try ClientHome(clusterDirectory: cluster.directory).name == "first")
        let deep = cluster.parent + "/a/b/c"
        try NewCluster().write(to: deep, makeStore: makeEmptyDirectory)
        #expect(try ServerHome(path: deep + "/servers/0").node.rawValue == 0)
    }

    @Test("When a store cannot be made, nothing is left", arguments: [false, true])
    func cleansUp(existedBefore: Bool) throws {
        struct NoStore: Error, CustomStringConvertible { let description = "no store today" }
        let cluster = try TemporaryCluster()
        if existedBefore {
            try FileManager.default.createDirectory(atPath: cluster.directory, withIntermediateDirectories: true)
        }
        let error = configurationError {
            try NewCluster().write(to: cluster.directory) { store in
                guard store.node.rawValue < 2 else { throw NoStore() }
                try makeEmptyDirectory(store)
            }
        }
        #expect(error == .cannotWrite(path: cluster.server(2) + "/store", reason: "no store today"))
        #expect(FileManager.default.fileExists(atPath: cluster.directory) == existedBefore)
        if existedBefore {
            #expect(try FileManager.default.contentsOfDirectory(atPath: cluster.directory).isEmpty)
        }
    }

    @Test("Until the last store is made there is nothing of it in its place")
    func appearsAtOnce() throws {
        let cluster = try TemporaryCluster()
        try NewCluster().write(to: cluster.directory) { store in
            #expect(!FileManager.default.fileExists(atPath: cluster.directory))
            try makeEmptyDirectory(store)
        }
        #expect(FileManager.default.fileExists(atPath: cluster.clusterFile))
        #expect(try FileManager.default.contentsOfDirectory(atPath: cluster.parent) == ["cluster"])
    }

    @Test("What an interrupted attempt has left is cleared away by the next", arguments: [false, true])
    func recovers(existedBefore: Bool) throws {
        let cluster = try TemporaryCluster()
        let staging =
            existedBefore ? cluster.directory + "/.solidus-init" : cluster.parent + "/.cluster.solidus-init"
        try FileManager.default.createDirectory(atPath: staging + "/servers/0", withIntermediateDirectories: true)
        try "half".write(toFile: staging + "/servers/0/key.pem", atomically: false, encoding: .utf8)
        if existedBefore {
            // It was moving entries up when it ended.
            try FileManager.default.createDirectory(
                atPath: cluster.directory + "/operator", withIntermediateDirectories: true)
        }
        try NewCluster().write(to: cluster.directory, makeStore: makeEmptyDirectory)
        #expect(try ServerHome(path: cluster.server(0)).node.rawValue == 0)
        #expect(!FileManager.default.fileExists(atPath: staging))
    }

    @Test("While one attempt is under way another is refused")
    func oneAtATime() throws {
        let cluster = try TemporaryCluster()
        try NewCluster().write(to: cluster.directory) { store in
            let error = configurationError {
                try NewCluster().write(to: cluster.directory, makeStore: makeEmptyDirectory)
            }
            guard case .cannotWrite(cluster.directory, _)? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            try makeEmptyDirectory(store)
        }
        #expect(try ServerHome(path: cluster.server(3)).node.rawValue == 3)
    }

    @Test("A client whose addition was interrupted after it was listed is completed by the next attempt")
    func completesClient() throws {
        let cluster = try TemporaryCluster { _ in }
        let client = NewClient(name: "second")
        let list = try OperatorHome(clusterDirectory: cluster.directory).add(client)
        try FileManager.default.moveItem(
            atPath: cluster.client("second"), toPath: cluster.directory + "/clients/.second.new")
        let again = try OperatorHome(clusterDirectory: cluster.directory).add(client)
        #expect(again.version == list.version)
        #expect(try ClientHome(clusterDirectory: cluster.directory, client: "second").name == "second")
        let error = configurationError {
            _ = try OperatorHome(clusterDirectory: cluster.directory).add(client)
        }
        guard case .invalidClient? = error else {
            Issue.record("a client was added twice")
            return
        }
    }

    @Test(
        "Numbers that make no cluster are refused before anything is written",
        arguments: [
            { $0.faults = -1 }, { $0.faults = 85 }, { $0.dataFragmentCount = 1 }, { $0.dataFragmentCount = .max },
            { $0.basePort = 0 }, { $0.basePort = 65533 }, { $0.basePort = .max }, { $0.host = "" },
            { $0.host = "two words" }, { $0.ports = [7400] }, { $0.hosts = ["127.0.0.1"] },
            { $0.ports = [1, 2, 3, 3] },
            { $0.clientNames = ["../x"] }, { $0.clientNames = ["a", "a"] }, { $0.stripeSizeBytesMax = 1 },
        ] as [@Sendable (inout NewCluster) -> Void])
    func refusesNumbers(edit: @Sendable (inout NewCluster) -> Void) throws {
        let cluster = try TemporaryCluster()
        var new = NewCluster()
        edit(&new)
        guard
            case .invalidParameters? = configurationError({
                try new.write(to: cluster.directory, makeStore: makeEmptyDirectory)
            })
        else {
            Issue.record("these numbers passed")
            return
        }
        #expect(!FileManager.default.fileExists(atPath: cluster.directory))
    }

    @Test("Two clusters share nothing: ids, pins and keys are all their own")
    func unique() throws {
        let clusters = try [TemporaryCluster { _ in }, TemporaryCluster { _ in }]
        let both = try clusters.map { try ClusterDescription(contentsOf: $0.clusterFile) }
        #expect(both.allSatisfy { Set($0.servers.map(\.pin.digest) + $0.clients.map(\.pin)).count == 5 })
        #expect(both[0].configuration.operatorKey != both[1].configuration.operatorKey)
        #expect(both[0].parameters.configuration.cluster != both[1].parameters.configuration.cluster)
        #expect(both[0].clients[0].id != both[1].clients[0].id)
        #expect(Set(both.flatMap { $0.servers.map(\.pin) }).count == 8)
    }
}
