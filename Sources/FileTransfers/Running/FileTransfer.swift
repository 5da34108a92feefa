// The bytes of files into objects, and of objects into files: the one place of the command line where they pass.

import CommandOutcome
import Crypto
import ErasureCode
import Foundation
import Glibc
import QuorumClient
import QuorumProtocol
import Synchronization

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

    /// - Parameters:
    ///   - version: what the bytes are of, if they are to be kept when not all of them come.
    ///   - isSparse: leaves holes in a file where there are blocks of zeros.
    func open(_ version: Timestamp? = nil, isSparse: Bool = false) throws(Failure) -> any ByteSink {
        switch self {
        case .standardOutput: OpenOutput(descriptor: STDOUT_FILENO, name: "standard output", isOwned: false)
        case .file(let path): try NewFile.sink(path, keeping: version, isSparse: isSparse)
        case .below(let folder, let parts): try folder.sink(parts, isSparse: isSparse)
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
        /// Whether an earlier run had stored it already.
        package var wasStored = false
    }

    package let client: ObjectClient

    package init(_ client: ObjectClient) { self.client = client }

    /// Stores what is in a file, or comes from a pipe, piece by piece. The object's tag is the SHA-256 of its bytes,
    /// unless the metadata have one, and its time of modification is the file's.
    ///
    /// - Parameter allowsChanging: stores what was read also when the file was written meanwhile.
    /// - Parameter upload: which upload this is, so that what was staged to it before is not sent again.
    /// - Throws: `.sourceChanged`, `.inputOutput`, and as `ObjectClient.put`.
    package func upload(
        _ source: SourceFile, to key: ObjectKey, metadata: ObjectMetadata, allowsChanging: Bool = false,
        upload: ResumableUpload? = nil, progress: @escaping Progress = { _ in }
    ) async throws(Failure) -> Uploaded {
        var metadata = metadata
        if metadata.modifiedMilliseconds == 0 {
            metadata.modifiedMilliseconds = source.facts?.modifiedMilliseconds ?? 0
        }
        let pieces = SourcePieces(source)
        do {
            let result = try await client.put(
                key, lengthBytes: allowsChanging ? nil : source.facts?.sizeBytes, metadata: metadata,
                upload: upload, progress: Self.steps(progress),
                seal: { metadata in
                    let (tag, readBytes) = pieces.end()
                    if !allowsChanging { try source.checkUnchanged(readBytes: readBytes) }
                    if metadata.etag.isEmpty { metadata.etag = tag }
                }, from: pieces)
            return Uploaded(result: result, sizeBytes: UInt64(pieces.end().readBytes))
        } catch ClientError.wrongLength(_, let got, _) {
            try source.checkUnchanged(readBytes: Int(clamping: got))
            throw Failure(.sourceChanged, "\(source.name) was changed while it was read; nothing was stored")
        } catch let error as ClientError {
            throw Failure(error)
        } catch {
            throw Failure(ofAny: error) ?? Failure(.unexpected, "\(key): interrupted; nothing was stored")
        }
    }

    /// Reads an object, or some of its bytes, to its destination, piece by piece. No byte is written before it is known
    /// to be right, and a file appears, or is replaced, only once all of its bytes are written.
    ///
    /// - Parameters:
    ///   - version: nil for the one that the object has.
    ///   - keepsPartial: goes on where an earlier download of the same version into this file was interrupted, and keeps
    ///     what there is when this one is.
    ///   - isSparse: leaves holes in the file where there are blocks of zeros.
    ///   - notice: told what people should know.
    /// - Throws: `.refused` when the range begins behind the end; `.inputOutput`, and as `ObjectClient.open`.
    package func download(
        _ key: ObjectKey, version: Timestamp? = nil, range: ByteRange? = nil, to destination: Destination,
        keepsPartial: Bool = false, isSparse: Bool = false, notice: (String) -> Void = { _ in },
        progress: @escaping Progress = { _ in }
    ) async throws(Failure) -> ObjectStatus {
        var rereadingsLeft = Self.rereadingsMax
        while true {
            var writtenBytes: UInt64 = 0
            do throws(Failure) {
                return try await downloadOnce(
                    key, version: version, range: range, to: destination, keepsPartial: keepsPartial,
                    isSparse: isSparse, notice: notice
                ) { bytes in
                    writtenBytes += bytes
                    progress(bytes)
                }
            } catch {
                guard error.asksToReadAgain, writtenBytes == 0, rereadingsLeft > 0 else { throw error }
                rereadingsLeft -= 1
            }
        }
    }

    private static let rereadingsMax = 8

    /// One version, unless its bytes are gone.
    private func downloadOnce(
        _ key: ObjectKey, version: Timestamp?, range: ByteRange?, to destination: Destination, keepsPartial: Bool,
        isSparse: Bool, notice: (String) -> Void, progress: (UInt64) -> Void
    ) async throws(Failure) -> ObjectStatus {
        var object = try await open(key, version, range)
        let kept = keepsPartial ? object.status.timestamp : nil
        let sink = try await Blocking.run { _ throws(Failure) in
            OpenSink(try destination.open(kept, isSparse: isSparse))
        }
        do throws(Failure) {
            if keepsPartial {
                let good = try await sink.keepGood(of: object)
                if good > 0 {
                    notice("going on after \(good) bytes that are there")
                    progress(good)
                    object = object.slice(good..<object.range.upperBound)
                } else if sink.replacesOther {
                    notice("what an earlier download left was of another version; beginning anew")
                }
            }
            var pieces = object.makeAsyncIterator()
            while let piece = try await Self.next(&pieces) {
                try await Blocking.run { _ throws(Failure) in try sink.append(piece) }
                progress(UInt64(piece.count))
            }
        } catch {
            sink.discard()
            throw error
        }
        let modified = object.status.metadata.modifiedMilliseconds
        try await Blocking.run { _ throws(Failure) in try sink.finish(modifiedMilliseconds: modified) }
        return object.status
    }

    private func open(
        _ key: ObjectKey, _ version: Timestamp?, _ range: ByteRange?
    ) async throws(Failure) -> ObjectBytes {
        let object: ObjectBytes
        do throws(ClientError) {
            object = if let version { try await client.open(key, version: version) } else { try await client.open(key) }
        } catch {
            throw Failure(error)
        }
        guard let range else { return object }
        guard let bounds = range.bounds(in: object.status.lengthBytes) else {
            throw Failure(.refused, "\(key) has \(object.status.lengthBytes) bytes; the range begins behind them")
        }
        return object.slice(bounds)
    }

    private static func next(_ pieces: inout ObjectBytes.AsyncIterator) async throws(Failure) -> SharedBytes? {
        do throws(ClientError) {
            return try await pieces.next()
        } catch {
            throw Failure(error)
        }
    }

    /// The tag by which an object is known to have a file's content.
    package func tag(of source: SourceFile) async throws(Failure) -> String {
        let pieces = SourcePieces(source)
        var iterator = pieces.makeAsyncIterator()
        while try await iterator.next() != nil {}
        let (tag, readBytes) = pieces.end()
        try source.checkUnchanged(readBytes: readBytes)
        return tag
    }

    /// The tag that an object's content would have.
    package func tag(of key: ObjectKey) async throws(Failure) -> String {
        var pieces = try await open(key, nil, nil).makeAsyncIterator()
        var hash = SHA256()
        while let piece = try await Self.next(&pieces) { piece.withUnsafeBytes { hash.update(bufferPointer: $0) } }
        return hash.finalize().hexadecimal
    }

    /// From what is told of all bytes to what is told of some more.
    static func steps(_ progress: @escaping Progress) -> @Sendable (UInt64) -> Void {
        let told = Mutex<UInt64>(0)
        return { all in
            let more = told.withLock { told in
                defer { told = max(told, all) }
                return all > told ? all - told : 0
            }
            if more > 0 { progress(more) }
        }
    }
}

