// Buckets through the client library: made, listed, asked for, deleted, and by whom.

import ClusterFiles
import ErasureCode
import Foundation
import QuorumClient
import QuorumProtocol
import Testing

@Suite("Buckets", .serialized)
struct BucketTests {
    private static let value = SharedBytes([1, 2, 3])

    private func expect(
        _ text: String, _ body: () async throws(ClientError) -> Void, sourceLocation: SourceLocation = #_sourceLocation
    ) async {
        do throws(ClientError) {
            try await body()
            Issue.record("nothing was refused", sourceLocation: sourceLocation)
        } catch {
            #expect(error.description.contains(text), sourceLocation: sourceLocation)
        }
    }

    @Test("are made once, listed with owner and time, and deleted when they are empty")
    func life() async throws {
        try await withCluster(serverCount: 6) { _, client in
            let before = UInt64(Date().timeIntervalSince1970 * 1000)
            let made = try await client.createBucket("photos")
            try await client.createBucket("a.b-c")
            #expect(made.owner == client.id && made.createdMilliseconds >= before)
            await expect("exists already") { () throws(ClientError) in try await client.createBucket("photos") }
            #expect(try await client.bucket("photos") == made)
            #expect(try await client.bucket("photo") == nil)
            let list = try await client.buckets()
            #expect(list.isComplete && list.buckets.map(\.name) == ["a.b-c", "photos"])
            #expect(list.buckets.last == made)

            for number in 0..<3 { _ = try await client.put(try ObjectKey("photos/\(number)"), Self.value) }
            await expect("3 objects at least") { () throws(ClientError) in try await client.deleteBucket("photos") }
            for number in 0..<3 { _ = try await client.delete(try ObjectKey("photos/\(number)")) }
            try await client.deleteBucket("photos")
            #expect(try await client.bucketExists("photos") == false)
            #expect(try await client.buckets().buckets.map(\.name) == ["a.b-c"])
            await expect("does not exist") { () throws(ClientError) in try await client.deleteBucket("photos") }
            #expect(try await client.createBucket("photos").name == "photos")
        }
    }

    @Test("a client that asks for them writes into no bucket that nobody made, and says how one is made")
    func check() async throws {
        try await withCluster { cluster, other in
            var options = ClientOptions()
            options.checksBuckets = true
            try await cluster.withClient(options) { client in
                let key = try ObjectKey("photos/cat")
                await expect("'solidus mb photos' makes it") { () throws(ClientError) in
                    _ = try await client.put(key, Self.value)
                }
                #expect(try await other.delete(key)?.timestamp == nil, "something was stored")
                try await other.createBucket("photos")
                _ = try await client.put(key, Self.value)
                let copy = try ObjectKey("elsewhere/cat")
                await expect("'solidus mb elsewhere'") { () throws(ClientError) in
                    _ = try await client.copy(key, to: copy)
                }
                // It was there just now, so nobody is asked again.
                #expect(try await client.bucketExists("photos"))
            }
        }
    }

    @Test("nobody writes or deletes a bucket's record as an object, and no bucket is called as the cluster's own")
    func reserved() async throws {
        try await withCluster { _, client in
            let record = try ObjectKey(recordOf: "photos")
            try await client.createBucket("photos")
            await expect("the cluster's own") { () throws(ClientError) in _ = try await client.put(record, Self.value) }
            await expect("the cluster's own") { () throws(ClientError) in _ = try await client.delete(record) }
            #expect(try await client.bucketExists("photos"))
            for name in ["_buckets", "", "a/b", "Photos"] {
                await expect("is no bucket") { () throws(ClientError) in try await client.createBucket(name) }
            }
            await expect("is no bucket") { () throws(ClientError) in _ = try client.list("_buckets") }
        }
    }

    @Test("only who administers a bucket makes it, and who may not list all sees those that it has rights on by name")
    func rights() async throws {
        try await withCluster { cluster, owner in
            for name in ["photos", "letters", "secret"] { try await owner.createBucket(name) }
            for server in cluster.servers.indices { await cluster.stop(server) }
            let grants = try ["photos:read", "letters:list", "own:admin,write", "nowhere:read"].map {
                try #require(Grant($0))
            }
            _ = try OperatorHome(clusterDirectory: cluster.directory).add(NewClient(name: "guest", grants: grants))
            for server in cluster.servers.indices { try await cluster.start(server) }
            let home = try ClientHome(clusterDirectory: cluster.directory, client: "guest")
            var options = ClientOptions()
            options.checksBuckets = true
            let guest = try ObjectClient(home: home, options: options)
            do {
                await expect("the right admin on the bucket") { () throws(ClientError) in
                    try await guest.createBucket("nowhere")
                }
                try await guest.createBucket("own")
                let list = try await guest.buckets()
                #expect(!list.isComplete && list.buckets.map(\.name) == ["letters", "own", "photos"])
                #expect(list.buckets.map(\.owner) == [owner.id, guest.id, owner.id])
                _ = try await guest.put(try ObjectKey("own/a"), Self.value)
                await expect("the right write") { () throws(ClientError) in
                    _ = try await guest.put(try! ObjectKey("photos/a"), Self.value)
                }
                await expect("may not ask this") { () throws(ClientError) in _ = try await guest.bucket("secret") }
            } catch {
                Issue.record(error)
            }
            await guest.close()
        }
    }
}
