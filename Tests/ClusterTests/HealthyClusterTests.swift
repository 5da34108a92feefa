// What a cluster does when nothing is wrong, through the client library.

import ErasureCode
import Foundation
import QuorumClient
import QuorumProtocol
import Testing

extension Clusters {
    @Suite("A healthy cluster", .serialized, .sharedCluster { $0.stripeSizeBytesMax = 8 << 20 }) struct Healthy {
        @Test("values of every size are stored and read back, also by another client", .timeLimit(.minutes(3)))
        func allSizes() async throws {
            let cluster = try SharedCluster.current
            let stored = try await cluster.withClient { try await cluster.checkOperations($0, "healthy") }
            try await cluster.withClient { try await cluster.check(stored, $0) }
        }

        @Test("head tells length, metadata and version without the value", .timeLimit(.minutes(1)))
        func head() async throws {
            let cluster = try SharedCluster.current
            try await cluster.withClient { client in
                let key = try ObjectKey("tests/head")
                let metadata = ObjectMetadata(
                    contentType: "text/plain", etag: "tag", modifiedMilliseconds: 12, user: ["a": "b", "c": ""])
                let result = try await client.put(key, SharedBytes(Array("value".utf8)), metadata: metadata)
                let status = try await client.head(key)
                #expect(status.lengthBytes == 5)
                #expect(status.metadata == metadata)
                #expect(status.timestamp == result.timestamp)
                #expect(status.etag == "tag")
                #expect(try await client.get(key).status.metadata == metadata)
            }
        }

        @Test("the last of several writes is read, and its counter is the highest", .timeLimit(.minutes(1)))
        func overwrite() async throws {
            let cluster = try SharedCluster.current
            try await cluster.withClient { client in
                let key = try ObjectKey("tests/overwritten")
                var counter: UInt64 = 0
                for size in [10, 1 << 20, 0, 70_000, 1] {
                    var generator = SeededGenerator("overwritten \(size)")
                    let value = generator.bytes(size)
                    let result = try await client.put(key, value)
                    #expect(result.timestamp.counter > counter)
                    counter = result.timestamp.counter
                    #expect(try await client.get(key).value == value)
                }
            }
        }

        @Test("an object is not found before its first write and after its deletion", .timeLimit(.minutes(1)))
        func deletion() async throws {
            let cluster = try SharedCluster.current
            try await cluster.withClient { client in
                let key = try ObjectKey("tests/deleted")
                await expectNotFound(client, key)
                _ = try await client.put(key, SharedBytes([1, 2, 3]))
                _ = try await client.delete(key)
                await expectNotFound(client, key)
                _ = try await client.delete(key)
                await expectNotFound(client, key)
                _ = try await client.put(key, SharedBytes([4]))
                #expect(try await client.get(key).value.array == [4])
            }
        }

        @Test(
            "files of many stripes go in and come out by the command line, whole, in ranges and through pipes",
            .timeLimit(.minutes(3)))
        func manyStripes() async throws {
            let cluster = try SharedCluster.current
            let (file, back) = (cluster.directory + "/many-stripes", cluster.directory + "/many-stripes-back")
            // Letters, so that some of them can be told from a command's output.
            let value = SeededBytes.make("many stripes", 19 << 20 | 7).array.map { UInt8(ascii: "a") + $0 % 26 }
            try File.write(file, value)
            try await cluster.makeBucket("stripes")
            func run(_ arguments: String...) async throws -> CommandResult {
                try await cluster.run(arguments + ["--cluster", cluster.directory], seconds: 120)
            }
            #expect(try await run("put", "stripes/file", file).end == .exit(0))
            #expect(try await run("cp", "stripes/file", "stripes/copy").end == .exit(0))
            for object in ["stripes/file", "stripes/copy"] {
                #expect(try await run("get", object, back).end == .exit(0))
                #expect(try File.read(back) == value, "\(object)")
                let verified = try await run("verify", object)
                #expect(verified.end == .exit(0) && verified.output.contains("4 of 4"), "\(verified)")
            }
            let range = try await run("cat", "stripes/file", "--range", "\(18 << 20)-\(18 << 20 | 9)")
            let wanted = value[(18 << 20)...(18 << 20 | 9)]
            #expect(range.end == .exit(0) && range.output == String(decoding: wanted, as: UTF8.self), "\(range)")
            let status = try await run("stat", "stripes/copy")
            #expect(status.output.contains("\(value.count)"), "\(status)")
            #expect(try await run("rm", "stripes/file").end == .exit(0))
            #expect(try await run("get", "stripes/file", back).end != .exit(0))
        }

