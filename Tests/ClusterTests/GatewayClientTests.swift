// What people point at a gateway, as they get it from PyPI and Debian: everything that it stores comes back as it was,
// while one server of the cluster lies. `make acceptance` has each of them do more of it.

import Foundation
import Glibc
import QuorumFaults
import QuorumProtocol
import Testing

extension Clusters {
    @Suite("Clients of S3", .serialized, .sharedCluster) struct GatewayClients {
        /// How much is stored.
        enum Scale: String, Sendable {
            case smoke, whole

            var bigBytes: Int { self == .smoke ? 20 << 20 : 100 << 20 }
            /// In one folder: more than a page of a listing, when it is to be the whole.
            var fileCount: Int { self == .smoke ? 12 : 1100 }

            static let run = acceptance([Scale.smoke, .whole], otherwise: [.smoke])
        }

        private static let liar = NodeID(0)

        /// Runs `body` with a gateway in front of servers of which one lies.
        private func withLyingCluster(
            encrypts: Bool = false, _ body: (TestGateway) async throws -> Void
        ) async throws {
            let cluster = try SharedCluster.current
            try await cluster.startLiar(Self.liar, .mixture)
            try await withGateway(cluster, encrypts: encrypts, body)
            for server in cluster.servers { #expect(cluster.isAlive(server), "\(server)") }
        }

        private func round(_ client: S3Client, _ scale: Scale) async throws {
            try await withLyingCluster { gateway in
                let round = try S3Round(
                    client, gateway, bucket: "\(client)-\(scale)", sizeBytes: scale.bigBytes, count: scale.fileCount)
                try await round.run()
            }
        }

        @Test(
            "the AWS command line gets back what it stores", .timeLimit(.minutes(10)), .acceptance,
            .installed(S3Client.aws), arguments: Scale.run)
        func aws(scale: Scale) async throws { try await round(.aws, scale) }

        @Test(
            "boto3 gets back what it stores", .timeLimit(.minutes(10)), .acceptance, .installed(S3Client.boto3),
            arguments: Scale.run)
        func boto3(scale: Scale) async throws { try await round(.boto3, scale) }

        @Test(
            "s3cmd gets back what it stores", .timeLimit(.minutes(10)), .installed(S3Client.s3cmd),
            arguments: Scale.run)
        func s3cmd(scale: Scale) async throws { try await round(.s3cmd, scale) }

        @Test(
            "minio gets back what it stores", .timeLimit(.minutes(10)), .installed(S3Client.minio),
            arguments: Scale.run)
        func minio(scale: Scale) async throws { try await round(.minio, scale) }

        @Test(
            "rclone gets back what it stores", .timeLimit(.minutes(10)), .installed(S3Client.rclone),
            arguments: Scale.run)
        func rclone(scale: Scale) async throws { try await round(.rclone, scale) }

        @Test(
            "restic restores what it has backed up, and finds every byte of it right", .timeLimit(.minutes(10)),
            .installed("restic"), arguments: Scale.run)
        func restic(scale: Scale) async throws {
            try await withLyingCluster { gateway in
                let repository = try ResticRepository(gateway, bucket: "restic-\(scale)", sizeBytes: scale.bigBytes)
                try await repository.backUp()
                try await repository.check()
                try await repository.forget()
                try await repository.check()
            }
        }

        @Test(
            "s3fs is a file system in which files are as they were left", .timeLimit(.minutes(10)), .acceptance,
            .enabled(if: S3Mount.isPossible, "s3fs is not installed, or this may not mount (root and /dev/fuse)"))
        func s3fs() async throws {
            try await withLyingCluster { try await S3Mount.exercise($0, sizeBytes: Scale.whole.bigBytes) }
        }

        @Test(
            "clients reach a gateway over TLS when they trust its certificate, and do not when they do not know it",
            .timeLimit(.minutes(5)), .installed("openssl"), .installed(anyOf: S3Client.allCases),
            arguments: acceptance(S3Client.installed, otherwise: Array(S3Client.installed.suffix(1))))
        func encrypted(client: S3Client) async throws {
            try await withLyingCluster(encrypts: true) { gateway in
                let round = try S3Round(client, gateway, bucket: "tls-\(client)", sizeBytes: 3 << 20, count: 3)
                try await round.store()
                try await round.check()
                #expect(try await round.lists(gateway))
                var unknown = gateway
                unknown.certificate = nil
                #expect(!(try await round.lists(unknown)), "\(client) trusts anybody")
            }
        }
    }
}

extension Trait where Self == ConditionTrait {
    static func installed(_ client: S3Client) -> Self {
        .enabled(if: client.isInstalled, "\(client) is not installed; scripts/setup-s3-clients installs it")
    }

    static func installed(_ program: String) -> Self {
        .enabled(
            if: S3Client.find(program) != nil, "\(program) is not installed; scripts/setup-s3-clients installs it")
    }

    static func installed(anyOf clients: [S3Client]) -> Self {
        .enabled(
            if: clients.contains(where: \.isInstalled),
            "none of \(clients) is installed; scripts/setup-s3-clients installs them")
    }
}
