// Servers that have lost their disk and begin anew, as an operator has them do it: on real processes
// (docs/protocol.md, Rebuilding).

import ErasureCode
import Foundation
import QuorumClient
import QuorumProtocol
import QuorumServer
import Testing

extension BesiegedClusters {
    @Suite("Rebuilding", .serialized) struct Rebuilding {
        /// What a cluster is known to hold, and not to hold.
        private struct Contents {
            var values: [ObjectKey: SharedBytes] = [:]
            var gone: [ObjectKey] = []

            /// Of each size and fate something, under the label's own keys.
            static func make(_ label: String, in cluster: TestCluster) async throws -> Contents {
                var contents = Contents()
                var sizes = [0, 1, cluster.stripeSizeBytes, 3 * cluster.stripeSizeBytes + 5]
                // Of each size one for each place that a server may have.
                for number in 0..<8 { sizes += [3000 + number, 600_000 + number] }
                for size in sizes {
                    contents.values[try ObjectKey("tests/\(label)/\(size)")] = SeededBytes.make(
                        "\(label) \(size)", size)
                }
                let changed = try ObjectKey("tests/\(label)/changed")
                contents.gone = [try ObjectKey("tests/\(label)/gone")]
                try await cluster.withClient { client in
                    for (key, value) in contents.values { _ = try await client.put(key, value) }
                    _ = try await client.put(changed, SeededBytes.make("old", 100_000))
                    for key in contents.gone {
                        _ = try await client.put(key, SeededBytes.make("gone", 5000))
                        _ = try await client.delete(key)
                    }
                }
                contents.values[changed] = SeededBytes.make("\(label) new", 70_000)
                try await cluster.withClient { _ = try await $0.put(changed, contents.values[changed]!) }
                return contents
            }

            var names: [String] { values.keys.map(\.text) }

            static func + (left: Contents, right: Contents) -> Contents {
                Contents(
                    values: left.values.merging(right.values) { $1 }, gone: left.gone + right.gone)
            }

            /// All of it is there for somebody who knows nothing yet, and something can be written beside it.
            func expect(
                in cluster: TestCluster, _ label: String, sourceLocation: SourceLocation = #_sourceLocation
            ) async throws {
                try await cluster.withClient { client in
                    for (key, value) in values {
                        let object = try await client.get(key)
                        #expect(object.value == value, "\(label): \(key)", sourceLocation: sourceLocation)
                    }
                    for key in gone {
                        await #expect(throws: ClientError.self, "\(label): \(key)", sourceLocation: sourceLocation) {
                            _ = try await client.get(key)
                        }
                    }
                    let key = try ObjectKey("tests/written/\(label)")
                    let value = SeededBytes.make(label, 9000)
                    _ = try await client.put(key, value)
                    #expect(try await client.get(key).value == value, "\(label)", sourceLocation: sourceLocation)
                }
            }
        }

        @Test(
            "a server without a store is as good as the others again, and so is the next one after it",
            .timeLimit(.minutes(5)))
        func lostDisks() async throws {
            try await withCluster(starts: false) { cluster in
                try cluster.makeHasty()
                try await cluster.startAll()
                var contents = try await Contents.make("before", in: cluster)
                let (first, second) = (cluster.servers[1], cluster.servers[0])
                cluster.loseStore(first)
                contents = contents + (try await Contents.make("without", in: cluster))

                let refused = try await cluster.serve(first)
                #expect(refused.end != .exit(0) && refused.output.contains("solidus server rebuild"), "\(refused)")
                let rebuilt = try await cluster.rebuild(first)
                #expect(rebuilt.end == .exit(0), "\(rebuilt)")
                let files = try cluster.files(of: first)
                #expect(files["rebuild.json"] != nil)
                // Once more is as good as once.
                let again = try await cluster.rebuild(first)
                #expect(again.end == .exit(0), "\(again)")
                #expect(try cluster.files(of: first) == files)
                try await cluster.start(first)
                let reloaded = try await cluster.reloadLists()
                #expect(reloaded.end == .exit(0), "\(reloaded)")
                try await cluster.waitUntilWell(first)
                cluster.kill(cluster.servers[2])
                try await contents.expect(in: cluster, "first")
                try await cluster.start(cluster.servers[2])
                try await cluster.waitUntilWhole(contents.names + ["tests/written/first"])

                cluster.kill(second)
                let old = cluster.directory + "/old-store"
                try FileManager.default.moveItem(atPath: cluster.store(second), toPath: old)
                try await cluster.replaceStore(second)
                cluster.kill(cluster.servers[3])
                try await contents.expect(in: cluster, "second")
                try await cluster.start(cluster.servers[3])

                // The disk is found again. What it promised has been taken over by others, without it.
                cluster.kill(second)
                try FileManager.default.moveItem(atPath: cluster.store(second), toPath: old + "-2")
                try FileManager.default.moveItem(atPath: old, toPath: cluster.store(second))
                let before = try cluster.files(of: second)
                for result in [try await cluster.serve(second), try await cluster.rebuild(second)] {
                    #expect(result.end != .exit(0) && result.output.contains("never"), "\(result)")
                }
                #expect(try cluster.files(of: second) == before)
                try await contents.expect(in: cluster, "outlived")
            }
        }

