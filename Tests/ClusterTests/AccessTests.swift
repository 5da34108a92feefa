// Clients come and go while servers run: rights, revocations, and lists that somebody tries to take back or to forge.

import ClusterFiles
import ErasureCode
import Foundation
import Glibc
import LoopbackPorts
import NIOPosix
import QuorumClient
import QuorumProtocol
import QuorumServer
import QuorumTransport
import QuorumWire
import Testing

extension Clusters {
    @Suite("Lists and rights", .serialized) struct Access {
        @Test(
            "a client that is added gets in, one that is revoked is cut off, without a restart", .timeLimit(.minutes(2))
        )
        func comesAndGoes() async throws {
            try await withCluster(clientNames: ["first", "second"]) { cluster in
                let home = try OperatorHome(clusterDirectory: cluster.directory)
                _ = try home.add(NewClient(name: "guest"))
                let added = try await cluster.reload()
                #expect(added.allSatisfy { $0.access == 2 && $0.complaints.isEmpty })
                let stored = try await cluster.withClient("guest") {
                    try await cluster.checkOperations($0, "guest", sizesBytes: [5, 64 << 10])
                }

                // Sessions that are open when the client is revoked, and stay open for the one that is not.
                let key = try ObjectKey("tests/settled")
                let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
                let revoked = try RawPeer(
                    cluster, NodeID(0), identity: cluster.clientHome("guest").identity, group: group)
                let other = try RawPeer(
                    cluster, NodeID(0), identity: cluster.clientHome("second").identity, group: group)
                for peer in [revoked, other] {
                    guard case .timestamp = try await peer.ask(.readTimestamp(key)) else {
                        Issue.record("a listed client is not served")
                        continue
                    }
                }
                let guest = try cluster.clientHome("guest")
                _ = try home.revoke("guest")
                let reports = try await cluster.reload()
                #expect(reports.allSatisfy { $0.access == 3 && $0.complaints.isEmpty })
                _ = try await revoked.waitForDisconnection()
                try await revoked.waitForRefusal(.unknownPeer)
                guard case .timestamp = try await other.ask(.readTimestamp(key)) else {
                    Issue.record("another client is not served any more")
                    return
                }
                #expect(other.disconnectionCount == 0)
                revoked.close()
                other.close()
                try await group.shutdownGracefully()

                // A client that goes by its old list is refused by every server.
                var options = ClientOptions()
                options.timeoutMilliseconds = 1500
                let client = try ObjectClient(home: guest, options: options)
                let error = await #expect(throws: ClientError.self) { _ = try await client.get(stored[0].key) }
                #expect(error?.description.contains("not listed") == true, "\(String(describing: error))")
                await client.close()
                // What it wrote is there.
                try await cluster.check(stored)
            }
        }

