// solidus du

import ArgumentParser
import CommandArguments
import CommandOutcome
import QuorumClient
import QuorumProtocol

struct DiskUsage: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "du", abstract: "Count the objects of a bucket, or below a prefix, and their bytes.",
        discussion: """
            What they take on the servers' disks is n/m times that, and 2 KiB at each server of an object. Like a \
            listing, it is no snapshot.

            Example: solidus du photos/2024/
            """)

    @Argument(help: "The bucket, or BUCKET/PREFIX.", transform: PrefixArgument.init)
    var prefix: PrefixArgument
    @OptionGroup var access: ClientArguments
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        let prefix: String
        let objects: Int
        let lengthBytes: UInt64
    }

    func run() async throws {
        let (objects, lengthBytes) = try await access.withClient(try access.home()) {
            client async throws(ClientError) -> (Int, UInt64) in
            var entries = try client.list(prefix: prefix.bytes).makeAsyncIterator()
            var objects = 0
            var lengthBytes: UInt64 = 0
            while let entry = try await entries.next() {
                guard case .object(let object) = entry else { continue }
                objects += 1
                lengthBytes = lengthBytes.addingReportingOverflow(object.lengthBytes).partialValue
            }
            if objects == 0, try await !client.bucketExists(prefix.bucket) { throw .noBucket(prefix.bucket) }
            return (objects, lengthBytes)
        }
        let name = String(decoding: prefix.bytes, as: UTF8.self)
        try Report.finish(
            report, Outcome(prefix: name, objects: objects, lengthBytes: lengthBytes),
            text: "\(lengthBytes) bytes in \(objects) objects of \(name.printable)")
    }
}
