// Audits of real processes: what is damaged on their disks is found, all of it and nothing else, and so are liars.

import ClusterFiles
import ErasureCode
import Foundation
import Glibc
import QuorumClient
import QuorumFaults
import QuorumProtocol
import Testing

/// What `solidus audit --json` prints.
private struct AuditReport: Decodable {
    struct Server: Decodable {
        let server: Int
        let good: Int
        let wrong: Int
        let missing: Int
        let unreadable: Int
        let silent: Int
    }
    struct Stripe: Decodable {
        let object: String
        let stripe: Int
        let isConclusive: Bool
        let servers: [String: String]
    }

    let stripes: Int
    let inconclusive: Int
    let servers: [Server]
    let troubles: [Stripe]

    /// The servers that are told to have something else than good fragments, or none at all.
    var blamed: Set<Int> { Set(servers.filter { $0.good + $0.silent < stripes }.map(\.server)) }
}

extension TestCluster {
    /// Audits with the command line.
    fileprivate func audit(
        _ bucket: String? = nil, client: String? = nil, ends code: Int32,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> AuditReport {
        let options = (bucket.map { [$0] } ?? []) + (client.map { ["--client", $0] } ?? [])
        let result = try await run(["audit", "--json", "--cluster", directory] + options, seconds: 120)
        #expect(result.end == .exit(code), "\(result)", sourceLocation: sourceLocation)
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(AuditReport.self, from: Data(result.output.utf8))
    }
}

extension BesiegedClusters {
    @Suite("Audits", .serialized) struct Audits {
        /// Servers that mend nothing meanwhile, and read nothing of their own accord.
        private static let idle = [
            "repair_mib_per_second = 0", "anti_entropy_seconds = 0", "scrub_seconds = 0",
        ]
        private static let smallCount = 90
        private static let largeSizeBytes = (24 << 20) - 100

        private static func smallValue(_ number: Int) -> SharedBytes {
            SeededBytes.make("small \(number)", 32 << 10)
        }
        private static let largeValue = SeededBytes.make("large", largeSizeBytes)

        private func withIdleCluster(
            mode: VerificationMode = .fingerprint, _ body: (TestCluster) async throws -> Void
        ) async throws {
            try await withCluster(starts: false, change: { $0.mode = mode }) { cluster in
                for server in cluster.servers { for line in Self.idle { try cluster.set(server, line) } }
                try await cluster.startAll()
                try await cluster.makeBucket("audited")
                try await body(cluster)
            }
        }

        /// Stores small objects and a large one. Returns how the large one is divided into stripes.
        @discardableResult
        private func fill(_ cluster: TestCluster, smallCount: Int = smallCount) async throws -> ObjectLayout {
            return try await cluster.withClient { client in
                // What is put before all are connected goes to some of them only.
                let deadline = ContinuousClock.now + .seconds(30)
                repeat {
                    _ = try await client.put(try ObjectKey("warm/x"), SharedBytes([1]))
                    let audit = await client.audit(bucket: "warm") { _, _ in }
                    if audit.tally.standings.isEmpty, audit.failures.isEmpty { break }
                } while ContinuousClock.now < deadline
                for number in 0..<smallCount {
                    _ = try await client.put(try ObjectKey("audited/\(number)"), Self.smallValue(number))
                }
                _ = try await client.put(try ObjectKey("audited/large"), Self.largeValue)
                _ = try await client.put(try ObjectKey("audited/empty"), SharedBytes())
                // A put waits for a quorum; what goes to the others goes as long as the client is there.
                while ContinuousClock.now < deadline {
                    let audit = await client.audit(bucket: "audited") { _, _ in }
                    if audit.tally.standings.isEmpty, audit.failures.isEmpty { break }
                }
                return try await client.head(try ObjectKey("audited/large")).layout
            }
        }

        /// A server marks only so many parts as lost in a minute, and cannot read the others.
        private static let losses: Set = ["missing", "unreadable"]

        private struct Damage: Hashable {
            let object: String
            let stripe: Int
            let server: Int
        }

