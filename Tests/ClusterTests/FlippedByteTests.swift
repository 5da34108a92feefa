// One server's disk turns bytes: it may refuse to start or serve what it still can, and nobody reads a wrong byte.

import Foundation
import QuorumClient
import QuorumProtocol
import Testing

/// The kinds of bytes that a server stores (docs/storage.md).
enum StoredByte: String, CaseIterable, Sendable {
    case segmentHeader
    case batchHeader
    case metadata
    case payload
    case lastBatch
    case anywhereInTheJournal
    case everywhereInTheJournal
    case index
    case indexNames
    case identity
}

extension Clusters {
    @Suite("One server's disk is damaged", .serialized) struct FlippedBytes {
        @Test(
            "with a flipped byte of any kind every operation succeeds with the right bytes",
            .timeLimit(.minutes(5)), arguments: acceptance([NodeID].four, otherwise: [NodeID(0), NodeID(3)]))
        func flipped(_ server: NodeID) async throws {
            try await withCluster { cluster in
                var generator = SeededGenerator("flipped \(server.rawValue)")
                var stored = try await cluster.withClient { client in
                    var stored = try await cluster.checkOperations(client, "undamaged")
                    // Many small batches, so that there is something behind every kind of byte.
                    for number in 0..<10 {
                        stored += try await cluster.checkOperations(client, "small-\(number)", sizesBytes: [5, 3000])
                    }
                    return stored
                }
                // Only this server's disk is ever touched, so that it stays the one faulty server.
                for (number, kind) in StoredByte.allCases.enumerated() {
                    // An unclean end leaves a journal to replay, a clean one an index to trust.
                    if number % 2 == 0 {
                        cluster.kill(server)
                    } else if cluster.isAlive(server) {
                        _ = try await cluster.terminate(server)
                    }
                    let damage = try StoreDamage(kind, store: cluster.home(server) + "/store", &generator)
                    #expect(!damage.isEmpty, "nothing to flip: \(kind)")
                    try damage.flip()
                    try cluster.launch(server)
                    let starts = await startsListening(cluster, server)
                    try await cluster.withClient { client in
                        try await cluster.check(Array(stored.shuffled(using: &generator).prefix(8)), client)
                        stored += try await cluster.checkOperations(
                            client, "flipped-\(kind)", sizesBytes: [0, 5, 64 << 10])
                    }
                    if !starts {
                        let log = cluster.log(server)
                        #expect(log.contains("store"), "it does not say what is damaged: \(log)")
                        // What was refused was not changed either: with the bytes restored it is the old store.
                        try damage.flip()
                        try await cluster.start(server)
                    }
                }
                try await cluster.withClient { try await cluster.check(stored, $0) }
            }
        }

        /// Whether the server came up on its damaged store; if not, it ended by itself with an error.
        private func startsListening(_ cluster: TestCluster, _ server: NodeID) async -> Bool {
            do {
                try await cluster.waitUntilListening(server)
                return true
            } catch ProcessError.endedEarly(_, let end, let output) {
                guard case .exit(let code) = end, code != 0 else {
                    Issue.record("the server ended with \(end): \(output)")
                    return false
                }
                return false
            } catch {
                Issue.record(error)
                return false
            }
        }
    }
}

/// Places in a store's files whose bytes get turned, and turned back by doing it again.
struct StoreDamage {
    private struct Place {
        let path: String
        let offset: Int
        let mask: UInt8
    }

    private static let pageSizeBytes = 4096
    private static let batchHeaderSizeBytes = 80
    private static let segmentHeaderSizeBytes = 64

    private var places: [Place] = []

    var isEmpty: Bool { places.isEmpty }

