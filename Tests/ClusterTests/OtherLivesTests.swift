// Whom clients listen to when servers lose their memory: nobody who goes by a list of keys that they have not, and
// nobody who has been replaced (docs/protocol.md, Rebuilding).

import ClusterFiles
import Crypto
import ErasureCode
import QuorumClient
import QuorumProtocol
import QuorumTransport
import Testing

extension BesiegedClusters {
    @Suite("Servers of other lists and lives", .serialized) struct OtherLives {
        /// What a server that answers questions truthfully says of itself in its HELLO.
        enum Hello: CaseIterable {
            case asListed
            /// It goes by a list of keys that nobody else has, and hands it to nobody.
            case newerKeys
            /// It is in its first life, and the list names its second.
            case earlierLife

            func scope(_ cluster: ClusterDescription) -> ClusterScope {
                let scope = cluster.scope(incarnation: Incarnation(1))
                guard self == .newerKeys else { return scope }
                var versions = scope.listVersions
                versions.keys += 1
                return ClusterScope(
                    clusterID: scope.clusterID, epoch: scope.epoch, configurationDigest: scope.configurationDigest,
                    partTags: scope.partTags, listVersions: versions, incarnation: scope.incarnation) ?? scope
            }
        }

        @Test(
            "a server is listened to only if it goes by no newer list, and is in no earlier life",
            .timeLimit(.minutes(2)), arguments: Hello.allCases)
        func heard(_ hello: Hello) async throws {
            try await withCluster { cluster in
                let (server, away) = (cluster.servers[0], cluster.servers[1])
                let key = try ObjectKey("tests/heard")
                let value = SeededBytes.make("heard", 50_000)
                try await cluster.withClient { _ = try await $0.put(key, value) }
                #expect(try await cluster.terminate(server) == .exit(0))
                // Nobody tells it what it is not to know.
                try cluster.set(server, "anti_entropy_seconds = 0")
                // It lies about COMMIT only, and nothing is written here.
                let impostor = try await Impostor.start(
                    cluster, server, .acknowledgesWithoutStoring, scope: hello.scope)
                do {
                    if hello == .earlierLife {
                        let next = KeyEntry(
                            node: server, incarnation: Incarnation(2), key: P256.Signing.PrivateKey().publicKey)
                        _ = try OperatorHome(clusterDirectory: cluster.directory).add(next)
                        _ = try await cluster.reloadLists()
                    }
                    cluster.kill(away)
                    // Two others are no quorum without it.
                    try await cluster.withClient(timeoutMilliseconds: hello == .asListed ? 30_000 : 5000) { client in
                        guard hello != .asListed else {
                            let object = try await client.get(key)
                            #expect(object.value == value)
                            return
                        }
                        await #expect(throws: ClientError.self) { _ = try await client.get(key) }
                    }
                } catch {
                    await impostor.shutdown()
                    throw error
                }
                await impostor.shutdown()
            }
        }
    }
}
