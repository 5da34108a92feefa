// A liar with one server's genuine keys, behind real sockets: clients read the right bytes and can write, however it
// lies.

import ClusterFiles
import ErasureCode
import Foundation
import QuorumClient
import QuorumFaults
import QuorumProtocol
import Testing

extension Clusters {
    /// One cluster a mode for all policies: always the same server lies, since its store can never be relied on again.
    @Suite("One server follows a policy", .serialized, .sharedCluster { $0.clientNames = ["first", "hostile"] })
    struct FaultPolicies {
        private static let liar = NodeID(0)

        /// `none` promises nothing but to outlast a server that says nothing. What the other modes have here is some of
        /// every kind of lie: about fragments, statements, certificates, claims, what is kept, and instead of answers.
        private static let cases: [ModeCase<ServerFaultKind>] = casesByMode([
            .fingerprint: ServerFaultKind.allCases,
            .full: acceptance(
                [.garbageFragments, .foreignDescriptors, .signsWithoutStoring, .foreignStatements, .stale, .mixture],
                otherwise: [.signsWithoutStoring, .mixture]),
            .lazy: acceptance(
                [
                    .falsePoison, .falseVouching, .colludingGarbage, .forgetful, .supersededLies, .secretiveCommits,
                    .mixture,
                ],
                otherwise: [.falsePoison, .falseVouching, .mixture]),
            .readTime: acceptance(
                [.withheldFragments, .oneByteOff, .frozen, .alarmingPrepared, .leakedCertificates, .mixture],
                otherwise: [.withheldFragments, .mixture]),
            .none: [.silent, .mute, .silentToSome],
        ])

        @Test("clients read the right bytes and write, whatever it says", .timeLimit(.minutes(3)), arguments: cases)
        func lying(_ test: ModeCase<ServerFaultKind>) async throws {
            let kind = test.action
            let cluster = try await SharedCluster.current(in: test.mode)
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
            expectAllAlive(cluster)
        }

        @Test(
            "a server that names a huge committed version costs a client one detour, and is known as a liar then",
            .timeLimit(.minutes(3)))
        func alarming() async throws {
            let cluster = try await SharedCluster.current(in: .fingerprint)
            try await cluster.startLiar(Self.liar, .alarmingPrepared)
            let key = try ObjectKey("tests/alarmed")
            try await cluster.withClient { client in
                // The first write asks for the timestamp, and is not open to alarm.
                #expect(try await client.put(key, SharedBytes([0])).rounds == 3)
                // The liar need not be among the servers that a write waits for, so it may take some.
                var rounds: [Int] = []
                while rounds.count < 400, rounds.last.map({ $0 <= 2 }) ?? true {
                    rounds.append(try await client.put(key, SharedBytes([1])).rounds)
                }
                for _ in 0..<40 { rounds.append(try await client.put(key, SharedBytes([2])).rounds) }
                #expect(rounds.count { $0 > 2 } == 1, "\(rounds)")
            }
            expectAllAlive(cluster)
        }

        @Test(
            "whatever it calls sound or poisonous, clients read the last sound version, and servers go on verifying",
            .timeLimit(.minutes(3)), arguments: [VerificationMode.lazy, .readTime],
            [ServerFaultKind.falsePoison, .falseVouching])
        func verdicts(mode: VerificationMode, kind: ServerFaultKind) async throws {
            let cluster = try await SharedCluster.current(in: mode)
            try await cluster.startLiar(Self.liar, kind)
            let key = try ObjectKey("tests/judged/\(kind.rawValue)")
            try await cluster.withClient { client in
                // More than may stay unverified: did its lies keep the servers from verifying, the writes would stop.
                let count = cluster.configuration.parameters.limits.unverifiedVersionsPerClientMax + 4
                var value = SharedBytes([])
                var counter: UInt64 = 0
                for number in 0..<count {
                    value = SeededBytes.make("judged \(number)", 3000 + number)
                    counter = try await client.put(key, value).timestamp.counter
                    if number % 8 == 0 { #expect(try await client.get(key).value == value) }
                }
                // Now there is something that is poisonous, and that the liar may call sound.
                let poison = try await cluster.commitPoison(key, counter: counter + 1)
                for _ in 0..<3 {
                    #expect(try await client.get(key).value == value)
                    try await cluster.check([StoredValue(key: key, value: value)])
                }
                let last = SeededBytes.make("judged at last", 4000)
                let timestamp = try await client.put(key, last).timestamp
                #expect(timestamp.counter > counter)
                try await cluster.check([StoredValue(key: key, value: last)])
                for server in cluster.servers where server != Self.liar {
                    let verdicts = cluster.log(server).split(separator: "\n").filter { line in
                        // What it says of the liar is something else.
                        line.contains("is poisonous") && line.contains("\(key)") && !line.contains("\(poison)")
                            && !line.contains("the proof is in")
                    }
                    #expect(verdicts.isEmpty, "\(server) was talked into \(verdicts)")
                }
            }
            expectAllAlive(cluster)
        }

        private func expectAllAlive(_ cluster: TestCluster) {
            #expect(cluster.isAlive(Self.liar), "the liar ended: \(cluster.log(Self.liar).suffix(2000))")
            for server in cluster.servers { #expect(cluster.isAlive(server), "\(server)") }
        }
    }
}

extension TestCluster {
    /// Ends a server's process and starts a liar with its home in its place, who may lie to auditors besides.
    func startLiar(_ server: NodeID, _ kind: ServerFaultKind, audits: AuditLie? = nil) async throws {
        kill(server)
        // Who signed what it never stored, as another liar, has gone back for good; this one is to answer.
        try? FileManager.default.removeItem(atPath: ServerHome(path: home(server)).rolledBackFile)
        let arguments = ["--home", home(server), "--fault", kind.rawValue]
        try launch(
            server, program: "solidus-faulty-server",
            arguments + (audits.map { ["--audits", $0.rawValue] } ?? []))
        try await waitUntilListening(server)
    }
}
