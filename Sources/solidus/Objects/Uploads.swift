// solidus uploads

import ArgumentParser
import ClusterFiles
import CommandOutcome
import QuorumClient
import QuorumProtocol

struct Uploads: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show uploads that nobody has finished, and discard them.",
        discussion: """
            A large value, and each part of an upload in parts, is stored before its version is made. When its client ends \
            before that, servers keep what they have for seven days after the last of it came, for 'put --continue' to go \
            on with, and charge the client for it.
            """,
        subcommands: [UploadsList.self, UploadsDiscard.self])
}

/// Whose uploads a command is about.
struct OwnerArgument: ParsableArguments {
    @Option(
        name: .customLong("of"),
        help: """
            Whose uploads, by the client's name in access.toml, or by its id if it is listed no more. Others' take the \
            right 'admin'. One's own when not given.
            """)
    var owner: String?

    func id(_ home: ClientHome) throws -> ClientID {
        guard let owner else { return home.id }
        if let listed = home.cluster.lists.access.contents.client(named: owner) { return listed.id }
        guard let id = ClientID(hexadecimal: owner) else {
            throw Failure(.configuration, "no client is called '\(owner)', and it is no client's id")
        }
        return id
    }
}

struct UploadsList: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List uploads that nobody has finished, and what they take.",
        discussion: """
            Each with its name, its object, what its client is charged for it at each server, when it was last gone on \
            with, and when servers give it back by themselves.

            Examples:
              solidus uploads list
              solidus uploads list photos/ --of guest
            """)

    @Argument(help: "Only uploads to objects whose BUCKET/KEY begins with this.")
    var prefix: String = ""
    @OptionGroup var owner: OwnerArgument
    @OptionGroup var access: ClientArguments
    @OptionGroup var report: ReportOptions

    private struct Line: Encodable {
        let upload: String
        let object: String
        let owner: String
        let chargedBytes: UInt64
        let last: String
        let expires: String
        let servers: Int
    }

    func run() async throws {
        let home = try access.home()
        let owner = try owner.id(home)
        let answers: [NodeID: PendingObjects.Answer]
        do {
            answers = try await PendingObjects.ask(
                .uploads, home, of: owner, timeoutMilliseconds: max(1, Int(access.timeout * 1000)))
        } catch {
            throw Failure(.configuration, error.description)
        }
        var counts: [ObjectKey: Int] = [:]
        var silentCount = 0
        for (server, answer) in answers.sorted(by: { $0.key < $1.key }) {
            switch answer {
            case .answer(let found): for key in found { counts[key, default: 0] += 1 }
            case .silent(let reason):
                silentCount += 1
                Standard.complain("warning: \(server) did not say: \(reason)")
            case .unreachable(let error):
                silentCount += 1
                Standard.complain("warning: \(server) did not say: \(error.description)")
            }
        }
        guard silentCount < answers.count else { throw Failure(.unavailable, "no server says what uploads there are") }
        // Of what f servers alone name nothing would be shown, and each of them may name very much.
        let vouchers = home.cluster.parameters.quorums.vouchers
        let wanted = counts.filter { $1 >= vouchers && $0.bytes.starts(with: prefix.utf8) }.keys.sorted()
        let uploads = try await access.withClient(home) { client throws(ClientError) in
            var uploads: [OpenUpload] = []
            for key in wanted { uploads += try await client.openUploads(to: key, of: owner) }
            return uploads
        }
        for upload in uploads {
            let last = Stat.text(milliseconds: upload.lastMilliseconds)
            let expires = Stat.text(milliseconds: upload.expiresMilliseconds)
            try Report.finish(
                report,
                Line(
                    upload: upload.id, object: upload.key.text, owner: upload.owner.description,
                    chargedBytes: upload.chargedBytes, last: last, expires: expires, servers: upload.serverCount),
                text: "\(upload.id)  \(upload.key)  \(upload.chargedBytes) bytes at each server, last at \(last), "
                    + "expires at \(expires)")
        }
    }
}

struct UploadsDiscard: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "discard",
        abstract: "Give back what an unfinished upload takes.",
        discussion: """
            What a version holds stays. Servers that cannot be reached keep it until it expires.

            Example: solidus uploads discard photos/film.mov 0123456789abcdef0123456789abcdef
            """)

    @OptionGroup var target: ObjectArgument
    @Argument(help: "The upload's name, as 'solidus uploads list' shows it.")
    var upload: String
    @OptionGroup var owner: OwnerArgument
    @OptionGroup var access: ClientArguments
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        let upload: String
        let object: String
    }

    func run() async throws {
        let home = try access.home()
        let owner = try owner.id(home)
        let key = target.object
        let (isOne, isLeft) = try await access.withClient(home, for: key) { client throws(ClientError) in
            guard try await client.discardUpload(upload, to: key, of: owner) else { return (false, false) }
            return (true, try await client.openUploads(to: key, of: owner).contains { $0.id == upload })
        }
        guard isOne else { throw Failure(.usage, "'\(upload)' is no upload's name, which has 32 hexadecimal digits") }
        guard !isLeft else {
            throw Failure(
                .refused, "servers still have the upload \(upload) to \(key); they may have refused to discard it")
        }
        try Report.finish(
            report, Outcome(upload: upload, object: key.text), text: "discarded the upload \(upload) to \(key)")
    }
}
