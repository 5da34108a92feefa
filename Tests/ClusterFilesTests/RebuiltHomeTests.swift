// The home of a server that begins anew: which key it gets, and when it gets none.

import ClusterFiles
import Crypto
import Foundation
import QuorumProtocol
import Testing

@Suite("A home whose store is lost")
struct RebuiltHomeTests {
    private func rebuilt(
        _ cluster: TemporaryCluster, _ index: Int = 1, begun life: UInt64? = nil, hasPromisedNothing: Bool = false
    ) throws -> RebuiltHome {
        try RebuiltHome(
            path: cluster.server(index), begunLife: life.map(Incarnation.init), hasPromisedNothing: hasPromisedNothing)
    }

    private func keyFile(_ cluster: TemporaryCluster) throws -> String {
        try String(contentsOfFile: cluster.server(1) + "/statement-key.pem", encoding: .utf8)
    }

    /// As `solidus server rebuild` leaves it.
    private func mark(_ rebuilt: RebuiltHome) throws {
        try Data("{}".utf8).write(to: URL(fileURLWithPath: rebuilt.rebuildFile))
    }

    @Test("gets a key of the next life, which only its owner may read, and says how to list it")
    func nextLife() throws {
        let cluster = try TemporaryCluster { _ in }
        let before = try keyFile(cluster)
        let home = try rebuilt(cluster)
        #expect(home.entry.node == NodeID(1) && home.entry.incarnation == Incarnation(2) && !home.isListed)
        #expect(home.storeDirectory == cluster.server(1) + "/store" && home.clusterDirectory == cluster.directory)
        let after = try keyFile(cluster)
        let permissions = try mode(cluster.server(1) + "/statement-key.pem")
        #expect(after != before && permissions == 0o600)
        let key = try P256.Signing.PrivateKey(pemRepresentation: after)
        #expect(home.entry.keyBytes == Array(key.publicKey.x963Representation))
        #expect(home.listLines.first == "[[keys]]" && home.listLines.contains("incarnation = 2"))
        // Nobody lists it yet: the server does not start.
        guard case .foreignStatementKey? = configurationError({ _ = try ServerHome(path: cluster.server(1)) }) else {
            Issue.record("a key that is not listed passed")
            return
        }
    }

    @Test("is listed by its lines, or by the operator's key, once")
    func listed() throws {
        let cluster = try TemporaryCluster { _ in }
        let home = try rebuilt(cluster)
        #expect(OperatorHome.isThere(clusterDirectory: cluster.directory))
        let list = try OperatorHome(clusterDirectory: cluster.directory).add(home.entry)
        #expect(list.version == 2 && list.contents.keys.contains(home.entry))
        let again = try OperatorHome(clusterDirectory: cluster.directory).add(home.entry)
        #expect(again.version == 2 && again.contents.keys == list.contents.keys)
        let server = try ServerHome(path: cluster.server(1))
        #expect(Array(server.statementKey.publicKey.x963Representation) == home.entry.keyBytes)
        // Another key of the same life is none.
        let other = KeyEntry(
            node: NodeID(1), incarnation: Incarnation(2), key: P256.Signing.PrivateKey().publicKey)
        #expect(throws: ConfigurationError.self) {
            _ = try OperatorHome(clusterDirectory: cluster.directory).add(other)
        }
        // The next store after that one is of the next life.
        #expect(try rebuilt(cluster).entry.incarnation == Incarnation(3))
    }

    @Test("that was begun keeps its key, whether the operator has listed it or not")
    func repeated() throws {
        let cluster = try TemporaryCluster { _ in }
        let home = try rebuilt(cluster)
        try mark(home)
        let key = try keyFile(cluster)
        let second = try rebuilt(cluster, begun: 2)
        #expect(second.entry == home.entry && !second.isListed)
        _ = try OperatorHome(clusterDirectory: cluster.directory).add(home.entry)
        let third = try rebuilt(cluster, begun: 2)
        #expect(third.entry == home.entry && third.isListed)
        #expect(try keyFile(cluster) == key)
    }

    /// A store that is no begun one.
    enum Store: CaseIterable {
        case inUse
        case unmarked
        case outlived
        case ofNobody
    }

    @Test("is left alone when there is a store that says something", arguments: Store.allCases)
    func inTheWay(store: Store) throws {
        let cluster = try TemporaryCluster { _ in }
        var life: UInt64 = 1
        switch store {
        case .inUse: break
        case .unmarked:
            _ = try OperatorHome(clusterDirectory: cluster.directory).add(rebuilt(cluster).entry)
            life = 2
        case .outlived:
            let home = try rebuilt(cluster)
            try mark(home)
            _ = try OperatorHome(clusterDirectory: cluster.directory).add(home.entry)
        case .ofNobody:
            try mark(rebuilt(cluster))
            life = 3
        }
        let key = try keyFile(cluster)
        let keys = try String(contentsOfFile: cluster.keysFile, encoding: .utf8)
        guard
            case .storeInTheWay(cluster.server(1) + "/store")? = configurationError({
                _ = try rebuilt(cluster, begun: life)
            })
        else {
            Issue.record("a store of life \(life) passed")
            return
        }
        #expect(try keyFile(cluster) == key)
        #expect(try String(contentsOfFile: cluster.keysFile, encoding: .utf8) == keys)
    }

    @Test("is cleared of what is no store, unless that may have been one that has said something")
    func unfinished() throws {
        let cluster = try TemporaryCluster { _ in }
        let store = cluster.server(1) + "/store"
        try? FileManager.default.removeItem(atPath: store)
        try FileManager.default.createDirectory(atPath: store + "/journal", withIntermediateDirectories: true)
        let key = try keyFile(cluster)
        guard case .storeInTheWay(store)? = configurationError({ _ = try rebuilt(cluster) }) else {
            Issue.record("what lies there passed")
            return
        }
        #expect(try keyFile(cluster) == key)
        #expect(FileManager.default.fileExists(atPath: store + "/journal"))
        let home = try rebuilt(cluster, hasPromisedNothing: true)
        #expect(home.entry.incarnation == Incarnation(2))
        #expect(try FileManager.default.contentsOfDirectory(atPath: store).isEmpty)
    }

    @Test("must be one of the cluster's")
    func noServer() throws {
        let cluster = try TemporaryCluster { _ in }
        guard case .fileMissing? = configurationError({ _ = try rebuilt(cluster, 9) }) else {
            Issue.record("a home that is not there passed")
            return
        }
        let key = try keyFile(cluster)
        for number in ["7", "70000", "-1"] {
            try cluster.edit(cluster.server(1) + "/server.toml") {
                $0.replacing(/number = -?[0-9]+/, with: "number = \(number)")
            }
            #expect(throws: ConfigurationError.self) { _ = try rebuilt(cluster) }
        }
        #expect(try keyFile(cluster) == key)
    }
}