        @Test("a client may do what its rights on the bucket say, and no more", .timeLimit(.minutes(2)))
        func bucketRights() async throws {
            try await withCluster { cluster in
                let grants = try ["photos:read", "notes:write"].map { try #require(Grant($0)) }
                _ = try OperatorHome(clusterDirectory: cluster.directory).add(NewClient(name: "guest", grants: grants))
                _ = try await cluster.reload()
                let value = SharedBytes([1, 2, 3])
                let keys = try ["photos/a", "notes/a", "secret/a"].map { try ObjectKey($0) }
                try await cluster.withClient { client in
                    for key in keys { _ = try await client.put(key, value) }
                }
                try await cluster.withClient("guest") { guest in
                    #expect(try await guest.get(keys[0]).value == value)
                    #expect(try await guest.get(keys[1]).value == value, "a writer may read")
                    _ = try await guest.put(keys[1], value)
                    _ = try await guest.delete(keys[1])
                    let refused: [(String, () async throws -> Void)] = [
                        ("put", { _ = try await guest.put(keys[0], value) }),
                        ("delete", { _ = try await guest.delete(keys[0]) }),
                        ("get", { _ = try await guest.get(keys[2]) }),
                        ("head", { _ = try await guest.head(keys[2]) }),
                        ("put elsewhere", { _ = try await guest.put(keys[2], value) }),
                    ]
                    for (name, operation) in refused {
                        let error = await #expect(throws: ClientError.self) { try await operation() }
                        guard case .refused(_, let why)? = error else {
                            Issue.record("\(name): \(String(describing: error))")
                            continue
                        }
                        #expect("\(why)".contains("it takes the right"), "\(name): \(why)")
                    }
                }
                try await cluster.check([keys[0], keys[2]].map { StoredValue(key: $0, value: value) })
            }
        }

        @Test(
            "a list that was taken back is refused by a running server, and by one that starts", .timeLimit(.minutes(2))
        )
        func rollback() async throws {
            try await withCluster(clientNames: ["first", "second"]) { cluster in
                let path = cluster.directory + "/access.toml"
                let old = try File.text(path)
                let second = try cluster.clientHome("second")
                _ = try OperatorHome(clusterDirectory: cluster.directory).revoke("second")
                _ = try await cluster.reload()
                try File.write(path, Array(old.utf8))
                let reports = try await cluster.reload()
                for report in reports {
                    #expect(report.access == 2)
                    #expect(report.complaints.contains { $0.contains("do not roll back") }, "\(report)")
                }
                cluster.kill(NodeID(0))
                try await cluster.start(NodeID(0))
                #expect(cluster.log(NodeID(0)).contains("do not roll back"), "\(cluster.log(NodeID(0)))")
                let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
                for server in [NodeID(0), NodeID(1)] {
                    let peer = try RawPeer(cluster, server, identity: second.identity, group: group)
                    try await peer.waitForRefusal(.unknownPeer)
                    peer.close()
                }
                try await group.shutdownGracefully()
                try await cluster.withClient { try await cluster.checkOperations($0, "after", sizesBytes: [5]) }
            }
        }

        @Test("a list that somebody else than the operator has changed is refused", .timeLimit(.minutes(2)))
        func forged() async throws {
            try await withCluster { cluster in
                let grant = try #require(Grant("tests:read"))
                _ = try OperatorHome(clusterDirectory: cluster.directory).add(
                    NewClient(name: "guest", grants: [grant]))
                _ = try await cluster.reload()
                let guest = try cluster.clientHome("guest")
                let path = cluster.directory + "/access.toml"
                let signed = try File.text(path)
                let forgeries = [
                    signed.replacingOccurrences(of: "tests:read", with: "tests:read,write"),
                    signed.replacingOccurrences(of: "tests:read", with: "tests:read,write")
                        .replacingOccurrences(of: "version = 2", with: "version = 3"),
                    "format = 1",
                ]
                for forgery in forgeries {
                    try File.write(path, Array(forgery.utf8))
                    for report in try await cluster.reload() {
                        #expect(report.access == 2)
                        #expect(report.complaints.contains { $0.contains(path) }, "\(report)")
                    }
                }
                let result = try await cluster.run(["stat", "tests/a", "--cluster", cluster.directory])
                #expect(result.end == .exit(6), "\(result)")
                let client = try ObjectClient(home: guest)
                let key = try ObjectKey("tests/a")
                let error = await #expect(throws: ClientError.self) { _ = try await client.put(key, SharedBytes([1])) }
                guard case .refused? = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
                await client.close()
            }
        }

        @Test(
            "a list that one server has reaches the others by a client that knew nothing of it", .timeLimit(.minutes(2))
        )
        func spreads() async throws {
            try await withCluster(clientNames: ["first", "second"]) { cluster in
                let home = try cluster.clientHome()
                let second = try cluster.clientHome("second")
                _ = try OperatorHome(clusterDirectory: cluster.directory).revoke("second")
                #expect(try await cluster.reload([NodeID(2)]).map(\.access) == [2])
                let client = try ObjectClient(home: home)
                _ = try await client.put(try ObjectKey("tests/a"), SharedBytes([1]))
                for server in cluster.servers { try await cluster.waitForAccessList(2, at: server) }
                let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
                let peer = try RawPeer(cluster, NodeID(0), identity: second.identity, group: group)
                try await peer.waitForRefusal(.unknownPeer)
                peer.close()
                try await group.shutdownGracefully()
                _ = try await client.put(try ObjectKey("tests/a"), SharedBytes([2]))
                await client.close()
            }
        }

        @Test(
            "where servers read each other, a list that one has reaches the others without any client",
            .timeLimit(.minutes(2)))
        func spreadsAmongServers() async throws {
            try await withCluster(clientNames: ["first", "second"], change: { $0.mode = .lazy }) { cluster in
                _ = try OperatorHome(clusterDirectory: cluster.directory).revoke("second")
                #expect(try await cluster.reload([NodeID(2)]).map(\.access) == [2])
                for server in cluster.servers { try await cluster.waitForAccessList(2, at: server) }
            }
        }

        @Test(
            "a forged list that a client brings is refused and costs it the connection; an old one is ignored",
            .timeLimit(.minutes(2)))
        func brought() async throws {
            try await withCluster(clientNames: ["first", "second"]) { cluster in
                let first = AnySignedList.access(cluster.configuration.lists.access)
                let next = AnySignedList.access(try OperatorHome(clusterDirectory: cluster.directory).revoke("second"))
                let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
                let server = NodeID(1)
                let peer = try RawPeer(cluster, server, identity: cluster.clientHome().identity, group: group)
                func bring(_ bytes: [UInt8]) async throws {
                    try await peer.send(ListMessage.offer(bytes).encoded(request: 1).head)
                }
                let kept = "\(cluster.home(server))/lists/access.toml"
                var endings = 0
                for place in [40, next.bytes.count / 2, next.bytes.count - 1] {
                    var forged = next.bytes
                    forged[place] ^= 1
                    try await bring(forged)
                    endings += 1
                    let deadline = ContinuousClock.now + .seconds(TestCluster.patienceSeconds)
                    while peer.disconnectionCount < endings {
                        try #require(ContinuousClock.now < deadline, "a forger is not disconnected")
                        try await Task.sleep(for: .milliseconds(5))
                    }
                    #expect(try File.text(kept).contains("version = 1\n"))
                }
                try await bring(first.bytes)
                try await peer.settle()
                #expect(peer.disconnectionCount == endings)
                try await bring(next.bytes)
                try await cluster.waitForAccessList(2, at: server)
                try await bring(first.bytes)
                try await peer.settle()
                #expect(try File.text(kept).contains("version = 2\n"))
                peer.close()
                try await group.shutdownGracefully()
            }
        }

        @Test("a client finds a server that has moved, from what the other servers know", .timeLimit(.minutes(2)))
        func moved() async throws {
            try await withCluster { cluster in
                let home = try cluster.clientHome()
                let moved = NodeID(3)
                let port = try #require(try FreePorts.take(1).first)
                let path = cluster.directory + "/addresses.toml"
                let text = try File.text(path).replacingOccurrences(of: ":\(cluster.port(moved))\"", with: ":\(port)\"")
                try File.write(path, Array(text.utf8))
                #expect(try OperatorHome(clusterDirectory: cluster.directory).signEdited().map(\.version) == [2])
                #expect(try await cluster.reload().allSatisfy { $0.addresses == 2 })
                cluster.kill(moved)
                try cluster.launch(moved)
                while !Loopback.accepts(port: port) {
                    try #require(cluster.isAlive(moved), "\(cluster.log(moved))")
                    try await Task.sleep(for: .milliseconds(10))
                }
                let client = try ObjectClient(home: home)
                let key = try ObjectKey("tests/a")
                _ = try await client.put(key, SharedBytes([1]))
                // From now on each quorum takes the one that has moved.
                cluster.kill(NodeID(0))
                _ = try await client.put(key, SharedBytes([2]))
                #expect(try await client.get(key).value == SharedBytes([2]))
                await client.close()
            }
        }

        @Test(
            "the command line adds, lists and revokes, and says where a list is not in force", .timeLimit(.minutes(3)))
        func commands() async throws {
            try await withTemporaryDirectory { directory in
                let cluster = directory + "/cluster"
                func run(_ arguments: String...) async throws -> CommandResult {
                    try await Executable.run(arguments, in: directory)
                }
                let port = try FreePorts.takeConsecutive(4)
                #expect(try await run("cluster", "init", cluster, "--base-port", "\(port)").end == .exit(0))
                #expect(try await run("cluster", "up", cluster, "--detach").end == .exit(0))
                do {
                    let added = try await run("client", "add", cluster, "guest", "--grant", "photos:read")
                    #expect(added.end == .exit(0) && added.output.contains("in force at all 4 servers"), "\(added)")
                    let list = try await run("client", "list", cluster)
                    #expect(list.end == .exit(0) && list.output.contains("photos:read"), "\(list)")
                    #expect(try await run("mb", "photos", "--cluster", cluster).end == .exit(0))
                    try File.write(directory + "/value", [1, 2, 3])
                    let put = try await run(
                        "put", "photos/a", directory + "/value", "--cluster", cluster, "--client", "guest")
                    #expect(put.end == .exit(5) && put.output.contains("the right write"), "\(put)")

                    // A quorum is enough, fewer are not.
                    #expect(try await run("cluster", "down", cluster, "--server", "1").end == .exit(0))
                    let revoked = try await run("client", "revoke", cluster, "guest")
                    #expect(revoked.end == .exit(0), "\(revoked)")
                    #expect(revoked.output.contains("3 of 4 servers; could not reach server 1"), "\(revoked)")
                    #expect(try await run("client", "add", cluster, "guest").end != .exit(0), "its home is still there")
                    #expect(try await run("client", "add", cluster, "other").end == .exit(0))
                    #expect(try await run("cluster", "down", cluster, "--server", "2").end == .exit(0))
                    let late = try await run("client", "revoke", cluster, "other")
                    #expect(late.end == .exit(4) && late.output.contains("2 of 4 servers"), "\(late)")
                    #expect(try await run("cluster", "reload", cluster).end == .exit(4))
                    #expect(
                        try await run("cluster", "up", cluster, "--detach", "--server", "1", "--server", "2").end
                            == .exit(0))
                    let reloaded = try await run("cluster", "reload", cluster)
                    #expect(reloaded.end == .exit(0) && reloaded.output.contains("all 4 servers"), "\(reloaded)")

                    // By hand, and without the key.
                    let text = try File.text(cluster + "/addresses.toml")
                    try File.write(cluster + "/addresses.toml", Array((text + "# remark\n").utf8))
                    let unchanged = try await run("cluster", "sign", cluster)
                    #expect(unchanged.end == .exit(0) && unchanged.output.contains("no list"), "\(unchanged)")
                    File.remove(cluster + "/operator/key.pem")
                    let without = try await run("client", "revoke", cluster, "first")
                    #expect(without.end == .exit(6) && without.output.contains("operator/key.pem"), "\(without)")
                } catch {
                    Issue.record(error)
                }
                #expect(try await run("cluster", "down", cluster).end == .exit(0))
            }
        }
    }
}

