// What a client of S3 does with a bucket of its own, in steps: everything that it stores has to come back as it was.

import Foundation
import Glibc
import Testing

struct S3Round: Sendable {
    let client: S3Client
    let gateway: TestGateway
    let bucket: String
    /// Where its files lie; only its own.
    let directory: String

    /// What is larger is sent in parts by every client.
    private static let partsBytesMin = 16 << 20

    private var source: String { directory + "/source" }
    private var big: String { directory + "/big" }
    private let sizeBytes: Int
    private let names: [String]

    /// - Parameters:
    ///   - sizeBytes: of the large file.
    ///   - count: of small files in one folder.
    init(
        _ client: S3Client, _ gateway: TestGateway, bucket: String? = nil, sizeBytes: Int, count: Int
    ) throws {
        let bucket = bucket ?? "\(client)"
        self.client = client
        self.gateway = gateway
        self.bucket = bucket
        self.sizeBytes = sizeBytes
        directory = "\(gateway.cluster.directory)/round-\(bucket)"
        var files = (0..<count).map { ("many/\($0)", Array("\(bucket) \($0)".utf8)) }
        files.append(("a b/c+d%20&=?#.txt", Array("plus".utf8)))
        files.append(("ü/é ñ", SeededBytes.make("\(bucket) folder", 300_000).array))
        files.append(("empty", []))
        names = files.map(\.0)
        for (name, bytes) in files {
            let path = "\(source)/\(name)"
            try FileManager.default.createDirectory(
                atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            try File.write(path, bytes)
        }
        try File.write(big, SeededBytes.make("\(bucket) big", sizeBytes).array)
        try client.configure(gateway)
    }

    /// All of it.
    func run() async throws {
        try await store()
        try await check()
        try await change()
        try await clear()
    }

    func store() async throws {
        try await perform(.makeBucket)
        try await perform(.putFolder(source, prefix: "folder"))
        try await perform(.put(big, key: "big"))
        if sizeBytes > Self.partsBytesMin {
            let parts = try gateway.requestCount("PUT", "/\(bucket)/big", "uploadId=")
            #expect(parts > 1, "\(client) did not send it in parts")
        }
        try await perform(.put("\(source)/a b/c+d%20&=?#.txt", key: client.oddKey))
    }

    /// What was stored comes back, and is not sent again.
    func check() async throws {
        let target = "\(directory)/target-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
        defer { File.remove(target) }
        try await perform(.getFolder(prefix: "folder", target + "/folder"))
        for name in names {
            #expect(
                try File.read("\(target)/folder/\(name)") == File.read("\(source)/\(name)"), "\(client): \(name)")
        }
        try await expectBig("big", target + "/big")
        try await perform(.get(key: client.oddKey, target + "/odd"))
        #expect(try File.text(target + "/odd") == "plus", "\(client)")
        let list = try await perform(.list).output
        for name in names { #expect(list.contains("folder/\(name)"), "\(client): \(name)") }
        if client.synchronizes {
            let count = try gateway.requestCount("PUT", "/\(bucket)/folder")
            try await perform(.putFolder(source, prefix: "folder"))
            #expect(try gateway.requestCount("PUT", "/\(bucket)/folder") == count, "\(client) sends it again")
        }
    }

    /// What is copied, renamed and handed on by a URL is what it was.
    func change() async throws {
        try await perform(.copy("big", "copies/ü +1"))
        try await perform(.move("copies/ü +1", "moved"))
        try await expectBig("moved", "\(directory)/moved")
        let list = try await perform(.list).output
        #expect(list.contains("moved") && !list.contains("copies/"), "\(client)")
        if client.presigns {
            let url = try await perform(.presign("folder/a b/c+d%20&=?#.txt")).output
            let line = try #require(url.split(separator: "\n").last { $0.hasPrefix("http") }, "\(url)")
            let target = line.drop { $0 != ":" }.dropFirst(3).drop { $0 != "/" }
            let answer = try HTTPAnswer.ask(
                gateway.port, "GET \(target) HTTP/1.1\r\nhost: 127.0.0.1:\(gateway.port)\r\nconnection: close\r\n\r\n")
            #expect(answer?.body.contains("plus") ?? false, "\(client): \(line) \(answer?.body ?? "")")
        }
    }

    func clear() async throws {
        try await perform(.clear)
        try await perform(.removeBucket)
    }

    /// Whether the client gets an answer from a gateway of which it is told so.
    func lists(_ gateway: TestGateway) async throws -> Bool {
        try client.configure(gateway)
        let words = client.words(.list, bucket: bucket, gateway)
        return try await gateway.run(words, settings: client.settings(gateway), in: directory).end == .exit(0)
    }

    private func expectBig(_ key: String, _ file: String) async throws {
        try await perform(.get(key: key, file))
        defer { File.remove(file) }
        #expect(FileManager.default.contentsEqual(atPath: file, andPath: big), "\(client): \(key)")
    }

    /// Has the client do it, which has to succeed.
    @discardableResult
    private func perform(_ task: S3Client.Task) async throws -> CommandResult {
        let words = client.words(task, bucket: bucket, gateway)
        let result = try await gateway.run(words, settings: client.settings(gateway), in: directory)
        try #require(result.end == .exit(0), "\(words): \(result)")
        return result
    }
}
