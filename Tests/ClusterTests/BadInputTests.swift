// Wrong files, wrong keys, wrong clocks, taken ports, full and unreadable disks: an error for people that names what
// and where, and no harm done.

import ClusterFiles
import Crypto
import Foundation
import Glibc
import Logging
import LoopbackPorts
import NIOCore
import NIOPosix
import ObjectStorage
import QuorumClient
import QuorumOperations
import QuorumProtocol
import QuorumServer
import QuorumTransport
import StorageSimulator
import Synchronization
import Testing

extension Clusters {
    @Suite("A server that cannot start", .serialized) struct CannotStart {
        @Test("without its home it names the missing file", .timeLimit(.minutes(1)))
        func missingHome() async throws {
            try await withTemporaryDirectory { directory in
                let home = directory + "/servers/0"
                let result = try await Executable.run(["serve", "--home", home], in: directory)
                #expect(result.end == .exit(6))
                #expect(result.output.contains(home), "\(result.output)")
            }
        }

        @Test(
            "with a cluster.toml that is garbage it names the file",
            .timeLimit(.minutes(1)), arguments: ["\0\u{1}garbage", "format = ", "format = 99", "[cluster", ""])
        func garbageConfiguration(_ text: String) async throws {
            try await withCluster(starts: false) { cluster in
                let file = cluster.directory + "/cluster.toml"
                try File.write(file, Array(text.utf8))
                for arguments in [
                    ["serve", "--home", cluster.home(NodeID(0))], ["stat", "a/b", "--cluster", cluster.directory],
                ] {
                    let result = try await cluster.run(arguments)
                    #expect(result.end == .exit(6), "\(result)")
                    #expect(result.output.contains("cluster.toml"), "\(result.output)")
                }
            }
        }

        @Test(
            "without a file of its home it names the file", .timeLimit(.minutes(1)),
            arguments: [
                ("server.toml", 6), ("key.pem", 6), ("certificate.pem", 6), ("statement-key.pem", 6),
                ("store/store", 6),
                ("store/journal", 7),
            ] as [(String, Int32)])
        func missingFile(_ name: String, _ code: Int32) async throws {
            try await withCluster(starts: false) { cluster in
                let home = cluster.home(NodeID(2))
                File.remove("\(home)/\(name)")
                let result = try await cluster.run(["serve", "--home", home])
                #expect(result.end == .exit(code), "\(result)")
                #expect(result.output.contains(name.split(separator: "/")[0]), "\(result.output)")
            }
        }

        @Test(
            "with another cluster's keys it says that they are another's", .timeLimit(.minutes(1)),
            arguments: [["key.pem", "certificate.pem"], ["statement-key.pem"], ["key.pem"]])
        func foreignKeys(_ names: [String]) async throws {
            try await withCluster(starts: false) { cluster in
                try await withCluster(starts: false) { other in
                    let home = cluster.home(NodeID(1))
                    for name in names {
                        try File.write("\(home)/\(name)", File.read("\(other.home(NodeID(1)))/\(name)"))
                    }
                    let result = try await cluster.run(["serve", "--home", home])
                    #expect(result.end == .exit(6), "\(result)")
                    #expect(result.output.contains(names.last!), "\(result.output)")
                }
            }
        }

        @Test("with another server's store it does not start", .timeLimit(.minutes(1)))
        func foreignStoreFiles() async throws {
            try await withCluster(starts: false) { cluster in
                let (own, other) = (cluster.home(NodeID(0)), cluster.home(NodeID(1)))
                File.remove(own + "/store/journal")
                try FileManager.default.copyItem(atPath: other + "/store/journal", toPath: own + "/store/journal")
                let result = try await cluster.run(["serve", "--home", own])
                #expect(result.end == .exit(6), "\(result)")
                #expect(result.output.contains("belongs to another store"), "\(result.output)")
            }
        }