        @Test("a store that is there is not begun anew", .timeLimit(.minutes(2)))
        func storeInTheWay() async throws {
            try await withCluster { cluster in
                let server = cluster.servers[2]
                let key = try ObjectKey("tests/kept")
                let value = SeededBytes.make("kept", 4000)
                try await cluster.withClient { _ = try await $0.put(key, value) }
                for isRunning in [true, false] {
                    if !isRunning { cluster.kill(server) }
                    let files = try cluster.files(of: server)
                    let refused = try await cluster.rebuild(server)
                    #expect(refused.end != .exit(0) && refused.output.contains("there is a store"), "\(refused)")
                    #expect(try cluster.files(of: server) == files && files["rebuild.json"] == nil)
                }
                try await cluster.start(server)
                cluster.kill(cluster.servers[0])
                try await expectValue(value, of: key, in: cluster)
            }
        }

        @Test("what a crash left of a store that was being made is in nobody's way", .timeLimit(.minutes(3)))
        func unfinishedStore() async throws {
            try await withCluster(starts: false) { cluster in
                try cluster.makeHasty()
                try await cluster.startAll()
                let server = cluster.servers[1]
                let key = try ObjectKey("tests/unfinished")
                let value = SeededBytes.make("unfinished", 50_000)
                try await cluster.withClient { _ = try await $0.put(key, value) }
                cluster.loseStore(server)
                let rebuilt = try await cluster.rebuild(server)
                #expect(rebuilt.end == .exit(0), "\(rebuilt)")
                // What makes a store of it is written last.
                File.remove(cluster.store(server) + "/store")
                let repeated = try await cluster.rebuild(server)
                #expect(repeated.end == .exit(0), "\(repeated)")
                try await cluster.start(server)
                _ = try await cluster.reloadLists()
                try await cluster.waitUntilWell(server)
                cluster.kill(cluster.servers[0])
                try await expectValue(value, of: key, in: cluster)

                // One that has served since, and cannot be opened any more, is the operator's to move away.
                cluster.kill(server)
                var mark = RebuildMark()
                mark.phase = .healing
                try mark.write(to: cluster.rebuildFile(server))
                File.remove(cluster.store(server) + "/store")
                let refused = try await cluster.rebuild(server)
                #expect(refused.end != .exit(0) && refused.output.contains("there is a store"), "\(refused)")
                #expect(try File.names(cluster.store(server)).contains("journal"))
            }
        }

        @Test("without the operator's key it is the operator who signs the lines", .acceptance, .timeLimit(.minutes(4)))
        func operatorElsewhere() async throws {
            try await withCluster(starts: false) { cluster in
                try cluster.makeHasty()
                try await cluster.startAll()
                let contents = try await Contents.make("signed", in: cluster)
                let server = cluster.servers[3]
                let away = cluster.directory + "/elsewhere.pem"
                try FileManager.default.moveItem(atPath: cluster.operatorKey, toPath: away)
                cluster.loseStore(server)
                let keys = try File.text(cluster.keysFile)
                var told: [String] = []
                for _ in 0..<2 {
                    let rebuilt = try await cluster.rebuild(server)
                    #expect(rebuilt.end == .exit(0), "\(rebuilt)")
                    let lines = rebuilt.output.split(separator: "\n").drop { $0 != "[[keys]]" }
                    told.append(lines.joined(separator: "\n"))
                    #expect(try File.text(cluster.keysFile) == keys)
                }
                #expect(told[0] == told[1] && told[0].contains("incarnation = 2"), "\(told)")
                // Nobody has heard of the key yet.
                let early = try await cluster.serve(server)
                #expect(early.end != .exit(0) && early.output.contains("statement key"), "\(early)")

                try FileManager.default.moveItem(atPath: away, toPath: cluster.operatorKey)
                try File.write(cluster.keysFile, Array("\(keys)\n\(told[0])\n".utf8))
                let signed = try await cluster.run(["cluster", "sign", cluster.directory])
                #expect(signed.end == .exit(0), "\(signed)")
                try await cluster.start(server)
                let reloaded = try await cluster.reloadLists()
                #expect(reloaded.end == .exit(0), "\(reloaded)")
                try await cluster.waitUntilWell(server)
                cluster.kill(cluster.servers[1])
                try await contents.expect(in: cluster, "signed")
            }
        }

