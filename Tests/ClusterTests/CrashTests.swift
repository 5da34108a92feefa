// Servers killed at any moment of writes: nothing acknowledged is lost, nothing half-written is served.

import Foundation
import QuorumClient
import QuorumProtocol
import Testing

extension Clusters {
    @Suite("kill -9 at any moment", .serialized) struct Crashes {
        private static let keyCount = 6
        private static let sizesBytes = [100, 3000, 70_000, 400_000]

        @Test("of one server after another, during writes", .timeLimit(.minutes(4)))
        func oneByOne() async throws {
            try await withCluster { cluster in
                var generator = SeededGenerator("one by one")
                try await whileWriting(cluster) { try await killOneByOne(cluster, 15, $0, &generator) }
            }
        }

        @Test("of all servers at once, during writes", .timeLimit(.minutes(4)))
        func allAtOnce() async throws {
            try await withCluster { cluster in
                var generator = SeededGenerator("all at once")
                try await whileWriting(cluster) { try await killAllAtOnce(cluster, 10, $0, &generator) }
            }
        }

        @Test(
            "of one server after another and of all at once, during writes, in every other mode",
            .timeLimit(.minutes(4)),
            arguments: acceptance(
                VerificationMode.allCases.filter { $0 != .fingerprint }, otherwise: [.full, .lazy]))
        func inMode(_ mode: VerificationMode) async throws {
            try await withCluster(change: { $0.mode = mode }) { cluster in
                var generator = SeededGenerator("in mode \(mode)")
                try await whileWriting(cluster) { journals in
                    try await killOneByOne(cluster, 3, journals, &generator)
                    try await killAllAtOnce(cluster, 1, journals, &generator)
                }
            }
        }

        @Test("of the writer: its object has the old value or the new one", .timeLimit(.minutes(3)))
        func writerKilled() async throws {
            try await withCluster { cluster in
                var generator = SeededGenerator("writer killed")
                let key = try ObjectKey("tests/abandoned")
                try await cluster.makeBucket("tests")
                let file = cluster.directory + "/value"
                for number in 1...10 {
                    let value = SelfCheckingValue.make(key, number: UInt64(number), sizeBytes: 200_000)
                    try File.write(file, value.array)
                    let process = try ChildProcess(
                        Executable.path(), ["put", "\(key)", file, "--cluster", cluster.directory],
                        outputPath: "/dev/null", group: Watchdog.group.get())
                    try await pause(0...400, &generator)
                    process.destroy()
                    try await cluster.withClient { client in
                        do {
                            let found = try await client.get(key).value
                            let foundNumber = SelfCheckingValue.number(found, of: key)
                            #expect(foundNumber.map { (1...UInt64(number)).contains($0) } ?? false)
                            // A read is followed by nothing older.
                            let again = try await client.get(key).value
                            #expect(SelfCheckingValue.number(again, of: key) ?? 0 >= foundNumber ?? 0)
                        } catch ClientError.notFound {
                            #expect(process.currentEnd != .exit(0), "an acknowledged write is gone")
                        }
                    }
                }
                try await cluster.withClient { client in
                    _ = try await client.put(key, SelfCheckingValue.make(key, number: 99, sizeBytes: 100))
                    #expect(SelfCheckingValue.number(try await client.get(key).value, of: key) == 99)
                }
            }
        }

        private func killOneByOne(
            _ cluster: TestCluster, _ count: Int, _ journals: [WriteJournal], _ generator: inout SeededGenerator
        ) async throws {
            for _ in 0..<count {
                let victim = cluster.servers.randomElement(using: &generator)!
                try await pause(0...80, &generator)
                cluster.kill(victim)
                try await pause(0...80, &generator)
                try await cluster.start(victim)
                try await progress(journals)
            }
        }

        private func killAllAtOnce(
            _ cluster: TestCluster, _ count: Int, _ journals: [WriteJournal], _ generator: inout SeededGenerator
        ) async throws {
            for _ in 0..<count {
                try await pause(0...150, &generator)
                cluster.killAll()
                try await cluster.startAll()
                try await progress(journals)
            }
        }

        /// Runs `body` beside tasks that write and read objects, then checks every object with a fresh client.
        private func whileWriting(
            _ cluster: TestCluster, _ body: ([WriteJournal]) async throws -> Void
        ) async throws {
            let journals = try (0..<Self.keyCount).map { WriteJournal(try ObjectKey("tests/crash/\($0)")) }
            let isOver = Flag()
            try await cluster.withClient(timeoutMilliseconds: 20_000) { client in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for (number, journal) in journals.enumerated() {
                        group.addTask {
                            var generator = SeededGenerator("writer \(number)")
                            while !isOver.isRaised {
                                let size = Self.sizesBytes.randomElement(using: &generator)!
                                // What fails was not acknowledged; the reads decide whether that was honest.
                                try? await journal.put(client, sizeBytes: size)
                                try? await journal.get(client)
                            }
                        }
                    }
                    do {
                        try await body(journals)
                    } catch {
                        Issue.record(error, "seed \(SeededGenerator.seed)")
                    }
                    isOver.raise()
                    try await group.waitForAll()
                }
            }
            for journal in journals {
                try await cluster.withClient { try await journal.get($0) }
                #expect(journal.acknowledgedCount > 0)
            }
        }

        /// Waits until some write was acknowledged since now.
        private func progress(_ journals: [WriteJournal]) async throws {
            let count = journals.reduce(0) { $0 + $1.acknowledgedCount }
            let deadline = ContinuousClock.now + .seconds(TestCluster.patienceSeconds)
            while journals.reduce(0, { $0 + $1.acknowledgedCount }) == count {
                try #require(ContinuousClock.now < deadline, "no write succeeds any more")
                try await Task.sleep(for: .milliseconds(5))
            }
        }

        private func pause(_ milliseconds: ClosedRange<Int>, _ generator: inout SeededGenerator) async throws {
            try await Task.sleep(for: .milliseconds(Int.random(in: milliseconds, using: &generator)))
        }
    }

    @Suite("Deletion", .serialized) struct Deletion {
        @Test(
            "a server that slept through it does not bring the object back",
            .timeLimit(.minutes(3)), arguments: [NodeID].four)
        func replayed(_ server: NodeID) async throws {
            try await withCluster { cluster in
                let key = try ObjectKey("tests/deleted")
                try await cluster.withClient { client in
                    _ = try await client.put(key, SeededBytes.make("deleted", 70_000))
                    _ = try await client.put(key, SeededBytes.make("deleted again", 5))
                    cluster.kill(server)
                    _ = try await client.delete(key)
                    try await cluster.start(server)
                    await expectNotFound(client, key)
                }
                // Without each of those who know of the deletion, the one that slept is needed for the quorum.
                for absent in cluster.servers where absent != server {
                    cluster.kill(absent)
                    try await cluster.withClient { await expectNotFound($0, key) }
                    try await cluster.start(absent)
                }
                try await cluster.withClient { client in
                    _ = try await client.put(key, SeededBytes.make("back", 9))
                    #expect(try await client.get(key).value == SeededBytes.make("back", 9))
                }
            }
        }
    }
}