        @Test("on a port in use it names the address", .timeLimit(.minutes(1)))
        func portInUse() async throws {
            try await withCluster(starts: false) { cluster in
                let server = NodeID(0)
                let socket = try #require(Loopback.listen(port: cluster.port(server)))
                defer { close(socket) }
                let result = try await cluster.run(["serve", "--home", cluster.home(server)])
                #expect(result.end == .exit(7), "\(result)")
                #expect(result.output.contains("127.0.0.1:\(cluster.port(server))"), "\(result.output)")
                #expect(result.output.contains("another process uses this port"), "\(result.output)")
            }
        }

        @Test("on a store in use it says so, and the first server goes on", .timeLimit(.minutes(2)))
        func storeInUse() async throws {
            try await withCluster { cluster in
                let server = NodeID(2)
                let result = try await cluster.run(["serve", "--home", cluster.home(server)])
                #expect(result.end == .exit(7), "\(result)")
                #expect(result.output.contains("in use by another process"), "\(result.output)")
                #expect(cluster.isAlive(server))
                cluster.kill(NodeID(3))
                try await cluster.withClient { client in
                    try await cluster.checkOperations(client, "store-in-use", sizesBytes: [5, 64 << 10])
                }
            }
        }

        @Test(
            "on a store whose files are directories, empty or foreign it ends with an error",
            .timeLimit(.minutes(1)),
            arguments: ["store/store", "store/journal/0000000000000001.segment"])
        func unreadableStore(_ name: String) async throws {
            try await withCluster(starts: false) { cluster in
                let home = cluster.home(NodeID(0))
                let path = "\(home)/\(name)"
                for replacement in ["directory", "empty", "text"] {
                    File.remove(path)
                    switch replacement {
                    case "directory":
                        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
                    case "empty": try File.write(path, [])
                    default: try File.write(path, Array("this is no store".utf8))
                    }
                    let result = try await cluster.run(["serve", "--home", home])
                    guard case .exit(let code) = result.end, [6, 7].contains(code) else {
                        Issue.record("\(replacement): \(result)")
                        continue
                    }
                    #expect(result.output.contains("\(home)/store"), "\(replacement): \(result.output)")
                }
            }
        }
    }

    @Suite("A damaged index", .serialized) struct DamagedIndex {
        @Test("is made anew from the journal, and the server serves and says so", .timeLimit(.minutes(2)))
        func madeAnew() async throws {
            try await withCluster { cluster in
                let server = NodeID(0)
                let stored = try await cluster.withClient {
                    try await cluster.checkOperations($0, "before", sizesBytes: [5, 64 << 10])
                }
                for replacement in ["", "this is no index"] {
                    #expect(try await cluster.terminate(server) == .exit(0))
                    let path = "\(cluster.home(server))/store/index/CURRENT"
                    File.remove(path)
                    try File.write(path, Array(replacement.utf8))
                    try await cluster.start(server)
                    #expect(cluster.log(server).contains("made again from the journal"), "\(cluster.log(server))")
                    cluster.kill(NodeID(3))
                    try await cluster.withClient { try await cluster.check(stored, $0) }
                    try await cluster.start(NodeID(3))
                }
            }
        }
    }

    @Suite("Wrong identities", .serialized) struct WrongIdentities {
        @Test("a client of another cluster is refused by every server, and told so", .timeLimit(.minutes(2)))
        func foreignClient() async throws {
            try await withCluster { cluster in
                let stored = try await cluster.withClient {
                    try await cluster.checkOperations($0, "own", sizesBytes: [5])
                }
                try await withCluster(starts: false) { other in
                    // Another cluster's client with this cluster's addresses and pins.
                    try Self.mix(servers: cluster, into: other)
                    try await other.withClient(timeoutMilliseconds: 1500) { client in
                        let error = await #expect(throws: ClientError.self) { _ = try await client.get(stored[0].key) }
                        guard case .unavailable? = error else {
                            Issue.record("\(String(describing: error))")
                            return
                        }
                        #expect(error!.description.contains("not listed in the cluster's configuration"), "\(error!)")
                    }
                    let result = try await other.run(
                        ["get", "\(stored[0].key)", "-", "--cluster", other.directory, "--timeout", "2"])
                    #expect(result.end == .exit(4))
                    #expect(result.output.contains("not listed in the cluster's configuration"), "\(result.output)")
                }
                try await cluster.withClient { try await cluster.check(stored, $0) }
            }
        }

