// Uploads in parts: a value whose parts are stored one by one, in any order and side by side, also by several processes
// of the same client, and are made one version at the end (docs/protocol.md, Uploads in parts).

import ErasureCode
import QuorumProtocol

/// What names an upload in parts. Whoever has the client's key and knows it can go on with it.
public struct MultipartUpload: Hashable, Sendable, CustomStringConvertible {
    /// The object that it will be a version of.
    public let key: ObjectKey
    let upload: UploadID

    init(_ upload: UploadID, of key: ObjectKey) {
        self.key = key
        self.upload = upload
    }

    /// - Parameter id: what `id` gave; nil is returned for anything else.
    public init?(_ key: ObjectKey, id: String) {
        guard let upload = UploadID(hexadecimal: id) else { return nil }
        self.init(upload, of: key)
    }

    /// 32 hexadecimal digits.
    public var id: String { upload.description }
    public var description: String { "upload \(id) to \(key)" }

    func note() throws(ClientError) -> ObjectKey { try noted("") }

    func note(ofPart number: Int) throws(ClientError) -> ObjectKey {
        // In the order of the parts' numbers.
        let digits = String(number)
        return try noted(".\(String(repeating: "0", count: max(0, 5 - digits.count)))\(digits)")
    }

    /// What the notes of all parts begin with.
    func prefixOfParts() throws(ClientError) -> [UInt8] { try note().bytes + [UInt8(ascii: ".")] }

    private func noted(_ suffix: String) throws(ClientError) -> ObjectKey {
        do {
            return try ObjectKey(upload: upload, to: key.bucketBytes, note: suffix)
        } catch {
            throw .reservedKey(key)
        }
    }
}

/// A part of an upload that is stored.
public struct UploadedPart: Sendable, Hashable {
    /// From 1.
    public let number: Int
    public let lengthBytes: UInt64
    /// What the caller said of it; empty for nothing.
    public let etag: String
    /// What else the caller noted of it.
    public let notes: [String: String]
    /// Its client's clock when it was complete, in milliseconds since 1970.
    public let modifiedMilliseconds: UInt64
}

/// An upload in parts that has begun and is not over.
public struct MultipartUploadStatus: Sendable, Hashable {
    public let upload: MultipartUpload
    /// Its client's clock when it began, in milliseconds since 1970.
    public let beganMilliseconds: UInt64
    public let metadata: ObjectMetadata
}

extension ObjectClient {
    /// Parts that an upload may have; their numbers are 1 to this.
    public static let partNumberMax = StagedLimits.partsMax
    /// How long it is known of an upload that it is complete.
    private static let completedNotesMilliseconds: UInt64 = 30 * 86_400_000
    /// Notes that are read or written at a time.
    static let notesUnderWay = 16

    /// Begins an upload in parts. What is stored for it counts towards the client's quota until it is complete or
    /// aborted, and what nobody has gone on with for seven days is given back.
    ///
    /// - Parameter metadata: what the object will have; its time is that of the completion.
    /// - Throws: as `put`.
    public func beginUpload(
        _ key: ObjectKey, metadata: ObjectMetadata = ObjectMetadata()
    ) async throws(ClientError) -> MultipartUpload {
        try await measure(.beginUpload, .object(key)) { () throws(ClientError) in
            _ = try validated(metadata, of: key)
            try await checkBucket(of: key)
            let upload = MultipartUpload(.random(), of: key)
            let note = UploadNote(key: key, metadata: metadata, beganMilliseconds: Self.currentMilliseconds())
            try await write(note, of: upload)
            return upload
        }
    }

    /// What an upload was begun with.
    ///
    /// - Throws: `.uploadEnded` when it never was, was aborted or is complete; as `get`.
    public func status(of upload: MultipartUpload) async throws(ClientError) -> MultipartUploadStatus {
        guard let note = try await note(of: upload), note.completed == nil else { throw .uploadEnded(upload.key) }
        return MultipartUploadStatus(
            upload: upload, beganMilliseconds: note.beganMilliseconds, metadata: note.metadata)
    }

