// A directory of evidence takes each lie once, and no more than may be.

import ClusterFiles
import DurableFiles
import Foundation
import QuorumProtocol
import Synchronization
import Testing

@Suite struct EvidenceDirectoryTests {
    private static func evidence(_ counter: UInt64, blocks: [[UInt8]] = []) throws -> Evidence {
        let configuration = Configuration(
            cluster: ClusterID(high: 1, low: 2), quorums: try QuorumConfiguration(faults: 1))
        let statement = SignedStatement(
            node: NodeID(1), incarnation: Incarnation(1), claim: .poisonous, leafIndex: 0, leafCount: 1, path: [],
            signature: [UInt8](repeating: 7, count: 64))
        return Evidence(
            statement,
            on: Timestamp(
                counter: counter, writer: ClientID(high: 0, low: 1),
                digest: SealedDescriptor(
                    Descriptor(
                        tombstone: try ObjectKey("b/o"), modifiedMilliseconds: counter,
                        parameters: ClusterParameters(configuration))
                ).digest),
            of: try ObjectKey("b/o"), in: configuration,
            blocks.isEmpty ? .foreignClaim : .sound(descriptor: [], blocks: blocks))
    }

    private func withDirectory(_ body: (String) throws -> Void) throws {
        let path = NSTemporaryDirectory() + "/evidence-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    @Test("It keeps each lie once, in a file that reads back, durable before it says so")
    func once() throws {
        try withDirectory { home in
            let directory = EvidenceDirectory(home: home)
            #expect(try directory.files().isEmpty)
            let first = try Self.evidence(1)
            let steps = Mutex<[FileStep]>([])
            let outcome = try DurableFile.$observer.withValue({ step in steps.withLock { $0.append(step) } }) {
                try directory.add(first)
            }
            let path = "\(home)/evidence/\(first.name).evidence"
            #expect(outcome == .kept(path: path))
            #expect(
                steps.withLock { $0 } == [
                    .madeDirectory(directory.path), .synchronizedDirectory(home), .wrote(path + ".new"),
                    .synchronized(path + ".new"), .moved(path + ".new", to: path),
                    .synchronizedDirectory(directory.path),
                ])
            #expect(try directory.add(first) == .known)
            #expect(try Evidence(decoding: EvidenceDirectory.read(path)) == first)
            guard case .kept = try directory.add(Self.evidence(2)) else {
                Issue.record("another version's lie was not kept")
                return
            }
            #expect(try directory.files().count == 2)
        }
    }

    @Test("It takes so many files and bytes, gives up none for newer ones, and takes more when there is room")
    func bounds() throws {
        try withDirectory { home in
            let directory = EvidenceDirectory(home: home)
            let large = [UInt8](repeating: 1, count: EvidenceDirectory.fileSizeBytesMax)
            #expect(try directory.add(Self.evidence(1, blocks: [large])) == .full)
            for counter in 1...UInt64(EvidenceDirectory.fileCountMax) {
                guard case .kept = try directory.add(Self.evidence(counter)) else {
                    Issue.record("number \(counter) was not kept")
                    return
                }
            }
            let next = try Self.evidence(1000)
            #expect(try directory.add(next) == .full)
            let files = try directory.files()
            #expect(files.count == EvidenceDirectory.fileCountMax)
            try FileManager.default.removeItem(atPath: files[0].path)
            guard case .kept = try directory.add(next) else {
                Issue.record("there is room")
                return
            }
        }
    }

    @Test("Bytes together count, too")
    func bytesTogether() throws {
        try withDirectory { home in
            let directory = EvidenceDirectory(home: home)
            let half = [UInt8](repeating: 1, count: EvidenceDirectory.fileSizeBytesMax - 4096)
            let fitting = EvidenceDirectory.sizeBytesMax / half.count
            for counter in 1...UInt64(fitting) {
                guard case .kept = try directory.add(Self.evidence(counter, blocks: [half])) else {
                    Issue.record("number \(counter) was not kept")
                    return
                }
            }
            #expect(try directory.add(Self.evidence(UInt64(fitting) + 1, blocks: [half])) == .full)
        }
    }

    @Test("What is no file, or too large, is not read")
    func reading() throws {
        try withDirectory { home in
            #expect(throws: FileError(path: home, code: EISDIR)) { try EvidenceDirectory.read(home) }
            #expect(throws: FileError(path: home + "/none", code: ENOENT)) {
                try EvidenceDirectory.read(home + "/none")
            }
            let path = home + "/large"
            _ = FileManager.default.createFile(atPath: path, contents: nil)
            #expect(truncate(path, Evidence.sizeBytesMax + 1) == 0)
            #expect(throws: FileError(path: path, code: EFBIG)) { try EvidenceDirectory.read(path) }
            #expect(throws: FileError(path: "/dev/zero", code: EINVAL)) { try EvidenceDirectory.read("/dev/zero") }
        }
    }
}
