// Copies of cluster.toml that differ: who has the wrong one is told which server has another, and in what.

import Crypto
import Foundation
import QuorumProtocol
import Testing

@testable import ClusterFiles

extension Clusters {
    @Suite("Copies of cluster.toml that differ", .serialized) struct OtherConfigurations {
        private static let difference =
            "its cluster.toml of this epoch is another than ours: they differ in stripe_bytes"

        /// The cluster's configuration with larger stripes, as the operator would have signed it.
        private func otherStripes(_ cluster: TestCluster) throws -> String {
            let key = try P256.Signing.PrivateKey(pemRepresentation: File.text(cluster.directory + "/operator/key.pem"))
            let parameters = cluster.configuration.parameters
            var limits = parameters.limits
            limits.stripeSizeBytesMax *= 2
            return try ClusterConfiguration(
                parameters: ClusterParameters(parameters.configuration, limits: limits), signedBy: key
            ).toml()
        }

        /// Puts what lies in a cluster's directory into another one, but for the servers, with this cluster.toml.
        private func copy(_ cluster: TestCluster, to directory: String, with configuration: String) throws {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            for name in ["addresses.toml", "keys.toml", "access.toml", "clients"] {
                try FileManager.default.copyItem(atPath: "\(cluster.directory)/\(name)", toPath: "\(directory)/\(name)")
            }
            try File.write(directory + "/cluster.toml", Array(configuration.utf8))
        }

        @Test("a client is told by each server, and does not wait for what would not come", .timeLimit(.minutes(1)))
        func client() async throws {
            try await withCluster { cluster in
                let place = cluster.directory + "/copy"
                try copy(cluster, to: place, with: otherStripes(cluster))
                let get = try await cluster.run(["get", "b/k", "-", "--cluster", place, "--timeout", "2"])
                #expect(get.end == .exit(4), "\(get)")
                for server in cluster.servers {
                    let start = "server \(server.rawValue): server \(server.rawValue) at "
                    #expect(get.output.contains("  \(start)127.0.0.1:\(cluster.port(server)) refused"), "\(get)")
                }
                #expect(get.output.components(separatedBy: Self.difference).count == 5, "\(get)")
                #expect(!get.output.contains("closed it"), "\(get)")
                let status = try await cluster.run(["status", place])
                #expect(status.end == .exit(4), "\(status)")
                #expect(status.output.components(separatedBy: Self.difference).count == 5, "\(status)")

                // What nobody has signed is no configuration at all.
                let text = try File.text(cluster.directory + "/cluster.toml")
                    .replacingOccurrences(
                        of: "stripe_bytes = \(cluster.stripeSizeBytes)", with: "stripe_bytes = 1048576")
                try File.write(place + "/cluster.toml", Array(text.utf8))
                let unsigned = try await cluster.run(["get", "b/k", "-", "--cluster", place])
                #expect(unsigned.end == .exit(6) && unsigned.output.contains("\(place)/cluster.toml"), "\(unsigned)")
                #expect(unsigned.output.contains("sign"), "\(unsigned)")
            }
        }

        @Test("one server with another copy is warned of by name, and the others do", .timeLimit(.minutes(1)))
        func server() async throws {
            try await withCluster(starts: false) { cluster in
                let home = cluster.home(NodeID(2))
                try copy(cluster, to: home + "/copy", with: otherStripes(cluster))
                for name in ["cluster.toml", "addresses.toml", "keys.toml", "access.toml"] {
                    try FileManager.default.moveItem(atPath: "\(home)/copy/\(name)", toPath: "\(home)/\(name)")
                }
                try await cluster.startAll()
                try await cluster.makeBucket("b")
                try File.write(cluster.directory + "/value", [1])
                let put = try await cluster.run(
                    ["put", "b/k", cluster.directory + "/value", "--cluster", cluster.directory])
                #expect(put.end == .exit(0) && put.output.contains("durable at 3 of 4 servers (0, 1, 3)"), "\(put)")
                #expect(put.output.contains("warning: server 2 did not take part"), "\(put)")
                #expect(put.output.contains(Self.difference), "\(put)")
            }
        }
    }
}
