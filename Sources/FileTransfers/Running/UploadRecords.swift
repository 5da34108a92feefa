// What is kept of uploads of large files that may be gone on with, beside the client's home: which file it was, as it was
// then, and under which name its stripes wait at the servers. A record that is damaged, or of a file that has changed,
// is good for nothing but to give those stripes back.

import ClusterFiles
import CommandOutcome
import DurableFiles
import Fingerprint
import Foundation
import Glibc
import QuorumClient
import QuorumProtocol
import QuorumTransport

/// The records of one client.
package struct UploadRecords: Sendable {
    private struct Record: Codable {
        let format: Int
        let cluster: String
        let key: [UInt8]
        let file: String
        let facts: String
        let upload: String
    }

    package enum Found: Equatable, Sendable {
        case nothing
        /// The same file, unchanged.
        case upload(ResumableUpload)
        /// Why it cannot be gone on with; its stripes, if they are known, are to be given back.
        case unusable(String, ResumableUpload?)
    }

    private static let format = 1

    private let directory: String
    private let cluster: String

    package init(_ home: ClientHome) {
        directory = home.directory + "/uploads"
        cluster = "\(home.cluster.parameters.configuration.cluster)"
    }

    private func path(_ key: ObjectKey) -> String { "\(directory)/\(Digest256.sha256(key.bytes)).json" }

    /// What is kept of an upload of this file to the object.
    package func find(_ key: ObjectKey, _ source: SourceFile) -> Found {
        guard let bytes = FileManager.default.contents(atPath: path(key)) else { return .nothing }
        guard let record = try? JSONDecoder().decode(Record.self, from: bytes), record.format == Self.format,
            record.key == Array(key.bytes), let upload = ResumableUpload(record.upload)
        else { return .unusable("what was kept of an earlier upload cannot be read", nil) }
        guard record.cluster == cluster else { return .unusable("an earlier upload was to another cluster", nil) }
        guard record.file == source.absolutePath else {
            return .unusable("an earlier upload was of another file, \(record.file)", upload)
        }
        guard record.facts == source.facts?.text else {
            return .unusable("\(source.name) has changed since an earlier upload was begun", upload)
        }
        return .upload(upload)
    }

    /// Keeps the upload's name, durably, before anything is staged to it.
    package func keep(_ upload: ResumableUpload, of source: SourceFile, to key: ObjectKey) throws(Failure) {
        let record = Record(
            format: Self.format, cluster: cluster, key: Array(key.bytes), file: source.absolutePath,
            facts: source.facts?.text ?? "", upload: "\(upload)")
        guard mkdir(directory, 0o700) == 0 || errno == EEXIST else {
            throw Failure(.inputOutput, "\(directory): \(systemText(errno))")
        }
        guard let bytes = try? JSONEncoder().encode(record) else { preconditionFailure("a record is no JSON") }
        do throws(FileError) {
            try DurableFile.replace(path(key), Array(bytes), mode: 0o600)
        } catch {
            throw Failure(.inputOutput, "\(error.path): \(systemText(error.code))")
        }
    }

    package func remove(_ key: ObjectKey) { unlink(path(key)) }
}

extension FileTransfer {
    /// Stores a file so that it can be gone on with when it is interrupted: goes on with what an earlier run has staged,
    /// and leaves its own for a later one. A small file is stored at once.
    ///
    /// - Parameter notice: told what people should know.
    /// - Throws: as `upload(_:to:metadata:)`.
    package func upload(
        _ source: SourceFile, to key: ObjectKey, metadata: ObjectMetadata, allowsChanging: Bool,
        keptIn records: UploadRecords, notice: (String) -> Void, progress: @escaping Progress
    ) async throws(Failure) -> Uploaded {
        guard let facts = source.facts, facts.sizeBytes > UInt64(client.parameters.limits.stripeSizeBytesMax) else {
            return try await upload(
                source, to: key, metadata: metadata, allowsChanging: allowsChanging, progress: progress)
        }
        var upload: ResumableUpload?
        switch records.find(key, source) {
        case .nothing: break
        case .unusable(let reason, let old):
            notice("\(reason); beginning anew")
            if let old { await client.discard(old, of: key) }
        case .upload(let earlier):
            if let result = try await stored(earlier, as: key) {
                records.remove(key)
                return Uploaded(result: result, sizeBytes: facts.sizeBytes, wasStored: true)
            }
            notice("going on with an earlier upload; what the servers have of it is compared, and not sent again")
            upload = earlier
        }
        let current = upload ?? client.newUpload(lengthBytes: facts.sizeBytes)
        if upload == nil { try records.keep(current, of: source, to: key) }
        do throws(Failure) {
            let uploaded = try await self.upload(
                source, to: key, metadata: metadata, allowsChanging: allowsChanging, upload: current,
                progress: progress)
            records.remove(key)
            return uploaded
        } catch {
            if error.status == .sourceChanged || error.endsUpload(faults: client.parameters.quorums.faults) {
                records.remove(key)
                await client.discard(current, of: key)
            } else {
                notice("what was sent is kept; the same command goes on with it")
            }
            throw error
        }
    }

    private func stored(_ upload: ResumableUpload, as key: ObjectKey) async throws(Failure) -> PutResult? {
        do throws(ClientError) {
            return try await client.stored(upload, as: key)
        } catch {
            throw Failure(error)
        }
    }
}
