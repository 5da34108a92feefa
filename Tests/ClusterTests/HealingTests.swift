// Servers that bring back what they lack, without anybody's help: on real processes (docs/protocol.md, Repair,
// Anti-entropy).

import ErasureCode
import Foundation
import QuorumClient
import QuorumProtocol
import Testing

extension BesiegedClusters {
    @Suite("Healing", .serialized) struct Healing {
        /// Servers that lose no time.
        private static let hasty = "repair_delay_seconds = 0\nanti_entropy_seconds = 1"

        @Test(
            "a server that was down while values came, changed and went has them all soon after it is there again",
            .timeLimit(.minutes(4)))
        func downServer() async throws {
            try await withCluster { cluster in
                for server in cluster.servers { try await cluster.restart(server, with: Self.hasty) }
                try await cluster.makeBucket("healing")
                let changed = try ObjectKey("healing/changed")
                let gone = try ObjectKey("healing/gone")
                try await cluster.withClient { client in
                    _ = try await client.put(changed, SeededBytes.make("old", 100_000))
                    _ = try await client.put(gone, SeededBytes.make("gone", 5000))
                }
                let away = cluster.servers[1]
                cluster.kill(away)

                var values: [String: SharedBytes] = ["changed": SeededBytes.make("new", 70_000)]
                // Of each size one for each place that the server may have.
                for number in 0..<8 {
                    values["small-\(number)"] = SeededBytes.make("small \(number)", 3000 + number)
                    values["stripe-\(number)"] = SeededBytes.make("stripe \(number)", 600_000 + number)
                }
                values["empty"] = SharedBytes([])
                values["large"] = SeededBytes.make("large", 5 << 20)
                values["paged"] = SeededBytes.make("paged", 24 << 20)
                for (name, value) in values.sorted(by: { $0.key < $1.key }) {
                    let file = cluster.directory + "/value"
                    try File.write(file, value.array)
                    let put = try await cluster.run(
                        ["put", "healing/\(name)", file, "--cluster", cluster.directory, "--timeout", "60"])
                    #expect(put.end == .exit(0), "\(put)")
                }
                try await cluster.withClient { _ = try await $0.delete(gone) }

                try await cluster.start(away)
                try await expectWhole(values.keys.map { "healing/\($0)" }, cluster)
                let learned = try await cluster.counters(of: away)
                #expect(learned.learnedVersions >= 15, "\(learned)")
                #expect(learned.repairedStripes >= 29 && learned.repairedFragments > 0, "\(learned)")

                // It is as good as the others.
                cluster.kill(cluster.servers[2])
                for (name, value) in values {
                    try await cluster.withClient { client in
                        let object = try await client.get(try ObjectKey("healing/\(name)"))
                        #expect(object.value == value, "\(name)")
                    }
                }
                try await cluster.withClient { client in
                    await #expect(throws: ClientError.self) { _ = try await client.get(gone) }
                }
            }
        }

        @Test("a rotten fragment, and a rotten stripe of a large value, are made anew", .timeLimit(.minutes(4)))
        func rot() async throws {
            try await withCluster { cluster in
                for server in cluster.servers { try await cluster.restart(server, with: Self.hasty) }
                try await cluster.makeBucket("healing")
                for (name, size) in [("one", 64 << 10), ("many", 20 << 20)] {
                    let value = SeededBytes.make(name, size)
                    let file = cluster.directory + "/value"
                    try File.write(file, value.array)
                    let put = try await cluster.run(["put", "healing/\(name)", file, "--cluster", cluster.directory])
                    #expect(put.end == .exit(0), "\(put)")
                    let key = try ObjectKey("healing/\(name)")
                    let server = cluster.configuration.parameters.placement(of: key).nodes[0]
                    let journal = JournalBytes(directory: "\(cluster.home(server))/store/journal")
                    // The value's first bytes are those of the first data fragment.
                    try journal.flip(try journal.place(of: Array(value.array[100..<140])))
                    let verified = try await cluster.run(["verify", key.text, "--cluster", cluster.directory])
                    #expect(verified.end == .exit(11), "\(verified)")
                    try await expectWhole([key.text], cluster)
                    #expect(try await cluster.counters(of: server).lostParts > 0)
                }
                // It is known to be whole after a crash, too, and nothing is wanted any more.
                for server in cluster.servers {
                    cluster.kill(server)
                    try await cluster.start(server)
                }
                try await expectWhole(["healing/one", "healing/many"], cluster)
                for server in cluster.servers {
                    #expect(try await cluster.counters(of: server).wants == 0)
                    #expect(try await cluster.counters(of: server).lostParts == 0)
                }
            }
        }

        @Test("what rots is found and made anew though nobody reads it", .timeLimit(.minutes(3)))
        func scrub() async throws {
            try await withCluster { cluster in
                for server in cluster.servers {
                    try await cluster.restart(server, with: Self.hasty + "\nscrub_seconds = 1")
                }
                let key = try ObjectKey("tests/unread")
                let value = SeededBytes.make("unread", 64 << 10)
                try await cluster.withClient { _ = try await $0.put(key, value) }
                let server = cluster.configuration.parameters.placement(of: key).nodes[0]
                let journal = JournalBytes(directory: "\(cluster.home(server))/store/journal")
                try journal.flip(try journal.place(of: Array(value.array[100..<140])))
                let deadline = ContinuousClock.now + .seconds(60)
                while true {
                    let counters = try await cluster.counters(of: server)
                    if counters.repairedFragments == 1, counters.wants == 0 {
                        #expect(counters.scrubFindings >= 1 && counters.scrubEndMilliseconds > 0)
                        break
                    }
                    guard ContinuousClock.now < deadline else {
                        Issue.record("it was not found, or not mended: \(counters)")
                        return
                    }
                    try await Task.sleep(for: .milliseconds(300))
                }
                let verified = try await cluster.run(["verify", key.text, "--cluster", cluster.directory])
                #expect(verified.end == .exit(0) && verified.output.contains("4 of 4"), "\(verified)")
                let mark = try File.text("\(cluster.home(server))/scrub.json")
                #expect(mark.contains("endedMilliseconds"))
            }
        }

        /// Waits until every server has what it should of each object, and nothing else is wanted.
        private func expectWhole(
            _ names: [String], _ cluster: TestCluster, sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            let deadline = ContinuousClock.now + .seconds(90)
            for name in names {
                while true {
                    let verified = try await cluster.run(["verify", name, "--cluster", cluster.directory])
                    if verified.end == .exit(0) { break }
                    guard ContinuousClock.now < deadline else {
                        Issue.record("\(name) is not whole: \(verified)", sourceLocation: sourceLocation)
                        return
                    }
                    try await Task.sleep(for: .milliseconds(300))
                }
            }
            while true {
                var wants: [UInt64] = []
                for server in cluster.servers { wants.append(try await cluster.counters(of: server).wants) }
                if wants.allSatisfy({ $0 == 0 }) { return }
                guard ContinuousClock.now < deadline else {
                    Issue.record("something is wanted: \(wants)", sourceLocation: sourceLocation)
                    return
                }
                try await Task.sleep(for: .milliseconds(300))
            }
        }
    }
}
