// One faulty server too many: a clear error in time, never a wrong byte, and everything again once they are back.

import Foundation
import QuorumClient
import QuorumProtocol
import Testing

extension Clusters {
    @Suite("Two servers down", .serialized, .sharedCluster) struct TwoServersDown {
        private static let pairs: [[NodeID]] = acceptance([[0, 1], [1, 3], [2, 3]], otherwise: [[1, 3]])
            .map { $0.map { NodeID($0) } }

        @Test(
            "two killed: operations are unavailable and name them; afterwards nothing is lost",
            .timeLimit(.minutes(3)), arguments: pairs)
        func killed(_ victims: [NodeID]) async throws {
            let cluster = try SharedCluster.current
            let label = victims.map { "\($0.rawValue)" }.joined()
            let before = try await cluster.withClient { try await cluster.checkOperations($0, "two-killed-\(label)") }
            for victim in victims { cluster.kill(victim) }
            try await expectUnavailable(cluster, before, naming: victims)
            for victim in victims { try await cluster.start(victim) }
            try await cluster.withClient { client in
                try await cluster.check(before, client)
                try await cluster.checkOperations(client, "two-back-\(label)")
            }
        }

        @Test(
            "two stopped: operations are unavailable and name them; afterwards nothing is lost",
            .timeLimit(.minutes(3)), arguments: [[NodeID(0), NodeID(2)]])
        func frozen(_ victims: [NodeID]) async throws {
            let cluster = try SharedCluster.current
            let before = try await cluster.withClient { try await cluster.checkOperations($0, "two-stopped") }
            for victim in victims { cluster.freeze(victim) }
            defer { for victim in victims { cluster.thaw(victim) } }
            try await expectUnavailable(cluster, before, naming: victims)
            for victim in victims { cluster.thaw(victim) }
            try await cluster.withClient { client in
                try await cluster.check(before, client)
                try await cluster.checkOperations(client, "two-thawed")
            }
        }

        @Test(
            "one killed and one that lies: errors or the right bytes; afterwards nothing is lost",
            .timeLimit(.minutes(4)),
            arguments: acceptance(
                [Lie.silence, .randomBytes, .mutatedBytes, .refusals, .inflatedClaims, .garbageFragments, .wrongType],
                otherwise: [.silence, .mutatedBytes, .garbageFragments]))
        func lies(_ lie: Lie) async throws {
            let cluster = try SharedCluster.current
            let before = try await cluster.withClient { try await cluster.checkOperations($0, "one-lies-\(lie)") }
            let (dead, liar) = (NodeID(2), NodeID(0))
            cluster.kill(dead)
            #expect(try await cluster.terminate(liar) == .exit(0))
            let impostor = try await Impostor.start(cluster, liar, lie)
            do {
                try await cluster.withClient(timeoutMilliseconds: 1000) { client in
                    await withTaskGroup(of: Void.self) { group in
                        for item in before {
                            group.addTask {
                                do throws(ClientError) {
                                    #expect(try await client.get(item.key).value == item.value)
                                } catch {
                                    expectUnavailableOrRefused(error)
                                }
                            }
                        }
                    }
                }
            } catch {
                Issue.record(error)
            }
            await impostor.shutdown()
            try await cluster.start(liar)
            try await cluster.start(dead)
            try await cluster.withClient { client in
                try await cluster.check(before, client)
                try await cluster.checkOperations(client, "one-lied-\(lie)", sizesBytes: [5, 64 << 10])
            }
        }

        private func expectUnavailableOrRefused(_ error: ClientError) {
            switch error {
            case .unavailable, .refused: break
            default: Issue.record("\(error)")
            }
        }

        /// Reads and writes, of the library and of the command line, fail and name the servers.
        private func expectUnavailable(
            _ cluster: TestCluster, _ stored: [StoredValue], naming victims: [NodeID]
        ) async throws {
            let (key, value) = (stored[2].key, stored[2].value)
            try await cluster.withClient(timeoutMilliseconds: 1000) { client in
                async let get = failure(of: { () throws(ClientError) in _ = try await client.get(key) })
                async let head = failure(of: { () throws(ClientError) in _ = try await client.head(key) })
                async let put = failure(of: { () throws(ClientError) in _ = try await client.put(key, value) })
                let other = try ObjectKey("tests/never-deleted")
                async let delete = failure(of: { () throws(ClientError) in _ = try await client.delete(other) })
                for error in await [get, head, put, delete] {
                    guard case .unavailable? = error else {
                        Issue.record("with \(victims) down: \(String(describing: error))")
                        continue
                    }
                    for victim in victims { #expect(error!.description.contains("\(victim)"), "\(error!)") }
                }
            }
            let file = cluster.directory + "/unavailable"
            try File.write(file, [1])
            defer { File.remove(file) }
            for arguments in [["get", "\(key)", file], ["put", "\(key)", file]] {
                let result = try await cluster.run(arguments + ["--cluster", cluster.directory, "--timeout", "1"])
                #expect(result.end == .exit(4), "\(arguments[0]): \(result)")
                for victim in victims { #expect(result.output.contains("\(victim)"), "\(result)") }
            }
            #expect(try File.read(file) == [1], "a failed get changed its file")
        }

        private func failure(
            of operation: @Sendable () async throws(ClientError) -> Void
        ) async -> ClientError? {
            do throws(ClientError) {
                try await operation()
                return nil
            } catch {
                return error
            }
        }
    }
}