extension TestCluster {
    /// Has servers look for newer lists, all when none is named, and returns what they report, in order.
    func reload(_ chosen: [NodeID]? = nil) async throws -> [ListReport] {
        let servers = chosen ?? self.servers
        for server in servers {
            File.remove("\(home(server))/lists.json")
            process(server)?.signal(SIGHUP)
        }
        var reports: [ListReport] = []
        for server in servers {
            let deadline = ContinuousClock.now + .seconds(Self.patienceSeconds)
            var report: ListReport?
            while report == nil {
                if let data = FileManager.default.contents(atPath: "\(home(server))/lists.json") {
                    let decoder = JSONDecoder()
                    decoder.keyDecodingStrategy = .convertFromSnakeCase
                    report = try decoder.decode(ListReport.self, from: data)
                }
                guard ContinuousClock.now < deadline else { throw RawPeer.NoAnswer(what: "\(server)'s report") }
                try await Task.sleep(for: .milliseconds(5))
            }
            reports += report.map { [$0] } ?? []
        }
        return reports
    }
}

extension TestCluster {
    /// Returns once a server keeps this version of the access list.
    func waitForAccessList(_ version: Int, at server: NodeID) async throws {
        let deadline = ContinuousClock.now + .seconds(Self.patienceSeconds)
        while try !File.text("\(home(server))/lists/access.toml").contains("version = \(version)\n") {
            guard ContinuousClock.now < deadline else { throw RawPeer.NoAnswer(what: "\(server)'s list \(version)") }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}

extension RawPeer {
    /// Returns once the server has refused a connection for this reason.
    func waitForRefusal(_ reason: ConnectionRefusal) async throws {
        let deadline = ContinuousClock.now + .seconds(TestCluster.patienceSeconds)
        while true {
            for case .refused(_, reason) in disconnections { return }
            guard ContinuousClock.now < deadline else { throw NoAnswer(what: "\(reason)") }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}
