// A folder that restic backs up to a gateway, and restores.

import Foundation
import Testing

struct ResticRepository: Sendable {
    private let gateway: TestGateway
    private let directory: String
    private let settings: [String]
    private var source: String { directory + "/source" }

    init(_ gateway: TestGateway, bucket: String, sizeBytes: Int) throws {
        self.gateway = gateway
        directory = "\(gateway.cluster.directory)/\(bucket)"
        settings = ["RESTIC_REPOSITORY=s3:\(gateway.endpoint)/\(bucket)/host", "RESTIC_PASSWORD=secret"]
        try FileManager.default.createDirectory(atPath: source + "/d", withIntermediateDirectories: true)
        try File.write(source + "/big", SeededBytes.make(bucket, sizeBytes).array)
        try File.write(source + "/d/ü é", Array("small".utf8))
        try File.write(source + "/empty", [])
    }

    /// Makes the repository and backs up twice, between which a file changes.
    func backUp() async throws {
        try await run("init")
        try await run("backup", "source")
        try File.write(source + "/d/later", Array("later".utf8))
        try await run("backup", "source")
        #expect(try await run("snapshots").contains("2 snapshots"))
    }

    /// Reads all of it, and restores the last.
    func check() async throws {
        #expect(try await run("check", "--read-data").contains("no errors were found"))
        let target = "\(directory)/restored"
        defer { File.remove(target) }
        try await run("restore", "latest", "--target", target)
        for name in ["big", "d/ü é", "d/later", "empty"] {
            #expect(
                FileManager.default.contentsEqual(atPath: "\(target)/source/\(name)", andPath: "\(source)/\(name)"),
                "\(name)")
        }
    }

    /// Gives up the first backup, and the space of what only that had.
    func forget() async throws {
        try await run("forget", "--keep-last", "1", "--prune")
        #expect(try await run("snapshots").contains("1 snapshots"))
    }

    @discardableResult
    private func run(_ words: String...) async throws -> String {
        let restic = try #require(S3Client.find("restic"))
        let line = [restic] + words
        let result = try await gateway.run(line, settings: settings, in: directory)
        try #require(result.end == .exit(0), "\(words): \(result)")
        return result.output
    }
}