        @Test(
            "a server that is killed again and again while it learns gets there all the same", .timeLimit(.minutes(5)))
        func killedMeanwhile() async throws {
            try await withCluster(starts: false) { cluster in
                try cluster.makeHasty()
                try await cluster.startAll()
                let contents = try await Contents.make("killed", in: cluster)
                let server = cluster.servers[1]
                cluster.loseStore(server)
                let rebuilt = try await cluster.rebuild(server)
                #expect(rebuilt.end == .exit(0), "\(rebuilt)")
                for milliseconds in [5, 50, 120, 300, 700, 1500, 3000] {
                    try cluster.launch(server)
                    try await Task.sleep(for: .milliseconds(milliseconds))
                    cluster.kill(server)
                }
                try await cluster.start(server)
                try await cluster.waitUntilWell(server)
                cluster.kill(cluster.servers[0])
                try await contents.expect(in: cluster, "killed")
            }
        }

        @Test(
            "it answers nothing before q others have told it what they have committed", .acceptance,
            .timeLimit(.minutes(4)))
        func silentUntilTold() async throws {
            try await withCluster(starts: false) { cluster in
                try cluster.makeHasty()
                try await cluster.startAll()
                let key = try ObjectKey("tests/silent")
                let value = SeededBytes.make("silent", 50_000)
                try await cluster.withClient { _ = try await $0.put(key, value) }
                let (server, away) = (cluster.servers[1], cluster.servers[3])
                cluster.loseStore(server)
                cluster.kill(away)
                let rebuilt = try await cluster.rebuild(server)
                #expect(rebuilt.end == .exit(0), "\(rebuilt)")
                try await cluster.start(server)
                _ = try await cluster.reloadLists()
                // Two servers of four are no quorum, and the third one knows nothing.
                try await cluster.withClient(timeoutMilliseconds: 5000) { client in
                    await #expect(throws: ClientError.self) { _ = try await client.get(key) }
                    await #expect(throws: ClientError.self) {
                        // Of an object that nobody has, so that it would not ask for any proof.
                        _ = try await client.put(ObjectKey("tests/new"), value)
                    }
                }
                #expect(RebuildMark(path: cluster.rebuildFile(server))?.phase == .listing)
                try await cluster.start(away)
                try await cluster.waitUntilWell(server)
                cluster.kill(cluster.servers[0])
                try await expectValue(value, of: key, in: cluster)
            }
        }

        @Test("what is lost again before all was brought back begins at the beginning", .timeLimit(.minutes(4)))
        func lostAgain() async throws {
            try await withCluster(starts: false) { cluster in
                try cluster.makeHasty()
                try await cluster.startAll()
                let contents = try await Contents.make("again", in: cluster)
                let server = cluster.servers[2]
                try await cluster.replaceStore(server)
                // It had told the clients that it serves, and had not got all yet.
                cluster.kill(server)
                var mark = RebuildMark()
                mark.phase = .healing
                try mark.write(to: cluster.rebuildFile(server))
                cluster.loseStore(server)
                let rebuilt = try await cluster.rebuild(server)
                #expect(rebuilt.end == .exit(0) && rebuilt.output.contains("3"), "\(rebuilt)")
                #expect(RebuildMark(path: cluster.rebuildFile(server))?.phase == .listing)
                try await cluster.start(server)
                _ = try await cluster.reloadLists()
                try await cluster.waitUntilWell(server)
                cluster.kill(cluster.servers[0])
                try await contents.expect(in: cluster, "again")
            }
        }

        @Test(
            "what only it and two others had is held by the one that lacked it, and by itself", .timeLimit(.minutes(5)))
        func lackedByAnother() async throws {
            try await withCluster(starts: false) { cluster in
                try cluster.makeHasty()
                try await cluster.startAll()
                let (server, away) = (cluster.servers[1], cluster.servers[3])
                let before = try await Contents.make("before", in: cluster)
                cluster.kill(away)
                // Each of these has a statement of the server that is lost next, and none of the one that is away.
                let lacked = try await Contents.make("lacked", in: cluster)
                cluster.loseStore(server)
                let rebuilt = try await cluster.rebuild(server)
                #expect(rebuilt.end == .exit(0), "\(rebuilt)")
                try await cluster.start(away)
                try await cluster.start(server)
                let reloaded = try await cluster.reloadLists()
                #expect(reloaded.end == .exit(0), "\(reloaded)")
                try await cluster.waitUntilWell(server)
                let contents = before + lacked
                try await cluster.waitUntilWhole(contents.names)
                var restated: UInt64 = 0
                for other in cluster.servers where other != server {
                    restated += try await cluster.counters(of: other).restatedVersions
                }
                #expect(restated > 0, "the one that was away cannot take over what counts no more")
                cluster.kill(cluster.servers[0])
                try await contents.expect(in: cluster, "lacked")
                try await cluster.start(cluster.servers[0])
                cluster.kill(cluster.servers[2])
                try await contents.expect(in: cluster, "lacked by another")
            }
        }

        @Test(
            "a client that writes all the while notices nothing, and loses nothing", .acceptance,
            .timeLimit(.minutes(4)))
        func writesMeanwhile() async throws {
            try await withCluster(starts: false) { cluster in
                try cluster.makeHasty()
                try await cluster.startAll()
                let server = cluster.servers[0]
                let isOver = Flag()
                let same = try ObjectKey("tests/same")
                let writer = Task {
                    try await cluster.withClient { client in
                        var count = 0
                        while !isOver.isRaised {
                            let value = SeededBytes.make("meanwhile \(count)", 2000 + count)
                            _ = try await client.put(ObjectKey("tests/meanwhile/\(count)"), value)
                            _ = try await client.put(same, value)
                            let read = try await client.get(same)
                            #expect(read.value == value, "\(count)")
                            count += 1
                        }
                        return count
                    }
                }
                defer { isOver.raise() }
                try await cluster.replaceStore(server)
                isOver.raise()
                let count = try await writer.value
                #expect(count > 0)
                let names = (0..<count).map { "tests/meanwhile/\($0)" }
                cluster.kill(cluster.servers[1])
                try await cluster.withClient { client in
                    for (number, name) in names.enumerated() {
                        let object = try await client.get(ObjectKey(name))
                        #expect(object.value == SeededBytes.make("meanwhile \(number)", 2000 + number), "\(name)")
                    }
                }
                try await expectValue(SeededBytes.make("meanwhile \(count - 1)", 1999 + count), of: same, in: cluster)
            }
        }

        @Test(
            "in every mode a server that begins anew is as good as the others", .acceptance, .timeLimit(.minutes(4)),
            arguments: VerificationMode.allCases.filter { $0 != .fingerprint })
        func modes(_ mode: VerificationMode) async throws {
            try await withCluster(starts: false, change: { $0.mode = mode }) { cluster in
                try cluster.makeHasty()
                try await cluster.startAll()
                let contents = try await Contents.make("\(mode)", in: cluster)
                try await cluster.replaceStore(cluster.servers[1])
                cluster.kill(cluster.servers[2])
                try await contents.expect(in: cluster, "\(mode)")
            }
        }

        @Test("a server that begins anew does not wait when all others have told it", .timeLimit(.minutes(4)))
        func moreThanQuorum() async throws {
            try await withCluster(faults: 2, starts: false) { cluster in
                try cluster.makeHasty()
                try await cluster.startAll()
                let key = try ObjectKey("tests/told")
                let value = SeededBytes.make("told", 50_000)
                try await cluster.withClient { _ = try await $0.put(key, value) }
                // Six others; five are a quorum.
                try await cluster.replaceStore(cluster.servers[1])
                for server in cluster.servers.suffix(2) { cluster.kill(server) }
                try await expectValue(value, of: key, in: cluster)
            }
        }

        @Test("where two may fail, two begin anew at once", .acceptance, .timeLimit(.minutes(5)))
        func two() async throws {
            try await withCluster(faults: 2, starts: false) { cluster in
                try cluster.makeHasty()
                try await cluster.startAll()
                let contents = try await Contents.make("two", in: cluster)
                let lost = Array(cluster.servers[1...2])
                for server in lost { cluster.loseStore(server) }
                for server in lost {
                    let rebuilt = try await cluster.rebuild(server)
                    #expect(rebuilt.end == .exit(0), "\(rebuilt)")
                }
                for server in lost { try await cluster.start(server) }
                let reloaded = try await cluster.reloadLists()
                #expect(reloaded.end == .exit(0), "\(reloaded)")
                for server in lost { try await cluster.waitUntilWell(server) }
                try await cluster.waitUntilWhole(contents.names)
                for server in cluster.servers.suffix(2) { cluster.kill(server) }
                try await contents.expect(in: cluster, "two")
            }
        }
    }
}
