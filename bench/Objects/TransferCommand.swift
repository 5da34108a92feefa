// solidus-bench transfer: one large object in or out through the client library, in a process of its own, so that its
// memory is a client's and nobody else's.

import ArgumentParser
import ClusterFiles
import ErasureCode
import Foundation
import Glibc
import QuorumClient
import QuorumProtocol

enum TransferDirection: String, ExpressibleByArgument, CaseIterable, Sendable {
    case put
    case get
}

/// What a transfer took.
struct TransferReport: Codable, Sendable {
    let seconds: Double
    let peakMemoryBytes: Int
}

struct TransferCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "transfer", abstract: "Stores or reads one large object and tells what it took.",
        shouldDisplay: false)

    @Argument(help: "put or get.")
    var direction: TransferDirection
    @Argument(help: "The cluster's directory.")
    var cluster: String
    @Argument(help: "The object.")
    var object: String
    @Argument(help: "Its length in bytes.")
    var sizeBytes: UInt64

    func run() throws {
        let key = try ObjectKey(object)
        let client = try ObjectClient(home: ClientHome(clusterDirectory: cluster), options: ClientOptions())
        let contents = TransferContents(sizeBytes: sizeBytes)
        let direction = direction
        let seconds = try waiting {
            let start = ContinuousClock.now
            switch direction {
            case .put: _ = try await client.put(key, lengthBytes: contents.sizeBytes, from: contents)
            case .get: try await Self.get(key, contents, client)
            }
            let seconds = (ContinuousClock.now - start).inSeconds
            await client.close()
            return seconds
        }
        let report = TransferReport(seconds: seconds, peakMemoryBytes: try PeakMemory.bytes(of: getpid()))
        FileHandle.standardOutput.write(try JSONEncoder().encode(report))
    }

    private static func get(_ key: ObjectKey, _ contents: TransferContents, _ client: ObjectClient) async throws {
        var offset: UInt64 = 0
        for try await piece in try await client.open(key) {
            guard contents.matches(piece, from: offset) else { throw BenchmarkError.wrongBytes(key, from: offset) }
            offset += UInt64(piece.count)
        }
        guard offset == contents.sizeBytes else {
            throw BenchmarkError.wrongValue(key, gotBytes: Int(offset), expectedBytes: Int(contents.sizeBytes))
        }
    }
}

/// A transfer as a child process.
enum TransferChild {
    /// Runs it to its end.
    ///
    /// - Throws: `.transferFailed` with what it complained of.
    static func run(
        _ direction: TransferDirection, _ key: ObjectKey, sizeBytes: UInt64, cluster: String,
        leftovers: Leftovers.Removals
    ) throws -> TransferReport {
        let process = Process()
        let path = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = ["transfer", direction.rawValue, cluster, key.text, "\(sizeBytes)"]
        let (output, complaints) = (Pipe(), Pipe())
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = complaints
        try process.run()
        let processID = process.processIdentifier
        let child = RunningChild(processID)
        leftovers.add { child.kill() }
        let report = output.fileHandleForReading.readDataToEndOfFile()
        let reason = complaints.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        child.ended()
        guard process.terminationReason == .exit, process.terminationStatus == 0 else {
            throw BenchmarkError.transferFailed(
                status: process.terminationStatus, reason: String(decoding: reason, as: UTF8.self))
        }
        return try JSONDecoder().decode(TransferReport.self, from: report)
    }
}
