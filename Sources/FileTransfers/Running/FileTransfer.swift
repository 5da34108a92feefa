// The bytes of files into objects, and of objects into files: the one place of the command line where they pass.

import CommandOutcome
import Crypto
import ErasureCode
import Foundation
import Glibc
import QuorumClient
import QuorumProtocol

/// Bytes of a value, as HTTP's Range header has them.
package enum ByteRange: Equatable, Sendable {
    case from(UInt64, through: UInt64?)
    case last(UInt64)

    /// FIRST-LAST, FIRST- or -COUNT; nil for anything else.
    package init?(_ text: String) {
        let ends = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        let numbers = ends.map { end in end.allSatisfy { ("0"..."9").contains($0) } ? UInt64(end) : nil }
        guard ends.count == 2, zip(ends, numbers).allSatisfy({ $0.isEmpty || $1 != nil }) else { return nil }
        switch (numbers[0], numbers[1]) {
        case (let first?, let last):
            if let last, last < first { return nil }
            self = .from(first, through: last)
        case (nil, let count?): self = .last(count)
        case (nil, nil): return nil
        }
    }

    /// The bytes of a value of so many; nil when it begins past the end.
    package func bounds(in count: UInt64) -> Range<UInt64>? {
        switch self {
        case .from(let first, let last):
            guard first < count else { return nil }
            return first..<(last.map { min($0, count - 1) + 1 } ?? count)
        case .last(let wanted):
            return (count - min(wanted, count))..<count
        }
    }
}

/// Where the bytes of a download go.
package enum Destination: Sendable {
    case standardOutput
    /// A file that people name by its path.
    case file([UInt8])
    /// One below a folder, by the names on the way.
    case below(LocalFolder, [[UInt8]])

    func open() throws(Failure) -> any ByteSink {
        switch self {
        case .standardOutput: OpenOutput(descriptor: STDOUT_FILENO, name: "standard output", isOwned: false)
        case .file(let path): try NewFile.sink(path)
        case .below(let folder, let parts): try folder.sink(parts)
        }
    }
}

/// Uploads and downloads by one client. Told how many bytes of an object are done, each time that some more are.
package struct FileTransfer: Sendable {
    package typealias Progress = @Sendable (_ moreBytes: UInt64) -> Void

    /// What was stored.
    package struct Uploaded: Sendable {
        package let result: PutResult
        package let sizeBytes: UInt64
    }

    package let client: ObjectClient

    package init(_ client: ObjectClient) { self.client = client }

    /// Stores what is in a file, or comes from a pipe. The object's tag is the SHA-256 of its bytes, unless the metadata
    /// have one, and its time of modification is the file's.
    ///
    /// - Parameter allowsChanging: stores what was read also when the file was written meanwhile.
    /// - Throws: `.sourceChanged`, `.inputOutput`, and as `ObjectClient.put`.
    package func upload(
        _ source: SourceFile, to key: ObjectKey, metadata: ObjectMetadata, allowsChanging: Bool = false,
        progress: Progress = { _ in }
    ) async throws(Failure) -> Uploaded {
        // One byte more than may be stored shows that a file is too large without reading all of it.
        let limit = client.parameters.limits.stripeSizeBytesMax
        let value = try await Blocking.run { isCancelled throws(Failure) in
            try source.read(sizeBytesMax: limit + 1, isCancelled: isCancelled)
        }
        if !allowsChanging, value.count <= limit { try source.checkUnchanged(readBytes: value.count) }
        var metadata = metadata
        if metadata.etag.isEmpty { metadata.etag = Self.tag(of: value) }
        if metadata.modifiedMilliseconds == 0 {
            metadata.modifiedMilliseconds = source.facts?.modifiedMilliseconds ?? 0
        }
        do throws(ClientError) {
            let result = try await client.put(key, value, metadata: metadata)
            progress(UInt64(value.count))
            return Uploaded(result: result, sizeBytes: UInt64(value.count))
        } catch {
            throw Failure(error)
        }
    }

    /// Reads an object, or some of its bytes, to its destination. No byte is written before it is known to be right, and
    /// a file appears, or is replaced, only once all of its bytes are written.
    ///
    /// - Throws: `.refused` when the range begins behind the end; `.inputOutput`, and as `ObjectClient.get`.
    package func download(
        _ key: ObjectKey, range: ByteRange? = nil, to destination: Destination, progress: Progress = { _ in }
    ) async throws(Failure) -> ObjectStatus {
        let object: StoredObject
        do throws(ClientError) {
            object = try await client.get(key)
        } catch {
            throw Failure(error)
        }
        var value = object.value
        if let range {
            guard let bounds = range.bounds(in: UInt64(value.count)) else {
                throw Failure(.refused, "\(key) has \(value.count) bytes; the range begins behind them")
            }
            value = value[Int(bounds.lowerBound)..<Int(bounds.upperBound)]
        }
        let (bytes, modified) = (value, object.status.metadata.modifiedMilliseconds)
        try await Blocking.run { _ throws(Failure) in
            var sink = try destination.open()
            do throws(Failure) {
                try bytes.withUnsafeBytes { bytes throws(Failure) in try sink.append(bytes) }
            } catch {
                sink.discard()
                throw error
            }
            try sink.finish(modifiedMilliseconds: modified)
        }
        progress(UInt64(value.count))
        return object.status
    }

    /// The tag by which an object is known to have a file's content.
    package func tag(of source: SourceFile) async throws(Failure) -> String {
        let limit = client.parameters.limits.stripeSizeBytesMax
        return try await Blocking.run { isCancelled throws(Failure) in
            let value = try source.read(sizeBytesMax: limit + 1, isCancelled: isCancelled)
            try source.checkUnchanged(readBytes: value.count)
            return Self.tag(of: value)
        }
    }

    private static func tag(of value: SharedBytes) -> String {
        value.withUnsafeBytes { bytes in
            var hash = SHA256()
            hash.update(bufferPointer: bytes)
            return hash.finalize().map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
        }
    }
}
