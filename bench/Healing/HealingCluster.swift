// A cluster whose servers lose what they have, and get it back.

import BenchmarkResults
import ClusterFiles
import Foundation
import Glibc
import QuorumClient
import QuorumProtocol

/// A cluster of four servers, of which any may be killed, harmed and started again. It stays on the thread that made
/// it, since servers end with the thread that started them.
final class HealingCluster {
    static let dataFragmentCount = 2
    private static let serverCount = 4
    private static let identityCount = 4
    /// What a server may lack without end is no measurement.
    private static let patienceSeconds = 600.0

    let cluster: BenchmarkCluster
    /// Those that run now, or did so last.
    private(set) var servers: [ServerChild]
    private let leftovers: Leftovers.Removals
    /// What the servers' settings are where nothing is said of them.
    private let settings: [String]

    /// - Parameter beforeStart: given the cluster's directory before any server runs.
    init(
        _ name: String, mode: VerificationMode, program: String, directory: String, leftovers: Leftovers.Removals,
        beforeStart: (_ directory: String) throws -> Void = { _ in }
    ) throws {
        let path = "\(directory)/\(name)"
        let plan = ClusterPlan(
            faults: 1, dataFragmentCount: Self.dataFragmentCount, serverCount: Self.serverCount,
            identityCount: Self.identityCount, program: program)
        cluster = try BenchmarkCluster(
            plan, variant: Variant(mode: mode, without: [.partialWrites]), directory: path
        ) { try beforeStart(path) }
        self.leftovers = leftovers
        servers = cluster.servers
        for server in servers { leftovers.add { server.kill() } }
        settings = try servers.map { try String(contentsOfFile: Self.settingsFile($0.home), encoding: .utf8) }
    }

    var clients: [ObjectClient] { cluster.clients }
    var program: String { cluster.plan.program }

    /// Ends all servers and removes all files.
    func remove() {
        for server in servers { server.kill() }
        let cluster = cluster
        try? waiting { await cluster.remove() }
    }

    func home(_ index: Int) throws -> ServerHome { try ServerHome(path: servers[index].home) }

    // MARK: Servers that come and go

    func kill(_ index: Int) { servers[index].kill() }

    /// Starts a server that was killed, and returns when it listens.
    ///
    /// - Parameter lines: what its settings say beside what they always say.
    func start(_ index: Int, settings lines: [String] = []) throws {
        let home = servers[index].home
        let text = settings[index] + lines.map { $0 + "\n" }.joined()
        try text.write(toFile: Self.settingsFile(home), atomically: true, encoding: .utf8)
        let server = try ServerChild(index: index, home: home, program: program, network: nil)
        leftovers.add { server.kill() }
        servers[index] = server
        try server.waitUntilReady()
    }

    private static func settingsFile(_ home: String) -> String { home + "/server.toml" }

    // MARK: Waiting

    func awaitRest() throws { try ServerRest.wait(for: servers) }

    /// Returns when a server wants nothing any more.
    func awaitNoWants(_ index: Int) throws {
        let deadline = ContinuousClock.now + .seconds(Self.patienceSeconds)
        // What it has noticed just now is counted a second later.
        repeat {
            guard ContinuousClock.now < deadline else { throw BenchmarkError.notWell(home: servers[index].home) }
            sleep(2)
        } while try servers[index].counters().wants > 0
    }
}