    init(_ kind: StoredByte, store: String, _ generator: inout SeededGenerator) throws {
        switch kind {
        case .identity:
            try add("\(store)/store", count: 1, &generator)
        case .index:
            let tables = try File.names("\(store)/index").filter { $0.hasSuffix(".sst") }
            for name in tables { try add("\(store)/index/\(name)", count: 1, &generator) }
            // A server that never flushed has no table yet; its description of none can be damaged instead.
            if tables.isEmpty { try addManifest(store, &generator) }
        case .indexNames:
            try addManifest(store, &generator)
        default:
            try addJournal(kind, store, &generator)
        }
    }

    /// Turns the bytes.
    func flip() throws {
        for place in places {
            guard let file = FileHandle(forUpdatingAtPath: place.path) else { continue }
            defer { try? file.close() }
            try file.seek(toOffset: UInt64(place.offset))
            guard let byte = try file.read(upToCount: 1)?.first else { continue }
            try file.seek(toOffset: UInt64(place.offset))
            try file.write(contentsOf: Data([byte ^ place.mask]))
        }
    }

    private mutating func addManifest(_ store: String, _ generator: inout SeededGenerator) throws {
        for name in try File.names("\(store)/index") where name.hasPrefix("MANIFEST") {
            try add("\(store)/index/\(name)", count: 1, &generator)
        }
    }

    private mutating func addJournal(
        _ kind: StoredByte, _ store: String, _ generator: inout SeededGenerator
    ) throws {
        for name in try File.names("\(store)/journal") where name.hasSuffix(".segment") {
            let path = "\(store)/journal/\(name)"
            let bytes = try File.read(path)
            let batches = stride(from: Self.pageSizeBytes, to: bytes.count, by: Self.pageSizeBytes)
                .filter { bytes[$0...].starts(with: Array("SOLBATCH".utf8)) }
            guard let last = batches.last else { continue }
            switch kind {
            case .segmentHeader:
                append(path, bytes, 0..<Self.segmentHeaderSizeBytes, count: 1, &generator)
            case .batchHeader:
                let batch = batches.randomElement(using: &generator)!
                append(path, bytes, batch..<(batch + Self.batchHeaderSizeBytes), count: 1, &generator)
            case .metadata, .payload:
                let ranges = batches.map { batch in
                    let metadata = batch + Self.batchHeaderSizeBytes
                    let payload = metadata + Self.integer(bytes, at: batch + 56, count: 4)
                    let end = payload + Self.integer(bytes, at: batch + 64, count: 8)
                    return (kind == .metadata ? metadata..<payload : payload..<end).clamped(to: 0..<bytes.count)
                }
                // Some batches carry no part, and what was given back to the disk is zero.
                let filled = ranges.filter { range in bytes[range].contains { $0 != 0 } }
                guard let range = filled.randomElement(using: &generator) else { continue }
                append(path, bytes, range, count: 1, &generator)
            case .lastBatch:
                append(path, bytes, last..<min(bytes.count, last + 300), count: 1, &generator)
            case .anywhereInTheJournal:
                append(path, bytes, 0..<bytes.count, count: 1, &generator)
            default:
                append(path, bytes, 0..<bytes.count, count: 200, &generator)
            }
        }
    }

    private mutating func add(_ path: String, count: Int, _ generator: inout SeededGenerator) throws {
        let bytes = try File.read(path)
        append(path, bytes, 0..<bytes.count, count: count, &generator)
    }

    /// Places where the bytes are not zero: those that are belong to nobody.
    private mutating func append(
        _ path: String, _ bytes: [UInt8], _ range: Range<Int>, count: Int, _ generator: inout SeededGenerator
    ) {
        guard !range.isEmpty else { return }
        var found: Set<Int> = []
        for _ in 0..<(count * 10_000) where found.count < count {
            let offset = Int.random(in: range, using: &generator)
            guard bytes[offset] != 0, found.insert(offset).inserted else { continue }
            places.append(Place(path: path, offset: offset, mask: 1 << UInt8.random(in: 0..<8, using: &generator)))
        }
    }

    private static func integer(_ bytes: [UInt8], at offset: Int, count: Int) -> Int {
        Int(truncatingIfNeeded: bytes[offset..<(offset + count)].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    }
}
