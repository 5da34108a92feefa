// Fills the stores of a cluster whose servers do not run, with what they would have if a client had put so many
// objects: encoded, signed by the servers' own keys, certified and charged.
//
// A round of objects is encoded on all processors while the round before goes to the disks. Nothing of earlier rounds
// is kept, so memory does not grow with the number of objects.

import ClusterFiles
import Dispatch
import ErasureCode
import Glibc
import QuorumProtocol
import Synchronization

/// Writes what a `SeedPlan` says.
package struct StoreSeeder {
    /// So many statements to a signature, as servers have under load.
    private static let objectsPerSignature = 64
    /// So many objects to a sync, and not much more than so many bytes of values.
    private static let signaturesPerRoundMax = 32
    private static let bytesPerRound = 16 << 20

    private let plan: SeedPlan
    private let parameters: ClusterParameters
    private let writer: ClientID
    private let servers: [SeededServer]
    private let modifiedMilliseconds: UInt64
    private let objectsPerSignature: Int

    /// Opens the stores of the cluster in `directory`.
    ///
    /// - Throws: what is wrong with its files, `SeedingError`, and `StorageError` when a store cannot be opened, also
    ///   because a server runs.
    package init(_ plan: SeedPlan, clusterDirectory directory: String) throws {
        let cluster = try ClusterDescription(directory: directory)
        if let complaint = plan.complaint(cluster.parameters) { throw complaint }
        _ = try plan.key(0)
        self.plan = plan
        parameters = cluster.parameters
        writer = try ClientHome(clusterDirectory: directory, client: plan.client).id
        var servers: [SeededServer] = []
        do {
            for entry in cluster.servers {
                let home = try ServerHome(path: "\(directory)/servers/\(entry.node.rawValue)")
                servers.append(try SeededServer(home: home))
            }
        } catch {
            for server in servers { server.abandon() }
            throw error
        }
        self.servers = servers
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        modifiedMilliseconds = UInt64(time.tv_sec) * 1000 + UInt64(time.tv_nsec) / 1_000_000
        objectsPerSignature = max(1, min(Self.objectsPerSignature, Self.bytesPerRound / max(1, plan.valueSizeBytes)))
    }

    /// Writes the bucket's record and all objects, and closes the stores.
    ///
    /// - Parameter progress: told how many objects every store has.
    /// - Throws: `SeedingError.exists`, and then nothing was written; and `StorageError`, and then some of the objects may
    ///   have been.
    package func run(progress: (Int) -> Void = { _ in }) throws {
        do {
            for server in servers { try server.checkIsNew(plan.bucket) }
            try writeAll(progress)
            for server in servers { try server.close() }
        } catch {
            for server in servers { server.abandon() }
            throw error
        }
    }

    private func writeAll(_ progress: (Int) -> Void) throws {
        let bucket = try ObjectKey(recordOf: plan.bucket)
        let record = EncodedObject(
            bucket, value: SharedBytes(), modifiedMilliseconds: modifiedMilliseconds, writer: writer,
            parameters: parameters
        ) { _ in true }
        let storing = Storing(servers)
        storing.begin(try certified([record]))
        let bytesPerSignature = objectsPerSignature * max(1, plan.valueSizeBytes)
        let signatureCount = max(1, min(Self.signaturesPerRoundMax, Self.bytesPerRound / bytesPerSignature))
        let perRound = signatureCount * objectsPerSignature
        for first in stride(from: 0, to: plan.objectCount, by: perRound) {
            let round = try encodedRound(first..<min(first + perRound, plan.objectCount))
            try storing.finish()
            storing.begin(round)
            progress(first)
        }
        try storing.finish()
        progress(plan.objectCount)
    }

    /// The objects of a round, on all processors.
    private func encodedRound(_ numbers: Range<Int>) throws -> [SeededObject] {
        let starts = Array(stride(from: numbers.lowerBound, to: numbers.upperBound, by: objectsPerSignature))
        let results = Mutex([Result<[SeededObject], any Error>?](repeating: nil, count: starts.count))
        DispatchQueue.concurrentPerform(iterations: starts.count) { index in
            let batch = starts[index]..<min(starts[index] + objectsPerSignature, numbers.upperBound)
            let result = Result { try certified(batch.map(encoded)) }
            results.withLock { $0[index] = result }
        }
        return try results.withLock { $0 }.flatMap { try $0?.get() ?? [] }
    }

    private func encoded(_ number: Int) throws -> EncodedObject {
        EncodedObject(
            try plan.key(number), value: plan.value(number), modifiedMilliseconds: modifiedMilliseconds,
            writer: writer, parameters: parameters
        ) { plan.isHeld(number, by: $0) }
    }

    /// One signature of each server over all that it holds of these. Each certificate is made of a quorum's statements,
    /// and leaves out another server than the one before, as those do that clients make of whoever answers first.
    private func certified(_ objects: [EncodedObject]) throws -> [SeededObject] {
        var statements = [[SignedStatement]](repeating: [], count: objects.count)
        for server in servers {
            let held = objects.indices.filter { objects[$0].holders.contains(server.node) }
            let signed = try server.signer.sign(
                held.map { objects[$0].statement(of: server.node, server.signer.incarnation) })
            for (index, statement) in zip(held, signed) { statements[index].append(statement) }
        }
        return zip(objects, statements).enumerated().map { turn, pair in
            let (object, statements) = pair
            let quorum = (0..<min(parameters.quorums.quorum, statements.count)).map {
                statements[(turn + $0) % statements.count]
            }
            return SeededObject(object, object.placement.certificate(of: object.timestamp, quorum))
        }
    }
}

/// Objects on their way to all servers' stores at once, one round at a time.
private final class Storing: Sendable {
    private let servers: [SeededServer]
    private let underWay = DispatchGroup()
    private let failure = Mutex<(any Error)?>(nil)

    init(_ servers: [SeededServer]) { self.servers = servers }

    /// Starts storing; `finish` must follow before the next round.
    func begin(_ objects: [SeededObject]) {
        for server in servers {
            DispatchQueue.global().async(group: underWay) {
                do {
                    try server.store(objects)
                } catch {
                    self.failure.withLock { $0 = $0 ?? error }
                }
            }
        }
    }

    /// Returns when all is durable.
    func finish() throws {
        underWay.wait()
        if let failure = failure.withLock({ $0 }) { throw failure }
    }
}
