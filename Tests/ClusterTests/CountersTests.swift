// What a server tells whoever asks it with a signal.

import ErasureCode
import Foundation
import Glibc
import QuorumProtocol
import QuorumServer
import Testing

extension Clusters {
    @Suite("Counters of a running server", .serialized, .sharedCluster) struct Counters {
        @Test("SIGUSR1 has a server write what it has counted, each time anew", .timeLimit(.minutes(1)))
        func signal() async throws {
            let cluster = try SharedCluster.current
            let before = try await cluster.counters(of: cluster.servers[0])
            try await cluster.withClient { client in
                for number in 0..<3 {
                    _ = try await client.put(try ObjectKey("tests/counted-\(number)"), SharedBytes([1, 2, 3]))
                }
            }
            // A write is three requests to each server, but done without the slowest one: the last one may have ended,
            // and the client with it, before anything of it came here.
            let deadline = ContinuousClock.now + .seconds(TestCluster.patienceSeconds)
            var after = before
            while after.requests < before.requests + 6 {
                try #require(ContinuousClock.now < deadline, "\(after.requests) requests after \(before.requests)")
                after = try await cluster.counters(of: cluster.servers[0])
            }
            #expect(after.signatures > before.signatures)
            #expect(after.signedStatements >= before.signedStatements + 2)
            #expect(after.lostParts == 0)
            #expect(cluster.isAlive(cluster.servers[0]))
        }

        @Test("requests of verifying servers are counted apart from those of clients", .timeLimit(.minutes(2)))
        func serverRequests() async throws {
            try await withCluster(change: { $0.mode = .lazy }) { cluster in
                try await cluster.withClient { client in
                    for number in 0..<3 {
                        _ = try await client.put(try ObjectKey("tests/verified-\(number)"), SharedBytes([1, 2, 3]))
                    }
                }
                let deadline = ContinuousClock.now + .seconds(TestCluster.patienceSeconds)
                var counted = try await cluster.counters(of: cluster.servers[0])
                // Each of four servers reads three objects, from itself too; nobody else asks for anything any more.
                while counted.verifiedObjects < 3 || counted.serverRequests < 12 {
                    try #require(ContinuousClock.now < deadline, "\(counted)")
                    counted = try await cluster.counters(of: cluster.servers[0])
                }
                let ofClients = counted.requests - counted.serverRequests
                #expect((6...40).contains(ofClients), "\(counted)")
            }
        }
    }
}

extension TestCluster {
    /// What a running server has counted until now.
    func counters(of server: NodeID) async throws -> ServerCounters {
        let path = "\(home(server))/counters.json"
        File.remove(path)
        try #require(process(server)).signal(SIGUSR1)
        let deadline = ContinuousClock.now + .seconds(Self.patienceSeconds)
        while access(path, R_OK) != 0 {
            try #require(ContinuousClock.now < deadline, "no \(path)")
            try await Task.sleep(for: .milliseconds(10))
        }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(ServerCounters.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    }

    /// Returns the first counters of a server that fulfil a condition.
    @discardableResult
    func counters(
        of server: NodeID, until what: String, _ condition: (ServerCounters) -> Bool
    ) async throws -> ServerCounters {
        let deadline = ContinuousClock.now + .seconds(Self.patienceSeconds)
        while true {
            let counted = try await counters(of: server)
            if condition(counted) { return counted }
            try #require(ContinuousClock.now < deadline, "never happened: \(what); \(counted)")
        }
    }
}