extension SHA256.Digest {
    fileprivate var hexadecimal: String { map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
}

/// A sink that is used on one thread after the other.
private final class OpenSink: @unchecked Sendable {
    private var sink: any ByteSink

    init(_ sink: any ByteSink) { self.sink = sink }

    /// Whether something of another version was there.
    var replacesOther: Bool { (sink as? NewFile)?.replacesOther ?? false }

    /// Cuts what an earlier download left after the last byte that is the object's.
    func keepGood(of object: ObjectBytes) async throws(Failure) -> UInt64 {
        guard let file = sink as? NewFile else { return 0 }
        let left = try file.sizeBytes()
        guard left > 0 else { return 0 }
        let good: UInt64
        do {
            good = try await object.goodPrefixBytes(of: min(left, object.range.upperBound)) { range in
                try await Blocking.run { _ throws(Failure) in try file.read(range) }
            }
        } catch {
            throw Failure(ofAny: error) ?? Failure(.unexpected, "\(object.status.key): interrupted")
        }
        try file.cut(after: good)
        return good
    }

    func append(_ piece: SharedBytes) throws(Failure) {
        try piece.withUnsafeBytes { bytes throws(Failure) in try sink.append(bytes) }
    }

    func finish(modifiedMilliseconds: UInt64) throws(Failure) {
        try sink.finish(modifiedMilliseconds: modifiedMilliseconds)
    }

    func discard() { sink.discard() }
}

/// What is in a file, in pieces, and the SHA-256 of what was read. For one reading.
private final class SourcePieces: AsyncSequence, Sendable {
    typealias Element = SharedBytes

    private static let pieceSizeBytes = 1 << 20

    private let source: SourceFile
    private let state = Mutex((hash: SHA256(), readBytes: 0))

    init(_ source: SourceFile) { self.source = source }

    struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let pieces: SourcePieces

        mutating func next() async throws(Failure) -> SharedBytes? { try await pieces.next() }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(pieces: self) }

    fileprivate func next() async throws(Failure) -> SharedBytes? {
        let piece = try await Blocking.run { isCancelled throws(Failure) in
            let piece = try self.source.read(sizeBytesMax: Self.pieceSizeBytes, isCancelled: isCancelled)
            self.take(piece)
            return piece
        }
        return piece.count > 0 ? piece : nil
    }

    private func take(_ piece: SharedBytes) {
        state.withLock { state in
            piece.withUnsafeBytes { state.hash.update(bufferPointer: $0) }
            state.readBytes += piece.count
        }
    }

    /// What was read so far: its tag, and how much it is.
    func end() -> (tag: String, readBytes: Int) {
        let (hash, readBytes) = state.withLock { ($0.hash, $0.readBytes) }
        return (hash.finalize().hexadecimal, readBytes)
    }
}
