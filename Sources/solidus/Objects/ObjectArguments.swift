// What the object commands have in common: which cluster, as which client, how patiently.

import ArgumentParser
import ClusterFiles
import CommandArguments
import CommandOutcome
import QuorumClient
import QuorumProtocol

/// The options that say which cluster is used and how.
struct ClientArguments: ParsableArguments {
    @Option(help: "The cluster's directory; the environment's SOLIDUS_CLUSTER when not given.")
    var cluster: String?
    @Option(help: "The client to be, by its name in access.toml; the first one listed when not given.")
    var client: String?
    @Option(help: "How many seconds an operation may take; while it moves a value, without progress.")
    var timeout: Double = 15

    mutating func validate() throws {
        guard timeout > 0, timeout <= 86_400 else {
            throw ValidationError("--timeout must be more than 0 and at most 86400 seconds.")
        }
    }

    /// The client's home.
    func home() throws -> ClientHome {
        try ClientHome(clusterDirectory: ClusterDirectory(cluster).path, client: client)
    }

    func options(writesPartially: Bool = false, stall: StallArguments? = nil) -> ClientOptions {
        var options = ClientOptions()
        options.timeoutMilliseconds = max(1, Int(timeout * 1000))
        options.writesPartially = writesPartially
        options.checksBuckets = true
        if let stall { options.stallMilliseconds = max(1, Int(stall.stall * 1000)) }
        return options
    }

    /// Runs `body` with a client that is closed afterwards.
    func withClient<T>(
        _ home: ClientHome, writesPartially: Bool = false, _ body: (ObjectClient) async throws(ClientError) -> T
    ) async throws(ClientError) -> T {
        let client = try ObjectClient(home: home, options: options(writesPartially: writesPartially))
        do throws(ClientError) {
            let result = try await body(client)
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }

    /// The same for what is done with one object. Warns of servers of the object that cannot be reached:
    /// one fault less is left to be borne.
    func withClient<T>(
        _ home: ClientHome, for key: ObjectKey, writesPartially: Bool = false,
        _ body: (ObjectClient) async throws(ClientError) -> T
    ) async throws(ClientError) -> T {
        try await withClient(home, writesPartially: writesPartially) { client throws(ClientError) in
            let result = try await body(client)
            Self.warn(of: client, key)
            return result
        }
    }

    /// Warns of servers of the object that cannot be reached.
    static func warn(of client: ObjectClient, _ key: ObjectKey) {
        for trouble in client.unreachableServers(of: key) {
            Standard.complain("warning: \(trouble.server) did not take part: \(trouble.what)")
        }
    }
}

/// An object's key on the command line.
struct ObjectArgument: ParsableArguments {
    @Argument(help: "The object, BUCKET/KEY.", transform: key)
    var object: ObjectKey

    static func key(_ text: String) throws -> ObjectKey {
        try PlaceArgument(text).key()
    }
}

/// Which version of an object is meant.
struct VersionArguments: ParsableArguments {
    @Option(
        name: .customLong("version"),
        help: ArgumentHelp(
            "An earlier version, as 'stat --versions' names it, while the servers keep it.",
            valueName: "COUNTER@WRITER:DIGEST"),
        transform: { text in
            guard let version = Timestamp(fullName: text) else {
                throw ValidationError("--version '\(text)' is no version's full name; 'stat --versions' shows these.")
            }
            return version
        })
    var version: Timestamp?

    func check(_ many: ManyArguments) throws {
        if version != nil, many.recursive { throw ValidationError("--version is of one object.") }
    }
}

/// A bucket, or a prefix of keys, on the command line: bytes that need be no text.
struct PrefixArgument {
    /// With the slash behind the bucket's name at least.
    let bytes: [UInt8]

    init(_ text: String) throws {
        let bytes = ArgumentBytes.bytes(of: text)
        try BucketArgument.refuseReserved(bytes)
        self.bytes = bytes.contains(UInt8(ascii: "/")) ? bytes : bytes + [UInt8(ascii: "/")]
    }

    /// What stands before the first slash.
    var bucket: String { String(decoding: bytes.prefix { $0 != UInt8(ascii: "/") }, as: UTF8.self) }
}

/// A bucket's name on the command line.
enum BucketArgument {
    static func name(_ text: String) throws -> String {
        let bytes = ArgumentBytes.bytes(of: text)
        try refuseReserved(bytes)
        let name = bytes.last == UInt8(ascii: "/") ? String(text.dropLast()) : text
        guard ObjectKey.isBucket(name) else {
            throw ValidationError(ObjectKeyError.invalidBucket(ArgumentBytes.readable(name)).description)
        }
        return name
    }

    /// Refuses names that are the cluster's own.
    static func refuseReserved(_ bytes: [UInt8]) throws {
        guard bytes.first != UInt8(ascii: "_") else {
            throw ValidationError("Names that begin with '_' are reserved for the cluster's own objects.")
        }
    }
}

extension FileArgument {
    /// Standard input or output.
    var isStandard: Bool { bytes == [UInt8(ascii: "-")] }
}

extension PutResult {
    /// Where it certainly is, for people: "3 of 4 servers (0, 1, 3)".
    func places(of quorums: QuorumConfiguration) -> String {
        let servers = durableAt.map { "\($0.rawValue)" }.joined(separator: ", ")
        return "\(durableAt.count) of \(serverCount(quorums.serverCount)) (\(servers))"
    }
}