        /// Has a cluster's directory name another one's servers, and its own clients, as if the other's operator had
        /// listed them.
        private static func mix(servers: TestCluster, into clients: TestCluster) throws {
            let key = try P256.Signing.PrivateKey(
                pemRepresentation: File.text(servers.directory + "/operator/key.pem"))
            let access = try SignedList(
                AccessList(clients.configuration.clients),
                cluster: servers.configuration.parameters.configuration.cluster, version: 9, signedBy: key)
            for name in ["cluster.toml", "addresses.toml", "keys.toml"] {
                try File.write("\(clients.directory)/\(name)", File.read("\(servers.directory)/\(name)"))
            }
            try File.write(clients.directory + "/access.toml", Array(access.toml().utf8))
        }

        @Test("a client home with another cluster's key is refused before anything is sent", .timeLimit(.minutes(1)))
        func foreignClientHome() async throws {
            try await withCluster(starts: false) { cluster in
                try await withCluster(starts: false) { other in
                    for name in ["key.pem", "certificate.pem"] {
                        try File.write(
                            "\(cluster.directory)/clients/first/\(name)",
                            File.read("\(other.directory)/clients/first/\(name)"))
                    }
                    let result = try await cluster.run(["stat", "a/b", "--cluster", cluster.directory])
                    #expect(result.end == .exit(6), "\(result)")
                    #expect(result.output.contains("certificate.pem"), "\(result.output)")
                }
            }
        }

        @Test(
            "an expired client certificate is named here, and refused by a server all the same",
            .timeLimit(.minutes(2)))
        func expiredClient() async throws {
            try await withCluster(starts: false) { cluster in
                let expired = try ExpiredIdentity("client")
                try expired.replace(
                    cluster.directory + "/clients/first", pin: cluster.configuration.clients[0].pin,
                    in: cluster)
                try await cluster.startAll()
                let error = #expect(throws: ConfigurationError.self) { try cluster.clientHome() }
                guard case .certificateExpired? = error else {
                    Issue.record("\(String(describing: error))")
                    return
                }
                let result = try await cluster.run(["stat", "a/b", "--cluster", cluster.directory])
                #expect(result.end == .exit(6), "\(result)")
                #expect(result.output.contains("clients/first/certificate.pem"), "\(result.output)")
                #expect(result.output.contains("expired"), "\(result.output)")

                let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
                let peer = try RawPeer(cluster, NodeID(0), identity: expired.identity, group: group)
                let refusal = try await peer.waitForDisconnection()
                peer.close()
                try await group.shutdownGracefully()
                guard case .refused(_, .certificateExpired) = refusal else {
                    Issue.record("\(refusal)")
                    return
                }
                #expect(cluster.isAlive(NodeID(0)))
            }
        }

