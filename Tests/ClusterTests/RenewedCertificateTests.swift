// Renewing the certificates of all servers on real processes, while a client goes on.

import Foundation
import Glibc
import QuorumClient
import QuorumProtocol
import Testing

extension Clusters {
    @Suite("Renewed certificates", .serialized) struct RenewedCertificates {
        private func renew(
            _ cluster: TestCluster, _ arguments: String..., endingWith code: Int32 = 0,
            sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            let result = try await cluster.run(
                ["cluster", "renew-certificates", cluster.directory] + arguments, seconds: 60)
            #expect(result.end == .exit(code), "\(result)", sourceLocation: sourceLocation)
        }

        private func certificates(_ cluster: TestCluster) throws -> [String] {
            try cluster.servers.map { try File.text("\(cluster.home($0))/certificate.pem") }
        }

        @Test(
            "take the place of the old ones without a restart, and a client that goes on notices nothing",
            .timeLimit(.minutes(4)))
        func unnoticed() async throws {
            try await withCluster(starts: false) { cluster in
                let up = try await cluster.run(["cluster", "up", cluster.directory, "--detach"])
                #expect(up.end == .exit(0), "\(up)")
                try await cluster.makeBucket("b")
                let old = try certificates(cluster)
                let isOver = Flag()
                let key = try ObjectKey("b/same")
                let program = Task {
                    try await cluster.withClient { client in
                        var count = 0
                        while !isOver.isRaised {
                            let value = SeededBytes.make("program \(count)", 3000 + count)
                            _ = try await client.put(key, value)
                            #expect(try await client.get(key).value == value, "\(count)")
                            count += 1
                        }
                        return count
                    }
                }
                // Nothing is listed that could take their place yet.
                try await renew(cluster, "--finish")
                #expect(try certificates(cluster) == old)
                // Twice, as after an interruption.
                try await renew(cluster)
                try await renew(cluster)
                #expect(try certificates(cluster) == old)
                let listed = try File.text("\(cluster.directory)/addresses.toml")
                #expect(listed.components(separatedBy: "second_certificate_pin").count == 5, "\(listed)")
                try await renew(cluster, "--finish")
                let new = try certificates(cluster)
                #expect(zip(old, new).allSatisfy { $0 != $1 })
                #expect(!(try File.text("\(cluster.directory)/addresses.toml")).contains("second_certificate_pin"))
                // A command that begins now is shown the new ones; and so it goes with the next ones.
                let status = try await cluster.run(["cluster", "status", cluster.directory])
                #expect(status.end == .exit(0) && status.output.contains("certificate for 365"), "\(status)")
                try await renew(cluster)
                try await renew(cluster, "--finish")
                #expect(zip(new, try certificates(cluster)).allSatisfy { $0 != $1 })
                isOver.raise()
                #expect(try await program.value > 0)
                let down = try await cluster.run(["cluster", "down", cluster.directory])
                #expect(down.end == .exit(0), "\(down)")
                // The homes are whole: they start again.
                let again = try await cluster.run(["cluster", "up", cluster.directory, "--detach"])
                #expect(again.end == .exit(0), "\(again)")
                #expect(try await cluster.run(["cluster", "down", cluster.directory]).end == .exit(0))
            }
        }

        @Test("Servers that are down keep the old ones valid until they have come", .timeLimit(.minutes(2)))
        func serverDown() async throws {
            try await withCluster(starts: false) { cluster in
                let up = try await cluster.run(["cluster", "up", cluster.directory, "--detach"])
                #expect(up.end == .exit(0), "\(up)")
                try await renew(cluster)
                let stop = try await cluster.run(["cluster", "down", cluster.directory, "--server", "2"])
                #expect(stop.end == .exit(0), "\(stop)")
                try await renew(cluster, "--finish", endingWith: 4)
                #expect(try File.text("\(cluster.directory)/addresses.toml").contains("second_certificate_pin"))
                let start = try await cluster.run(["cluster", "up", cluster.directory, "--detach", "--server", "2"])
                #expect(start.end == .exit(0), "\(start)")
                try await renew(cluster, "--finish")
                #expect(!(try File.text("\(cluster.directory)/addresses.toml")).contains("second_certificate_pin"))
                #expect(try await cluster.run(["cluster", "down", cluster.directory]).end == .exit(0))
            }
        }
    }
}
