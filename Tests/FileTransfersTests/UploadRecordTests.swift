// What is kept of an upload, and what of it can be gone on with.

import ClusterFiles
import FileTransfers
import Foundation
import Glibc
import QuorumClient
import QuorumProtocol
import Testing

@Suite("A record of an upload") struct UploadRecordTests {
    private struct Place {
        let directory: String
        let file: String
        let upload: ResumableUpload
        let key: ObjectKey

        func source(_ path: String? = nil) throws -> SourceFile {
            try SourceFile(path: Array((path ?? file).utf8))
        }

        func records() throws -> UploadRecords { UploadRecords(try ClientHome(clusterDirectory: directory)) }

        /// The one record that there is.
        func recordPath() throws -> String {
            let folder = directory + "/clients/first/uploads"
            return folder + "/" + (try #require(try FileManager.default.contentsOfDirectory(atPath: folder).first))
        }
    }

    private func withPlace(_ body: (Place) throws -> Void) throws {
        let root = NSTemporaryDirectory() + "records-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: root) }
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        var new = NewCluster()
        new.ports = [7401, 7402, 7403, 7404]
        try new.write(to: root + "/cluster") { _ in }
        try Data("content".utf8).write(to: URL(fileURLWithPath: root + "/file"))
        let upload = try #require(ResumableUpload(String(repeating: "0f", count: 16) + ":1048576"))
        let place = Place(
            directory: root + "/cluster", file: root + "/file", upload: upload, key: try ObjectKey("bucket/key"))
        #expect(try place.records().find(place.key, place.source()) == .nothing)
        try place.records().keep(upload, of: place.source(), to: place.key)
        #expect(try place.records().find(place.key, place.source()) == .upload(upload))
        try body(place)
    }

    /// Why it cannot be gone on with, and whether its stripes can be given back.
    private func expectUnusable(_ place: Place, _ source: SourceFile, _ text: String, gives: Bool) throws {
        guard case .unusable(let reason, let upload) = try place.records().find(place.key, source) else {
            Issue.record("it is gone on with")
            return
        }
        #expect(reason.contains(text) && (upload == place.upload) == gives, "\(reason)")
    }

    @Test("of a file that has changed, or of another file, is good for giving back only")
    func changed() throws {
        try withPlace { place in
            try Data("content".utf8).write(to: URL(fileURLWithPath: place.file + "-2"))
            try expectUnusable(place, place.source(place.file + "-2"), "another file", gives: true)
            let times = [timespec(tv_sec: 9, tv_nsec: 0), timespec(tv_sec: 9, tv_nsec: 0)]
            #expect(utimensat(AT_FDCWD, place.file, times, 0) == 0)
            try expectUnusable(place, place.source(), "has changed", gives: true)
        }
    }

    @Test("that is damaged in any way is no record, and one of another cluster's is not given to this one")
    func damaged() throws {
        try withPlace { place in
            let path = try place.recordPath()
            let whole = try Data(contentsOf: URL(fileURLWithPath: path))
            for count in [0, 1, whole.count / 2, whole.count - 1] {
                try whole.prefix(count).write(to: URL(fileURLWithPath: path))
                try expectUnusable(place, place.source(), "cannot be read", gives: false)
            }
            let text = String(decoding: whole, as: UTF8.self)
            let cluster = try ClientHome(clusterDirectory: place.directory).cluster.parameters.configuration.cluster
            try text.replacing("\(cluster)", with: "other").write(toFile: path, atomically: false, encoding: .utf8)
            try expectUnusable(place, place.source(), "another cluster", gives: false)
            try text.replacing("1048576", with: "0").write(toFile: path, atomically: false, encoding: .utf8)
            try expectUnusable(place, place.source(), "cannot be read", gives: false)
            try place.records().keep(place.upload, of: place.source(), to: place.key)
            #expect(try place.records().find(place.key, place.source()) == .upload(place.upload))
            try place.records().remove(place.key)
            #expect(try place.records().find(place.key, place.source()) == .nothing)
        }
    }
}
