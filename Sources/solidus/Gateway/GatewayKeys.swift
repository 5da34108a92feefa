// solidus gateway key, solidus gateway bucket

import ArgumentParser
import CommandOutcome
import QuorumProtocol
import S3Gateway

struct GatewayKey: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key",
        abstract: "Add, remove and list the access keys that a cluster's gateways take.",
        discussion: "They are kept in the cluster, encrypted by the key that its gateways share.",
        subcommands: [GatewayKeyAdd.self, GatewayKeyRemove.self, GatewayKeyList.self])
}

struct GatewayKeyAdd: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Make an access key and its secret, and say what they are good for.",
        discussion: """
            The secret is shown this once. Rights are read, write, list and admin (making and deleting the bucket), on \
            one bucket or on every one ('*').

            Example: solidus gateway key add backup --bucket 'photos:read,write,list' --cluster demo
            """)

    @Argument(help: "A name for people.")
    var label: String
    @Option(
        name: .customLong("bucket"),
        help: ArgumentHelp(
            "Rights on a bucket; may be repeated. Every right on every bucket when not given.",
            valueName: "bucket:right,..."),
        transform: GrantArgument.grant)
    var grants: [Grant] = []
    @OptionGroup var gateway: GatewayArguments
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        let name: String
        let accessKey: String
        let secretKey: String
        let rights: [String]
    }

    func run() async throws {
        let all = Grant(bucket: Grant.everyBucket, rights: .all)
        let credential = try await gateway.withClient { home, client in
            let records = CredentialRecords(client, key: home.sharedKey)
            let credential = try records.make(
                name: label, grants: grants.isEmpty ? [all].compactMap(\.self) : grants)
            try await records.add(credential)
            return credential
        }
        let rights = credential.grants.map(\.description)
        try Report.finish(
            report,
            Outcome(
                name: label, accessKey: credential.accessKey, secretKey: credential.secret, rights: rights),
            text: """
                access key  \(credential.accessKey)
                secret key  \(credential.secret)
                rights      \(rights.joined(separator: " "))
                """)
    }
}

struct GatewayKeyRemove: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove",
        abstract: "Take an access key away; gateways that run refuse it within ten seconds.",
        discussion: "Example: solidus gateway key remove SOLAAAAAAAAAAAAAAAAA --cluster demo")

    @Argument(help: "The access key.")
    var accessKey: String
    @OptionGroup var gateway: GatewayArguments
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable { let removed: String }

    func run() async throws {
        try await gateway.withClient { home, client in
            try await CredentialRecords(client, key: home.sharedKey).remove(accessKey)
        }
        try Report.finish(report, Outcome(removed: accessKey), text: "removed access key \(accessKey)")
    }
}

struct GatewayKeyList: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Show the access keys, without their secrets.",
        discussion: "Example: solidus gateway key list --cluster demo")

    @OptionGroup var gateway: GatewayArguments
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        struct Key: Encodable {
            let name: String
            let accessKey: String
            let rights: [String]
        }
        let keys: [Key]
    }

    func run() async throws {
        let credentials = try await gateway.withClient { home, client in
            try await CredentialRecords(client, key: home.sharedKey).all()
        }
        let keys = credentials.map {
            Outcome.Key(name: $0.name, accessKey: $0.accessKey, rights: $0.grants.map(\.description))
        }
        try Report.finish(
            report, Outcome(keys: keys),
            text: keys.isEmpty
                ? "no access keys"
                : keys.map { "\($0.accessKey)  \($0.name)  \($0.rights.joined(separator: " "))" }
                    .joined(separator: "\n"))
    }
}

struct GatewayBucket: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "bucket",
        abstract: "Say what everybody may do with a bucket without an access key.",
        discussion: """
            By default nothing. Gateways that run go by it within ten seconds.

            Example: solidus gateway bucket photos --anonymous read --cluster demo
            """)

    /// What everybody may do.
    enum Access: String, ExpressibleByArgument, CaseIterable {
        case none
        case read
        case readAndList = "read,list"
    }

    @Argument(help: "The bucket.")
    var bucket: String
    @Option(help: "none, read, or read,list.")
    var anonymous: Access
    @OptionGroup var gateway: GatewayArguments
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        let bucket: String
        let anonymous: String
    }

    func run() async throws {
        let name = try BucketArgument.name(bucket)
        try await gateway.withClient { home, client in
            guard try await client.bucketExists(name) else {
                throw Failure(.notFound, "the bucket \(name) does not exist")
            }
            try await AnonymousAccess.set(
                anonymous == .none ? nil : anonymous.rawValue, on: name, client, key: home.sharedKey)
        }
        try Report.finish(
            report, Outcome(bucket: name, anonymous: anonymous.rawValue),
            text: "everybody may do with \(name): \(anonymous.rawValue)")
    }
}