        /// Turns a bit of a fragment on a server's disk.
        private func damage(
            _ key: ObjectKey, stripe: Int, block: SharedBytes, at position: Int, _ cluster: TestCluster,
            _ journals: [NodeID: Journal]
        ) throws -> Damage {
            let parameters = cluster.configuration.parameters
            let node = parameters.placement(of: key).nodes[position]
            let fragment = parameters.quorums.code.encode(block: block)[position].array
            guard let journal = journals[node] else { throw JournalBytes.Missing(directory: "\(node)") }
            // Whoever shows what failed would show all of the journal.
            let place = journal.place(of: Array(fragment[100..<140]))
            try journal.bytes.flip(try #require(place, "\(key), stripe \(stripe), at \(node)"))
            return Damage(object: key.text, stripe: stripe, server: Int(node.rawValue))
        }

        /// A journal as it is, to find many places in it.
        private struct Journal {
            let bytes: JournalBytes
            private let files: [(path: String, contents: [UInt8])]

            init(_ directory: String) throws {
                bytes = JournalBytes(directory: directory)
                files = try File.names(directory).map {
                    ("\(directory)/\($0)", try File.read("\(directory)/\($0)"))
                }
            }

            func place(of part: [UInt8]) -> (path: String, offset: Int)? {
                for (path, contents) in files {
                    let offset = contents.withUnsafeBytes { all -> Int? in
                        guard let start = all.baseAddress else { return nil }
                        var place = 0
                        while all.count - place >= part.count,
                            let found = memchr(start + place, Int32(part[0]), all.count - part.count - place + 1)
                        {
                            if memcmp(found, part, part.count) == 0 { return UnsafeRawPointer(found) - start }
                            place = UnsafeRawPointer(found) - start + 1
                        }
                        return nil
                    }
                    if let offset { return (path, offset) }
                }
                return nil
            }
        }

        @Test(
            "a hundred damaged fragments are each found at the server that has them, and nothing else is",
            .timeLimit(.minutes(4)))
        func damaged() async throws {
            try await withIdleCluster { cluster in
                let layout = try await fill(cluster)
                let count = Self.smallCount + Int(layout.stripeCount)
                let whole = try await cluster.audit("audited", ends: 0)
                #expect(whole.stripes == count && whole.troubles.isEmpty && whole.blamed.isEmpty)

                // Of no stripe more than one, beyond which nobody can say whose are right.
                var generator = SeededGenerator("audited")
                var damages: Set<Damage> = []
                let journals = try Dictionary(
                    uniqueKeysWithValues: cluster.servers.map {
                        ($0, try Journal("\(cluster.home($0))/store/journal"))
                    })
                for number in 0..<Self.smallCount {
                    damages.insert(
                        try damage(
                            try ObjectKey("audited/\(number)"), stripe: 0, block: Self.smallValue(number),
                            at: .random(in: 0..<4, using: &generator), cluster, journals))
                }
                let large = Self.largeValue
                for stripe in (0..<Int(layout.stripeCount)).shuffled(using: &generator).prefix(10) {
                    let start = stripe * layout.stripeSizeBytes
                    let block = large[start..<min(large.count, start + layout.stripeSizeBytes)]
                    damages.insert(
                        try damage(
                            try ObjectKey("audited/large"), stripe: stripe, block: block,
                            at: .random(in: 0..<4, using: &generator), cluster, journals))
                }
                #expect(damages.count == 100)

                // They notice it with the first audit, and know of it with the second.
                for _ in 0..<2 {
                    let found = try await cluster.audit("audited", ends: 11)
                    var told: Set<Damage> = []
                    for trouble in found.troubles {
                        #expect(trouble.isConclusive && trouble.servers.values.allSatisfy(Self.losses.contains))
                        for server in trouble.servers.keys {
                            told.insert(
                                Damage(object: trouble.object, stripe: trouble.stripe, server: Int(server) ?? -1))
                        }
                    }
                    #expect(told == damages)
                    #expect(found.stripes == count && found.troubles.count == 100)
                    for server in found.servers {
                        let own = damages.count { $0.server == server.server }
                        #expect(server.missing + server.unreadable == own && server.good == count - own, "\(server)")
                    }
                }
                let text = try await cluster.run(["audit", "--cluster", cluster.directory])
                #expect(text.end == .exit(11) && text.output.contains("missing"), "\(text)")
            }
        }

        @Test(
            "a server that is down is silent, and too many of them end the audit", .timeLimit(.minutes(3))
        )
        func down() async throws {
            try await withIdleCluster { cluster in
                let large = Int(try await fill(cluster, smallCount: 5).stripeCount)
                cluster.kill(cluster.servers[3])
                let found = try await cluster.audit(ends: 0)
                #expect(found.stripes == 6 + large && found.troubles.isEmpty)
                #expect(found.servers.map(\.silent) == [0, 0, 0, found.stripes])
                #expect(found.servers.map(\.good) == [found.stripes, found.stripes, found.stripes, 0])
                cluster.freeze(cluster.servers[2])
                _ = try await cluster.audit(ends: 4)
                cluster.thaw(cluster.servers[2])
            }
        }

        @Test("only who administers a bucket may have it audited", .timeLimit(.minutes(2)))
        func rights() async throws {
            try await withIdleCluster { cluster in
                let operatorHome = try OperatorHome(clusterDirectory: cluster.directory)
                for (name, rights) in [
                    ("guest", ["*:read,write,list"]), ("keeper", ["audited:admin"]),
                ] {
                    let grants = try rights.map { try #require(Grant($0)) }
                    _ = try operatorHome.add(NewClient(name: name, grants: grants))
                }
                _ = try await cluster.reload()
                let large = Int(try await fill(cluster, smallCount: 3).stripeCount)
                for arguments in [
                    ["--client", "guest"], ["audited", "--client", "guest"], ["--client", "keeper"],
                ] {
                    let refused = try await cluster.run(
                        ["audit", "--cluster", cluster.directory] + arguments)
                    #expect(refused.end == .exit(5) && refused.output.contains("refused"), "\(refused)")
                }
                let own = try await cluster.audit("audited", client: "keeper", ends: 0)
                #expect(own.stripes == 3 + large)
            }
        }

        private static let liar = NodeID(1)

        /// Whatever else a liar says, nobody else is blamed.
        @Test(
            "a server that lies to auditors is found, or makes nobody else look bad",
            .timeLimit(.minutes(4)),
            arguments: casesByMode(
                [
                    .fingerprint: AuditLie.allCases, .none: [.randomFingerprints, .discardedFragments],
                    .full: acceptance([.randomFingerprints], otherwise: []),
                    .lazy: acceptance([.randomFingerprints, .omission], otherwise: [.randomFingerprints]),
                    .readTime: acceptance([.discardedFragments, .mixture], otherwise: [.omission]),
                ] as [VerificationMode: [AuditLie]]))
        func lying(_ test: ModeCase<AuditLie>) async throws {
            try await withIdleCluster(mode: test.mode) { cluster in
                let (small, large) = (20, Int(try await fill(cluster, smallCount: 20).stripeCount))
                try await cluster.startLiar(Self.liar, .slow, audits: test.action)
                let isFound = [.randomFingerprints, .discardedFragments, .omission].contains(test.action)
                let result = try await cluster.run([
                    "audit", "audited", "--json", "--cluster", cluster.directory,
                ])
                let code = result.end
                #expect(isFound ? code == .exit(11) : [.exit(0), .exit(11)].contains(code), "\(result)")
                let decoder = JSONDecoder()
                decoder.keyDecodingStrategy = .convertFromSnakeCase
                let found = try decoder.decode(AuditReport.self, from: Data(result.output.utf8))
                #expect(found.stripes == small + large && found.inconclusive == 0, "\(result)")
                #expect(found.blamed.isSubset(of: [Int(Self.liar.rawValue)]), "\(result)")
                let server = try #require(found.servers.first { $0.server == Int(Self.liar.rawValue) })
                switch test.action {
                case .randomFingerprints: #expect(server.wrong == small + large)
                case .discardedFragments:
                    let count = (0..<large).count { $0 % 10 == 3 }
                    #expect(server.wrong == count && server.good == small + large - count)
                case .omission: #expect(server.missing == small + large)
                case .silence, .otherPlaces: #expect(server.silent == small + large)
                case .invention, .earlyEnd, .mixture: break
                }
            }
        }
    }
}
