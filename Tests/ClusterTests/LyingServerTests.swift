// A liar with one server's genuine keys, behind real sockets: clients read the right bytes and can write, however it lies.

import QuorumClient
import QuorumFaults
import QuorumProtocol
import Testing

extension Clusters {
    /// One cluster for all policies: always the same server lies, since its store can never be relied on again.
    @Suite("One server follows a policy", .serialized, .sharedCluster) struct FaultPolicies {
        private static let liar = ServerIndex(0)

        @Test(
            "clients read the right bytes and write, whatever it says", .timeLimit(.minutes(3)),
            arguments: ServerFaultKind.allCases)
        func lying(_ kind: ServerFaultKind) async throws {
            let cluster = try SharedCluster.current
            try await cluster.startLiar(Self.liar, kind)
            let sizes = [0, 5, 3000, 200 << 10]
            try await cluster.withClient { client in
                let stored = try await cluster.checkOperations(client, "lied-\(kind.rawValue)", sizesBytes: sizes)
                // What was there is overwritten, deleted, and read by somebody who knows nothing yet.
                var current: [StoredValue] = []
                for item in stored {
                    let value = SeededBytes.make("again-\(kind.rawValue)-\(item.key)", item.value.count + 1)
                    _ = try await client.put(item.key, value)
                    current.append(StoredValue(key: item.key, value: value))
                }
                try await cluster.withClient { try await cluster.check(current, $0) }
                _ = try await client.delete(current[1].key)
                try await cluster.withClient { fresh in
                    let deleted = current.remove(at: 1)
                    await #expect {
                        _ = try await fresh.get(deleted.key)
                    } throws: { error in
                        if case ClientError.notFound = error { true } else { false }
                    }
                    try await cluster.check(current, fresh)
                }
            }
            #expect(cluster.isAlive(Self.liar), "the liar ended: \(cluster.log(Self.liar).suffix(2000))")
            for server in cluster.servers { #expect(cluster.isAlive(server), "\(server)") }
        }
    }
}

extension TestCluster {
    /// Ends a server's process and starts a liar with its home in its place.
    func startLiar(_ server: ServerIndex, _ kind: ServerFaultKind) async throws {
        kill(server)
        try launch(server, program: "solidus-faulty-server", ["--home", home(server), "--fault", kind.rawValue])
        try await waitUntilListening(server)
    }
}
