// Makes a bucket, stores an object, reads it back, lists the bucket, and deletes what it has made.

import Solidus

guard CommandLine.arguments.count == 2 else { fatalError("usage: hello CLUSTER-DIRECTORY") }

try await withObjectClient(home: ClientHome(clusterDirectory: CommandLine.arguments[1])) { client in
    do {
        try await client.createBucket("hello")
    } catch ClientError.bucketExists {
        print("the bucket is there already")
    }

    let key = try ObjectKey("hello/greeting.txt")
    let written = try await client.put(
        key, "Hello, quorum!", metadata: ObjectMetadata(contentType: "text/plain", user: ["from": "examples"]))
    print("stored as version \(written.timestamp), durable at \(written.durableAt.count) servers")

    let object = try await client.get(key)
    print("read: \(object.text ?? "not a text"), written from \(object.status.metadata.user["from"] ?? "somewhere")")
    print("its bytes 7 to 12: \(try await client.get(key, range: 7..<13).text ?? "")")

    try await client.copy(key, to: ObjectKey("hello/copy.txt"))
    for try await entry in try client.list("hello") {
        guard case .object(let object) = entry else { continue }
        print("listed: \(object.key), \(object.lengthBytes) bytes")
        try await client.delete(object.key)
    }

    do {
        _ = try await client.get(key)
    } catch ClientError.notFound(let key) {
        print("deleted: \(key)")
    }
    try await client.deleteBucket("hello")
}