        @Test("many operations of one client over many objects run at once", .timeLimit(.minutes(2)))
        func concurrentOverManyKeys() async throws {
            let cluster = try SharedCluster.current
            try await cluster.withClient { client in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<100 {
                        group.addTask {
                            let key = try ObjectKey("tests/many/\(number % 50)-\(number / 50)")
                            let value = SelfCheckingValue.make(
                                key, number: UInt64(number), sizeBytes: 48 + number * number * 7)
                            _ = try await client.put(key, value)
                            #expect(try await client.get(key).value == value)
                        }
                    }
                    try await group.waitForAll()
                }
            }
        }

        @Test(
            "reads beside concurrent writes of one object return whole values, never older than an acknowledged one",
            .timeLimit(.minutes(2)))
        func concurrentOverOneKey() async throws {
            let cluster = try SharedCluster.current
            let key = try ObjectKey("tests/contended")
            try await cluster.withClient { client in
                try await cluster.withClient { other in
                    let journal = WriteJournal(key)
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for writer in 0..<8 {
                            group.addTask {
                                for _ in 0..<5 {
                                    try await journal.put(writer % 2 == 0 ? client : other, sizeBytes: 5000)
                                }
                            }
                        }
                        for reader in 0..<4 {
                            group.addTask {
                                for _ in 0..<10 { try await journal.get(reader % 2 == 0 ? client : other) }
                            }
                        }
                        try await group.waitForAll()
                    }
                    try await journal.get(client)
                }
            }
        }

        @Test("a closed client refuses operations", .timeLimit(.minutes(1)))
        func closed() async throws {
            let cluster = try SharedCluster.current
            let client = try ObjectClient(home: cluster.clientHome())
            await client.close()
            let error = await #expect(throws: ClientError.self) {
                _ = try await client.get(try ObjectKey("tests/closed"))
            }
            guard case .closed? = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }

    @Suite("Other fault models", .serialized) struct OtherFaultModels {
        @Test(
            "a cluster works, and works without any f of its servers",
            .timeLimit(.minutes(3)), arguments: [(faults: 1, dataFragments: 3), (faults: 2, dataFragments: 3)])
        func otherShapes(faults: Int, dataFragments: Int) async throws {
            try await withCluster(faults: faults, dataFragmentCount: dataFragments) { cluster in
                try await cluster.withClient { client in
                    let stored = try await cluster.checkOperations(client, "whole")
                    for first in [0, cluster.servers.count - faults] {
                        let victims = cluster.servers[first..<(first + faults)]
                        for victim in victims { cluster.kill(victim) }
                        try await cluster.check(stored, client)
                        let during = try await cluster.checkOperations(client, "without-\(first)")
                        for victim in victims { try await cluster.start(victim) }
                        try await cluster.check(during, client)
                    }
                }
            }
        }
    }
}

/// The object does not exist for either kind of read.
func expectNotFound(
    _ client: ObjectClient, _ key: ObjectKey, sourceLocation: SourceLocation = #_sourceLocation
) async {
    for isGet in [true, false] {
        do {
            if isGet { _ = try await client.get(key) } else { _ = try await client.head(key) }
            Issue.record("\(key) was found", sourceLocation: sourceLocation)
        } catch .notFound(let named) {
            #expect(named == key, sourceLocation: sourceLocation)
        } catch {
            Issue.record("\(error)", sourceLocation: sourceLocation)
        }
    }
}
