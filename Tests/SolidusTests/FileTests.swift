// Files into objects and back.

import Foundation
import Solidus
import Testing

@Suite("Files into objects and back", .oneCluster, .timeLimit(.minutes(3)))
struct FileTests {
    @Test(
        "a file is stored with its time and digest, and read back into one with that time",
        arguments: [0, 1000, Fixture.stripeSizeBytes * 5 + 1])
    func roundTrip(count: Int) async throws {
        let fixture = try OneCluster.current
        try await withObjectClient(home: fixture.home()) { client in
            let bytes = testBytes(count, seed: 6)
            let (source, target) = (fixture.path("source-\(count)"), fixture.path("target-\(count)"))
            try Data(bytes).write(to: URL(fileURLWithPath: source))
            let modified = Date(timeIntervalSince1970: 1_700_000_000)
            try FileManager.default.setAttributes([.modificationDate: modified], ofItemAtPath: source)
            let key = try ObjectKey("files/\(count)")
            let (stored, loaded) = (Told(), Told())
            try await client.put(key, fromFile: source, progress: { stored.tell($0) })
            let status = try await client.get(key, toFile: target, progress: { loaded.tell($0) })
            #expect(status.metadata.modifiedMilliseconds == 1_700_000_000_000)
            #expect(status.metadata.etag.count == 64)
            if count == 0 {
                #expect(
                    status.metadata.etag == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
            }
            #expect(try Self.bytes(target) == bytes)
            let attributes = try FileManager.default.attributesOfItem(atPath: target)
            #expect(attributes[.modificationDate] as? Date == modified)
            #expect(stored.last == UInt64(count))
            #expect(loaded.last == (count == 0 ? nil : UInt64(count)))
            #expect(loaded.all == loaded.all.sorted())
        }
    }

    @Test("a range is read into a file that takes another's place and mode; nothing else is left beside it")
    func rangeIntoFile() async throws {
        let fixture = try OneCluster.current
        try await withObjectClient(home: fixture.home()) { client in
            let bytes = testBytes(Fixture.stripeSizeBytes * 3, seed: 7)
            let key = try ObjectKey("files/range")
            try await client.put(key, bytes)
            let folder = fixture.path("range")
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
            try Data([1]).write(to: URL(fileURLWithPath: folder + "/file"))
            try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: folder + "/file")
            try FileManager.default.createSymbolicLink(atPath: folder + "/link", withDestinationPath: "file")
            try await client.get(key, range: 100..<2_000_000, toFile: folder + "/link")
            #expect(try Self.bytes(folder + "/file") == Array(bytes[100..<2_000_000]))
            let attributes = try FileManager.default.attributesOfItem(atPath: folder + "/file")
            #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o640)
            #expect(try Self.names(folder) == ["file", "link"])
        }
    }

    @Test("where there is no object the file stays as it was, and nothing is left beside it")
    func missingObject() async throws {
        let fixture = try OneCluster.current
        try await withObjectClient(home: fixture.home()) { client in
            let folder = fixture.path("missing")
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
            try Data([1]).write(to: URL(fileURLWithPath: folder + "/file"))
            await #expect(throws: ClientError.self) {
                try await client.get(ObjectKey("files/missing"), toFile: folder + "/file")
            }
            #expect(try Self.bytes(folder + "/file") == [1])
            #expect(try Self.names(folder) == ["file"])
        }
    }

    @Test("what is no file is refused with an error of its own")
    func noFile() async throws {
        let fixture = try OneCluster.current
        try await withObjectClient(home: fixture.home()) { client in
            let key = try ObjectKey("files/none")
            let missing = fixture.path("none")
            await #expect(throws: ObjectFileError.system(path: missing, code: ENOENT)) {
                try await client.put(key, fromFile: missing)
            }
            await #expect(throws: ObjectFileError.notAFile(path: fixture.directory)) {
                try await client.put(key, fromFile: fixture.directory)
            }
            try await client.put(key, "text")
            await #expect(throws: ObjectFileError.notAFile(path: fixture.directory)) {
                try await client.get(key, toFile: fixture.directory)
            }
            await #expect(throws: ObjectFileError.system(path: missing + "/file", code: ENOENT)) {
                try await client.get(key, toFile: missing + "/file")
            }
        }
    }

    @Test("a file that grows, shrinks or is replaced while it is read is not stored", arguments: Change.allCases)
    func changedFile(change: Change) async throws {
        let fixture = try OneCluster.current
        try await withObjectClient(home: fixture.home()) { client in
            let path = fixture.path("changed-\(change)")
            try Data(testBytes(Fixture.stripeSizeBytes * 8, seed: 8)).write(to: URL(fileURLWithPath: path))
            let key = try ObjectKey("files/changed-\(change)")
            let changing = Once { change.make(path) }
            await #expect(throws: ObjectFileError.changed(path: path)) {
                try await client.put(key, fromFile: path, progress: { _ in changing.run() })
            }
            await #expect(throws: ClientError.self) { try await client.head(key) }
        }
    }

    enum Change: String, CaseIterable {
        case grown, shrunk, replaced

        func make(_ path: String) {
            switch self {
            case .grown, .shrunk:
                let handle = FileHandle(forUpdatingAtPath: path)
                if self == .grown { _ = try? handle?.seekToEnd() } else { try? handle?.truncate(atOffset: 10) }
                handle?.write(Data([1]))
                try? handle?.close()
            case .replaced:
                try? Data([1]).write(to: URL(fileURLWithPath: path), options: .atomic)
            }
        }
    }

    static func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }

    static func names(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    }
}
