// solidus cp and solidus mv

import ArgumentParser
import CommandArguments
import CommandOutcome
import QuorumClient
import QuorumProtocol

/// The two objects of a copy.
struct CopyArguments: ParsableArguments {
    @Argument(help: "The object to read, BUCKET/KEY.", transform: ObjectArgument.key)
    var source: ObjectKey
    @Argument(help: "The object to write, BUCKET/KEY.", transform: ObjectArgument.key)
    var target: ObjectKey

    mutating func validate() throws {
        guard source != target else { throw ValidationError("\(source) cannot be copied onto itself.") }
    }
}

private struct Outcome: Encodable {
    let source: String
    let sourceVersion: String
    let object: String
    let version: String
    let lengthBytes: UInt64
    let servers: ObservedServers

    init(_ copy: CopyResult) {
        source = copy.source.key.text
        sourceVersion = copy.source.timestamp.fullName
        object = copy.written.key.text
        version = copy.written.timestamp.fullName
        lengthBytes = copy.source.lengthBytes
        servers = ObservedServers(copy.written.observations)
    }
}

/// Reports what was done.
private func finish(_ copy: CopyResult, _ done: String, _ report: ReportOptions) throws {
    Report.warn(copy.source.observations)
    Report.warn(copy.written.observations)
    try Report.finish(
        report, Outcome(copy),
        text: "\(done) \(copy.source.key) to \(copy.written.key): \(copy.source.lengthBytes) bytes as version "
            + "\(copy.written.timestamp)")
}

struct Copy: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "cp", abstract: "Copy an object to another key.",
        discussion: "Type and user metadata go along; the time of modification is now.")

    @OptionGroup var objects: CopyArguments
    @OptionGroup var access: ClientArguments
    @OptionGroup var report: ReportOptions

    func run() async throws {
        let copy = try await access.withClient(try access.home(), for: objects.target) {
            client throws(ClientError) in
            try await client.copy(objects.source, to: objects.target)
        }
        try finish(copy, "copied", report)
    }
}

struct Move: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "mv", abstract: "Copy an object to another key, then delete it.",
        discussion: """
            Not atomic: for a while both are there. An object that is written meanwhile is left where it is (exit code \
            11), as far as that is seen: what is written between the last look and the deletion goes with it.
            """)

    @OptionGroup var objects: CopyArguments
    @OptionGroup var access: ClientArguments
    @OptionGroup var report: ReportOptions

    func run() async throws {
        let (source, target) = (objects.source, objects.target)
        let copy = try await access.withClient(try access.home(), for: target) {
            client async throws(ClientError) -> CopyResult? in
            let copy = try await client.copy(source, to: target)
            guard try await client.head(source).timestamp == copy.source.timestamp else { return nil }
            _ = try await client.writeTombstone(source)
            return copy
        }
        guard let copy else {
            throw Failure(
                .partial, "\(source) was written while it was copied to \(target): both are there. Move it again.")
        }
        try finish(copy, "moved", report)
    }
}
