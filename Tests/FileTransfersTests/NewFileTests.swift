// What a download does with the file that an earlier one left, with one that somebody else put there, and with zeros.

import CommandOutcome
import DurableFiles
import Foundation
import Glibc
import QuorumProtocol
import QuorumTransport
import Testing

@testable import FileTransfers

extension WrittenFilesTests {
    @Suite("A file that is gone on with") struct KeptFileTests {
        private static func version(_ counter: UInt64) -> Timestamp {
            Timestamp(counter: counter, writer: ClientID(high: 1, low: 1), digest: .sha256([UInt8(counter)]))
        }

        /// Begins a download of a version into a file and interrupts it; gives the path of what it has left.
        private func begin(_ target: String, _ counter: UInt64, _ text: String = "old") throws -> String {
            var sink = try NewFile.sink(Array(target.utf8), keeping: Self.version(counter))
            try Array(text.utf8).withUnsafeBytes { bytes in try sink.append(bytes) }
            sink.discard()
            return try #require(try left(target).first)
        }

        private func left(_ target: String) throws -> [String] {
            let folder = (target as NSString).deletingLastPathComponent
            return try FileManager.default.contentsOfDirectory(atPath: folder)
                .filter { $0.hasPrefix(".solidus-") }.map { "\(folder)/\($0)" }
        }

        private func expectRefused(_ target: String, _ counter: UInt64, _ text: String) {
            do throws(Failure) {
                _ = try NewFile.sink(Array(target.utf8), keeping: Self.version(counter))
                Issue.record("it was gone on with")
            } catch {
                #expect(error.status == .inputOutput && error.message.contains(text), "\(error.message)")
            }
        }

        @Test("has what an earlier download left, and none of another version")
        func goesOn() throws {
            try withTemporaryFolder { folder in
                let target = folder + "/file"
                let kept = try begin(target, 1)
                let sink = try #require(
                    try NewFile.sink(Array(target.utf8), keeping: Self.version(1)) as? NewFile)
                #expect(try sink.sizeBytes() == 3 && !sink.replacesOther)
                try sink.cut(after: 1)
                try Array("new".utf8).withUnsafeBytes { bytes in try sink.append(bytes) }
                try sink.finish(modifiedMilliseconds: 0)
                #expect(try Data(contentsOf: URL(fileURLWithPath: target)) == Data("onew".utf8))
                #expect(access(kept, F_OK) != 0)

                _ = try begin(target, 1)
                let other = try #require(
                    try NewFile.sink(Array(target.utf8), keeping: Self.version(2)) as? NewFile)
                #expect(try other.sizeBytes() == 0 && other.replacesOther)
                #expect(try left(target).count == 1)
                other.discard()
            }
        }

        @Test("is not one that another download is writing")
        func inUse() throws {
            try withTemporaryFolder { folder in
                let first = try NewFile.sink(Array((folder + "/file").utf8), keeping: Self.version(1))
                expectRefused(folder + "/file", 1, "another download")
                var ended = first
                ended.discard()
                #expect(try begin(folder + "/file", 1).isEmpty == false)
            }
        }

        @Test("is no link, and no file that has another name, too, so that nothing else is written")
        func links() throws {
            try withTemporaryFolder { folder in
                let (target, victim) = (folder + "/file", folder + "/victim")
                try Data("mine".utf8).write(to: URL(fileURLWithPath: victim))
                let kept = try begin(target, 1)
                unlink(kept)
                #expect(symlink(victim, kept) == 0)
                expectRefused(target, 1, systemText(ELOOP))
                unlink(kept)
                #expect(link(victim, kept) == 0)
                expectRefused(target, 1, "no file of this user's")
                #expect(try Data(contentsOf: URL(fileURLWithPath: victim)) == Data("mine".utf8))
            }
        }

        @Test("is no file of another user's, who could change it later", .enabled(if: geteuid() == 0))
        func otherUser() throws {
            try withTemporaryFolder { folder in
                let kept = try begin(folder + "/file", 1)
                #expect(chown(kept, 65_534, 65_534) == 0)
                expectRefused(folder + "/file", 1, "no file of this user's")
                #expect(access(kept, F_OK) == 0)
            }
        }
    }

    @Suite("A file with holes") struct SparseFileTests {
        @Test(
            "has its length and its bytes, and no blocks where there are but zeros", arguments: [0, 1, 5000, 1 << 20])
        func holes(tail: Int) throws {
            try withTemporaryFolder { folder in
                let data = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 | 1) }
                // A hole between, one at the end that is no whole number of blocks, pieces that cut through both.
                let value = data + [UInt8](repeating: 0, count: 3 << 20) + data + [UInt8](repeating: 0, count: tail)
                for (name, isSparse) in [("sparse", true), ("full", false)] {
                    var sink = try NewFile.sink(Array("\(folder)/\(name)".utf8), isSparse: isSparse)
                    for start in stride(from: 0, to: value.count, by: 700_001) {
                        try value[start..<min(start + 700_001, value.count)].withUnsafeBytes { bytes in
                            try sink.append(bytes)
                        }
                    }
                    try sink.finish(modifiedMilliseconds: 0)
                    #expect(try Array(Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)"))) == value)
                }
                func blocks(_ name: String) -> Int {
                    var status = stat()
                    #expect(stat("\(folder)/\(name)", &status) == 0)
                    return Int(status.st_blocks)
                }
                #expect(blocks("sparse") * 512 < 1 << 20 && blocks("full") * 512 >= value.count - 4096)
            }
        }
    }
}

private func withTemporaryFolder(_ body: (String) throws -> Void) throws {
    let path = NSTemporaryDirectory() + "kept-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    try body(path)
}