        @Test(
            "a server with an expired certificate does not start, and is not believed if it does",
            .timeLimit(.minutes(2)))
        func expiredServer() async throws {
            try await withCluster(starts: false) { cluster in
                let server = NodeID(0)
                let expired = try ExpiredIdentity("server")
                try expired.replace(
                    cluster.home(server), pin: cluster.configuration.servers[0].pin,
                    in: cluster)
                let result = try await cluster.run(["serve", "--home", cluster.home(server)])
                #expect(result.end == .exit(6), "\(result)")
                #expect(result.output.contains("servers/0/certificate.pem"), "\(result.output)")
                #expect(result.output.contains("expired"), "\(result.output)")

                for other in cluster.servers.dropFirst() { try await cluster.start(other) }
                let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
                let recorder = Recorder()
                let endpoint = try await ServerEndpoint.start(
                    ServerEndpointConfiguration(
                        host: "127.0.0.1", port: cluster.port(server), scope: cluster.configuration.scope,
                        peers: cluster.configuration.peers,
                        limits: ConnectionLimits(cluster.configuration.parameters)),
                    identity: expired.identity, delegate: recorder, group: group, logger: .silent)
                do {
                    try await cluster.withClient(timeoutMilliseconds: 4000) { client in
                        try await cluster.checkOperations(client, "expired-server", sizesBytes: [0, 5, 64 << 10])
                        cluster.kill(NodeID(1))
                        let error = await #expect(throws: ClientError.self) {
                            _ = try await client.get(try ObjectKey("tests/expired-server/5"))
                        }
                        #expect(error?.description.contains("expired") ?? false, "\(String(describing: error))")
                    }
                    #expect(recorder.frameCount == 0, "a client spoke to a server with an expired certificate")
                } catch {
                    Issue.record(error)
                }
                await endpoint.shutdown(grace: .milliseconds(100))
                try await group.shutdownGracefully()
            }
        }
    }

    @Suite("A full disk", .serialized) struct FullDisk {
        @Test(
            "writes are refused with the reason, reads go on, and with space everything works again",
            .timeLimit(.minutes(2)))
        func full() async throws {
            var storage = StorageOptions()
            storage.segmentSizeBytes = 256 << 10
            try await withCluster(starts: false, storage: storage) { cluster in
                // In this process, so that the disks can be said to be full, and to fail.
                let (isFull, fails, log) = (Flags(), Flags(), RecordedLog())
                var servers: [Server] = []
                for server in cluster.servers {
                    var configuration = ServerConfiguration(home: try ServerHome(path: cluster.home(server)))
                    configuration.storage = storage
                    let number = Int(server.rawValue)
                    configuration.storage.system.files = AlteredFiles(
                        freeBytes: { _ in isFull.isRaised(number) ? 1 << 20 : 1 << 40 },
                        syncFailure: { path in
                            fails.isRaised(number) ? .io(path: path, operation: "fdatasync", errno: EIO) : nil
                        })
                    servers.append(
                        try await Server.start(configuration, logger: number == 2 ? log.logger : .silent))
                }
                do {
                    try await cluster.withClient { client in
                        let stored = try await cluster.checkOperations(client, "before")
                        isFull.raise(2)
                        try await cluster.check(stored, client)
                        let during = try await cluster.checkOperations(client, "one-full")
                        // The last bit of room takes small values, and no large ones.
                        for number in 0..<10 {
                            for size in [1 << 20, 5] {
                                _ = try await client.put(
                                    try ObjectKey("tests/turns/\(size)"), SeededBytes.make("\(number)", size))
                            }
                        }
                        isFull.raise(0)
                        try await cluster.check(stored + during, client)
                        #expect(try await hasStatus(cluster, ["FULL", "works", "FULL", "works"]))
                        await expectStorageFull(client, at: [0, 2])
                        let file = cluster.directory + "/value"
                        try File.write(file, stored[4].value.array)
                        try await cluster.makeBucket("tests")
                        let result = try await cluster.run(
                            ["put", "tests/full", file, "--cluster", cluster.directory])
                        #expect(result.end == .exit(5) && result.output.contains("disk is full"), "\(result)")
                        try await cluster.check(stored + during, client)
                        isFull.lowerAll()
                        try await cluster.check(stored + during, client)
                        try await cluster.checkOperations(client, "space-again")
                        // Servers that a write did not wait for may have it still before them.
                        for number in 0..<200 where log.count("stored again") == 0 {
                            _ = try await client.put(
                                try ObjectKey("tests/again"), SeededBytes.make("\(number)", 64 << 10))
                        }
                        #expect(log.count("cannot be stored") == 1 && log.count("stored again") == 1, "\(log.lines)")
                        fails.raise(1)
                        var isTold = false
                        for number in 0..<100 where !isTold {
                            _ = try await client.put(try ObjectKey("tests/fails"), SeededBytes.make("\(number)", 5))
                            isTold = try await hasStatus(cluster, ["works", "READ-ONLY", "works", "works"])
                        }
                        #expect(isTold, "a server that cannot write is not told to be READ-ONLY")
                    }
                } catch {
                    Issue.record(error)
                }
                for server in servers { await server.shutdown() }
            }
        }

        /// Whether `solidus status` tells of each server so, in their order.
        private func hasStatus(_ cluster: TestCluster, _ states: [String]) async throws -> Bool {
            let lines = try await cluster.run(["status", cluster.directory]).output.split(separator: "\n")
            return states.enumerated().allSatisfy { server, state in
                lines.contains { $0.hasPrefix("server \(server) ") && $0.contains("  \(state)") }
            }
        }

        private func expectStorageFull(_ client: ObjectClient, at servers: [UInt8]) async {
            do throws(ClientError) {
                // Larger than what is left of any segment.
                _ = try await client.put(
                    try! ObjectKey("tests/refused"), SeededBytes.make("refused", 1 << 20))
                Issue.record("a write succeeded on full disks")
            } catch {
                guard case .refused(_, let failure) = error else {
                    Issue.record("\(error)")
                    return
                }
                #expect(failure.observations.refusing.map { UInt8($0.server.rawValue) } == servers)
                #expect(failure.observations.refusing.allSatisfy { $0.why == .storageFull })
            }
        }
    }
}