    /// The parts of an upload that are stored, by rising numbers. A part that was stored several times is there as it was
    /// last.
    ///
    /// - Throws: `.uploadEnded` when it never was, was aborted or is complete; as `get` and `list`.
    public func parts(of upload: MultipartUpload) async throws(ClientError) -> [UploadedPart] {
        try await measure(.listParts, .object(upload.key)) { () throws(ClientError) in
            guard let note = try await note(of: upload), note.completed == nil else {
                throw .uploadEnded(upload.key)
            }
            return try await notedParts(of: upload).map(\.part)
        }
    }

    /// This client's uploads to the bucket that have begun and are not over, in the order of their objects' keys. What
    /// is noted of those that are complete for longer than 30 days is deleted on the way.
    ///
    /// - Throws: as `list` and `get`. It takes the right `write`.
    public func uploads(in bucket: String) async throws(ClientError) -> [MultipartUploadStatus] {
        try await measure(.listUploads, .bucket(bucket)) { () throws(ClientError) in
            guard ObjectKey.isBucket(bucket) else {
                throw .invalidListing(ObjectKeyError.invalidBucket(bucket).description)
            }
            let prefix = Array("\(ObjectKey.bucketOfUploads)/\(bucket)/".utf8)
            let now = Self.currentMilliseconds()
            let oldest = now - min(now, Self.completedNotesMilliseconds)
            var (notes, forgotten): ([ObjectKey], [ObjectKey]) = ([], [])
            var entries = try list(prefix: prefix).makeAsyncIterator()
            while let entry = try await entries.next() {
                // An upload's name has so many digits, its parts' are longer. Others' are not to be gone on with.
                guard case .object(let object) = entry, object.key.bytes.count == prefix.count + 32,
                    object.timestamp.writer == id
                else { continue }
                if object.etag != Self.completedTag {
                    notes.append(object.key)
                } else if object.modifiedMilliseconds < oldest {
                    forgotten.append(object.key)
                }
            }
            _ = try await sideBySide(forgotten) { key throws(ClientError) in _ = try await self.writeTombstone(key) }
            let found = try await sideBySide(notes) { key throws(ClientError) -> MultipartUploadStatus? in
                guard let upload = UploadID(hexadecimal: String(key.text.suffix(32))),
                    let note: UploadNote = try await self.note(under: key), note.completed == nil,
                    note.key.bucketBytes.elementsEqual(bucket.utf8)
                else { return nil }
                return MultipartUploadStatus(
                    upload: MultipartUpload(upload, of: note.key), beganMilliseconds: note.beganMilliseconds,
                    metadata: note.metadata)
            }
            return found.compactMap(\.self).sorted {
                ($0.upload.key, $0.beganMilliseconds) < ($1.upload.key, $1.beganMilliseconds)
            }
        }
    }

    /// Gives an upload up, and what is stored for it back. Parts that others are storing at this moment may stay; then it
    /// has to be called again.
    ///
    /// - Throws: as `put`. An upload that is over, or never was, is no error.
    public func abort(_ upload: MultipartUpload) async throws(ClientError) {
        try await measure(.abortUpload, .object(upload.key)) { () throws(ClientError) in
            if let note = try await note(of: upload), note.completed == nil {
                _ = try await writeTombstone(upload.note())
            }
            await announce(.discard(Discard(key: upload.key, stager: id, upload: upload.upload)))
            try await forgetParts(of: upload)
        }
    }
}

// MARK: - Notes

extension ObjectClient {
    /// The tag of the note of an upload that is complete, by which listings know it.
    static let completedTag = "completed"

    func write(_ note: UploadNote, of upload: MultipartUpload) async throws(ClientError) {
        let metadata = ObjectMetadata(
            etag: note.completed == nil ? "" : Self.completedTag, modifiedMilliseconds: Self.currentMilliseconds())
        _ = try await write(upload.note(), .value(SharedBytes(note.bytes), metadata, salt: .random()))
    }

