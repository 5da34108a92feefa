// Servers that lose their store, and what an operator does about it.

import ErasureCode
import Foundation
import Glibc
import QuorumClient
import QuorumProtocol
import QuorumServer
import Testing

extension TestCluster {
    /// Servers that lose no time once they may repair.
    func makeHasty() throws {
        for server in servers { try set(server, "repair_delay_seconds = 0\nanti_entropy_seconds = 1") }
    }

    func store(_ server: NodeID) -> String { "\(home(server))/store" }
    func rebuildFile(_ server: NodeID) -> String { "\(home(server))/rebuild.json" }
    var keysFile: String { "\(directory)/keys.toml" }
    var operatorKey: String { "\(directory)/operator/key.pem" }

    /// kill -9, and the disk is gone.
    func loseStore(_ server: NodeID) {
        kill(server)
        File.remove(store(server))
    }

    func rebuild(_ server: NodeID) async throws -> CommandResult {
        try await run(["server", "rebuild", "--home", home(server)])
    }

    func serve(_ server: NodeID) async throws -> CommandResult { try await run(["serve", "--home", home(server)]) }

    func reloadLists() async throws -> CommandResult { try await run(["cluster", "reload", directory]) }

    /// All that an operator does whose server has lost its store.
    func replaceStore(_ server: NodeID, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        loseStore(server)
        let rebuilt = try await rebuild(server)
        #expect(rebuilt.end == .exit(0), "\(rebuilt)", sourceLocation: sourceLocation)
        try await start(server)
        let reloaded = try await reloadLists()
        #expect(reloaded.end == .exit(0), "\(reloaded)", sourceLocation: sourceLocation)
        try await waitUntilWell(server, sourceLocation: sourceLocation)
    }

    /// Waits until the server says that it has all that the others have.
    func waitUntilWell(_ server: NodeID, sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let deadline = ContinuousClock.now + .seconds(120)
        while access(rebuildFile(server), F_OK) == 0 {
            try #require(isAlive(server), "\(log(server))", sourceLocation: sourceLocation)
            try #require(
                ContinuousClock.now < deadline,
                "\(server) does not get well: \((try? File.text(rebuildFile(server))) ?? ""), \(log(server))",
                sourceLocation: sourceLocation)
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    /// Waits until every server has what it should of each object.
    func waitUntilWhole(_ names: [String], sourceLocation: SourceLocation = #_sourceLocation) async throws {
        let deadline = ContinuousClock.now + .seconds(90)
        for name in names {
            while true {
                let verified = try await run(["verify", name, "--cluster", directory])
                if verified.end == .exit(0) { break }
                try #require(
                    ContinuousClock.now < deadline, "\(name) is not whole: \(verified)", sourceLocation: sourceLocation)
                try await Task.sleep(for: .milliseconds(300))
            }
        }
    }

    /// What lies in a server's home beside its store and its log, and the list of keys: by name, as bytes.
    func files(of server: NodeID) throws -> [String: [UInt8]] {
        var files = ["keys.toml": try File.read(keysFile)]
        for name in try File.names(home(server)) {
            var isDirectory: ObjCBool = false
            let path = "\(home(server))/\(name)"
            guard name != "log", FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory),
                !isDirectory.boolValue
            else { continue }
            files[name] = try File.read(path)
        }
        return files
    }
}

/// The object is there for somebody who knows nothing yet, and is this.
func expectValue(
    _ value: SharedBytes, of key: ObjectKey, in cluster: TestCluster,
    sourceLocation: SourceLocation = #_sourceLocation
) async throws {
    try await cluster.withClient { client in
        let object = try await client.get(key)
        #expect(object.value == value, sourceLocation: sourceLocation)
    }
}