/// A key with a certificate whose time is over.
struct ExpiredIdentity {
    let generated: GeneratedIdentity
    let identity: TransportIdentity

    init(_ name: String) throws {
        let now = Date()
        generated = try GeneratedIdentity(
            commonName: name, validFrom: now.addingTimeInterval(-7200), validUntil: now.addingTimeInterval(-3600))
        identity = try TransportIdentity(
            privateKeyPEM: generated.privateKeyPEM, certificatePEM: generated.certificatePEM,
            now: Int64(now.timeIntervalSince1970) - 5000)
    }

    /// Puts key and certificate in the place of a home's, in the cluster's lists as well.
    func replace(_ home: String, pin: some CustomStringConvertible, in cluster: TestCluster) throws {
        try File.write(home + "/key.pem", Array(generated.privateKeyPEM.utf8))
        try File.write(home + "/certificate.pem", Array(generated.certificatePEM.utf8))
        for list in ["addresses.toml", "access.toml"] {
            let path = "\(cluster.directory)/\(list)"
            let text = try File.text(path).replacingOccurrences(of: "\(pin)", with: "\(generated.pin)")
            try File.write(path, Array(text.utf8))
        }
        #expect(try OperatorHome(clusterDirectory: cluster.directory).signEdited().count == 1)
    }
}

/// Something that is or is not so of each server.
final class Flags: Sendable {
    private let raised = Mutex<Set<Int>>([])

    func isRaised(_ number: Int) -> Bool { raised.withLock { $0.contains(number) } }
    func raise(_ number: Int) { raised.withLock { _ = $0.insert(number) } }
    func lowerAll() { raised.withLock { $0 = [] } }
}

/// A log's lines, for tests that count them.
final class RecordedLog: TextOutputStream, Sendable {
    private let written = Mutex<[String]>([])

    var lines: [String] { written.withLock { $0 } }
    var logger: Logger { Logger(label: "recorded") { StreamLogHandler(label: $0, stream: self) } }

    func write(_ string: String) { written.withLock { $0.append(string) } }
    func count(_ text: String) -> Int { lines.count { $0.contains(text) } }
}