    /// Nil when there is none: it never was, or was aborted.
    func note(of upload: MultipartUpload) async throws(ClientError) -> UploadNote? {
        guard let note: UploadNote = try await note(under: upload.note()), note.key == upload.key else { return nil }
        return note
    }

    private func note(under key: ObjectKey) async throws(ClientError) -> UploadNote? {
        guard let (bytes, _) = try await noteBytes(key) else { return nil }
        return try? UploadNote(decoding: bytes)
    }

    /// What this client has noted. Whoever may write to the bucket may have written anything here: that is no note.
    func noteBytes(_ key: ObjectKey) async throws(ClientError) -> (bytes: [UInt8], metadata: ObjectMetadata)? {
        do throws(ClientError) {
            let (status, descriptor, stripes) = try await read(key, wantsValue: true)
            guard descriptor.staged == nil, status.timestamp.writer == id else { return nil }
            return (Self.decode(stripes, of: descriptor).array, status.metadata)
        } catch .notFound {
            return nil
        }
    }

    /// The notes of all parts, by rising numbers.
    func notedParts(of upload: MultipartUpload) async throws(ClientError) -> [NotedPart] {
        var numbers: [Int] = []
        let prefix = try upload.prefixOfParts()
        var entries = try list(prefix: prefix).makeAsyncIterator()
        while let entry = try await entries.next() {
            guard case .object(let object) = entry,
                let number = Int(String(decoding: object.key.bytes[prefix.count...], as: UTF8.self)),
                (1...Self.partNumberMax).contains(number), try upload.note(ofPart: number) == object.key
            else { continue }
            numbers.append(number)
        }
        return try await notedParts(numbers, of: upload).compactMap(\.self)
    }

    /// The notes of these parts; nil for one that there is none of.
    func notedParts(_ numbers: [Int], of upload: MultipartUpload) async throws(ClientError) -> [NotedPart?] {
        try await sideBySide(numbers) { number throws(ClientError) -> NotedPart? in
            guard let (bytes, metadata) = try await self.noteBytes(upload.note(ofPart: number)),
                let note = try? PartNote(decoding: bytes, parameters: self.parameters),
                note.contents.map({ self.isOwn($0.attempt, part: number, of: upload) }) ?? true
            else { return nil }
            let part = UploadedPart(
                number: number, lengthBytes: note.lengthBytes, etag: metadata.etag, notes: metadata.user,
                modifiedMilliseconds: metadata.modifiedMilliseconds)
            return NotedPart(part: part, contents: note.contents)
        }
    }

    private func isOwn(_ attempt: AttemptName, part number: Int, of upload: MultipartUpload) -> Bool {
        attempt.stager == id && attempt.upload == upload.upload && Int(attempt.part) == number
    }

    func forgetParts(of upload: MultipartUpload) async throws(ClientError) {
        var keys: [ObjectKey] = []
        var entries = try list(prefix: upload.prefixOfParts()).makeAsyncIterator()
        while let entry = try await entries.next() {
            if case .object(let object) = entry { keys.append(object.key) }
        }
        _ = try await sideBySide(keys) { key throws(ClientError) in _ = try await self.writeTombstone(key) }
    }

    /// Does something with each, a few at a time; the results are in the same order.
    private func sideBySide<Item: Sendable, R: Sendable>(
        _ items: [Item], _ work: @escaping @Sendable (Item) async throws(ClientError) -> R
    ) async throws(ClientError) -> [R] {
        do {
            return try await withThrowingTaskGroup(of: (Int, R).self) { group in
                var results: [R?] = items.map { _ in nil }
                for (place, item) in items.enumerated() {
                    if place >= Self.notesUnderWay, let (done, result) = try await group.next() {
                        results[done] = result
                    }
                    group.addTask { (place, try await work(item)) }
                }
                while let (done, result) = try await group.next() { results[done] = result }
                return results.compactMap(\.self)
            }
        } catch let error as ClientError {
            throw error
        } catch {
            preconditionFailure("no other error is thrown here: \(error)")
        }
    }
}

/// A part and where its stripes are; nil when it is empty.
struct NotedPart: Sendable {
    let part: UploadedPart
    let contents: StagedPart?
}
