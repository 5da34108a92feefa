// Where the time of a single write goes: what each part takes by itself, measured in this process with the functions
// that clients and servers use, against the latency that a client saw.
//
// The parts are those on a write's way: one client, and one server for all of them, which work side by side; only the
// syncs are timed as they are done, at all servers at once, since here all servers share a disk. Encoding runs beside
// the first round, and on a machine with fewer processors than servers these wait for each other; both are in the rest.

import BenchmarkResults
import ErasureCode
import Fingerprint
import InProcessWork
import QuorumProtocol

/// One mode's parts; the last is the rest.
struct Breakdown {
    let mode: VerificationMode
    let parts: [BreakdownPart]

    static let modes: [VerificationMode] = [.fingerprint, .readTime]
    static let workload = Workload(
        faults: 1, dataFragmentCount: 2, operation: .put, size: ByteSize(bytes: 64 << 10), clientCount: 1)

    /// Nil when the run has not measured the workload in this mode.
    ///
    /// - Parameter directory: on the disk that is measured.
    init?(
        mode: VerificationMode, without: Set<Optimisation>, book: SampleBook, directory: String
    ) throws {
        let setting = Setting(mode: mode, without: without, workload: Self.workload)
        guard let latency = book.median(.p50Microseconds, of: setting) else { return nil }
        let timings = try Self.timings(mode, directory: directory)
        var parts = timings.map { timing in
            BreakdownPart(
                mode: mode, part: timing.name, microseconds: timing.seconds * 1e6,
                shareOfLatency: timing.seconds * 1e6 / latency)
        }
        let rest = latency - parts.reduce(0) { $0 + $1.microseconds }
        parts.append(
            BreakdownPart(
                mode: mode, part: "RPC: the rest of the latency", microseconds: rest, shareOfLatency: rest / latency))
        parts.append(
            BreakdownPart(mode: mode, part: "latency (median)", microseconds: latency, shareOfLatency: 1))
        self.mode = mode
        self.parts = parts
    }

    private static func timings(_ mode: VerificationMode, directory: String) throws -> [Timing] {
        let group = try InProcessGroup(
            faults: workload.faults, dataFragmentCount: workload.dataFragmentCount, mode: mode)
        let code = group.parameters.quorums.code
        let block = RandomBytes.block(sizeBytes: workload.size.bytes)
        let (fragments, crossChecksum) = CrossChecksum.encode(block: block, code: code, coverage: mode.coverage)
        let statements = group.statements(on: group.encoded(block, number: 0), number: 0)
        let certificate = try group.certificate(statements)
        let files = try SyncedFiles(count: fragments.count, directory: directory)
        defer { files.remove() }

        var candidates = [
            Candidate("encode", bytes: 0) { _ = code.encode(block: block) },
            Candidate("hash \(fragments.count) fragments", bytes: 0) { _ = Digest256.fragmentHashes(of: fragments) },
        ]
        if mode.coverage == .hashesAndFingerprints {
            let data = fragments.prefix(code.dataFragmentCount)
            candidates.append(
                Candidate("fingerprint \(data.count) fragments", bytes: 0) {
                    _ = CrossChecksum(code: code, blockSizeBytes: block.count, hashes: crossChecksum.hashes, data: data)
                })
        }
        candidates += [
            Candidate("verify a fragment (server)", bytes: 0) {
                guard (try? crossChecksum.verify(fragments[0], at: FragmentIndex(0))) != nil else {
                    preconditionFailure("an honest fragment is refused")
                }
            },
            Candidate("sign (server)", bytes: 0) { _ = try? group.signers[0].sign([statements[0]]) },
            Candidate("verify \(certificate.statements.count) statements (client)", bytes: 0) {
                let verifier = group.makeVerifier()
                for statement in certificate.statements {
                    guard
                        (try? verifier.verify(statement, key: group.key(0), timestamp: certificate.timestamp)) != nil
                    else { preconditionFailure("an honest statement is refused") }
                }
            },
            Candidate("verify a certificate of \(certificate.statements.count) signatures (server)", bytes: 0) {
                // A verifier of its own each time: one remembers what it has checked.
                guard (try? group.makeVerifier().verify(certificate, key: group.key(0))) != nil else {
                    preconditionFailure("an honest certificate is refused")
                }
            },
            Candidate("sync of PREPARE: \(fragments.count) fragment-sized appends at once", bytes: 0) {
                files.append(pageCount: fragments[0].count / 4096 + 1)
            },
            Candidate("sync of COMMIT: \(fragments.count) page-sized appends at once", bytes: 0) {
                files.append(pageCount: 1)
            },
        ]
        return measureInterleaved(candidates, rounds: 15, sampleSeconds: 0.02)
    }
}
