// What the object commands have in common: which cluster, as which client, how patiently.

import ArgumentParser
import ClusterFiles
import Foundation
import QuorumClient
import QuorumProtocol

/// The options that say which cluster is used and how.
struct ClientArguments: ParsableArguments {
    static let environmentName = "SOLIDUS_CLUSTER"

    @Option(help: "The cluster's directory; the environment's SOLIDUS_CLUSTER when not given.")
    var cluster: String?
    @Option(help: "The client to be, by its name in access.toml; the first one listed when not given.")
    var client: String?
    @Option(help: "How many seconds the operation may take.")
    var timeout: Double = 15

    mutating func validate() throws {
        guard timeout > 0, timeout <= 86_400 else {
            throw ValidationError("--timeout must be more than 0 and at most 86400 seconds.")
        }
    }

    /// The client's home.
    func home() throws -> ClientHome {
        let named = cluster ?? ProcessInfo.processInfo.environment[Self.environmentName] ?? ""
        guard !named.isEmpty else {
            throw ValidationError("No cluster: give --cluster DIR or set \(Self.environmentName).")
        }
        return try ClientHome(clusterDirectory: named, client: client)
    }

    /// Runs `body` with a client that is closed afterwards.
    func withClient<T>(
        _ home: ClientHome, writesPartially: Bool = false, _ body: (ObjectClient) async throws(ClientError) -> T
    ) async throws(ClientError) -> T {
        var options = ClientOptions()
        options.timeoutMilliseconds = max(1, Int(timeout * 1000))
        options.writesPartially = writesPartially
        let client = try ObjectClient(home: home, options: options)
        do throws(ClientError) {
            let result = try await body(client)
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }
}

/// An object's key on the command line.
struct ObjectArgument: ParsableArguments {
    @Argument(
        help: "The object, BUCKET/KEY.",
        transform: { text in
            do throws(ObjectKeyError) {
                return try ObjectKey(text)
            } catch {
                throw ValidationError(error.description)
            }
        })
    var object: ObjectKey
}

extension Timestamp {
    /// The version's full name, for programs: counter, writer and digest.
    var fullName: String { "\(counter)@\(writer):\(digest)" }
}
